//! The life of one download on our side.

use std::fmt;

/// Why an attempt failed: the closed list that `downloads.reason` and `attempts.reason` hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Transport, or a short or stalled body.
    Network,
    /// The link is refused (403).
    Expired,
    /// The object is not there (404).
    Gone,
    /// Any other status.
    Http,
    /// Length or digest differ.
    Integrity,
    /// The task is listed as success without a link.
    NoLink,
    /// Larger than `download.max_size`.
    TooLarge,
    /// The link's host, address or scheme may not be reached.
    RefusedHost,
    /// An HTML or XML page, or nothing at all.
    NotAnExport,
    /// The local file system.
    Disk,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 10] = [
        Self::Network,
        Self::Expired,
        Self::Gone,
        Self::Http,
        Self::Integrity,
        Self::NoLink,
        Self::TooLarge,
        Self::RefusedHost,
        Self::NotAnExport,
        Self::Disk,
    ];

    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Expired => "expired",
            Self::Gone => "gone",
            Self::Http => "http",
            Self::Integrity => "integrity",
            Self::NoLink => "no_link",
            Self::TooLarge => "too_large",
            Self::RefusedHost => "refused_host",
            Self::NotAnExport => "not_an_export",
            Self::Disk => "disk",
        }
    }

    /// The inverse of [`Reason::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == word)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a file's wholeness rests on, beside its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifiedBy {
    /// The server's CRC-64/XZ of the stored object.
    Crc64,
    /// The server's MD5, where it gave no CRC.
    Md5,
    /// Its Content-Length alone.
    Length,
}

impl VerifiedBy {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc64 => "crc64",
            Self::Md5 => "md5",
            Self::Length => "length",
        }
    }
}

/// How an attempt ended: `attempts.result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// A file was published, or an earlier one put back.
    Stored,
    /// The server has what is already stored.
    Unchanged,
    /// Failed; tried again later.
    Failed,
    /// Failed for the last time.
    Abandoned,
    /// Ended by a stop or a crash; counts for nothing.
    Interrupted,
}

impl AttemptResult {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::Abandoned => "abandoned",
            Self::Interrupted => "interrupted",
        }
    }
}
