//! Results and places that are labels: our own words, so the lists are closed.

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollResult {
    /// It saw what it went for.
    Ok,
    /// A full sweep that did not see one unchanging listing.
    Inconsistent,
    /// A call or the database failed.
    Failed,
}

impl PollResult {
    pub(super) const ALL: [Self; 3] = [Self::Ok, Self::Inconsistent, Self::Failed];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Inconsistent => "inconsistent",
            Self::Failed => "failed",
        }
    }
}

/// Whose file system is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    /// `storage.state_dir`
    State,
    /// `storage.download_dir`
    Download,
}

impl Folder {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Download => "download",
        }
    }
}
