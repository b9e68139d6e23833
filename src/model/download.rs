//! The life of one download on our side.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{
    age::age,
    link::SignedUrl,
    observe::Kind,
    task::{Status, TaskSnapshot},
};

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

    /// Whether every further attempt fails of the same as long as the configuration says what it does.
    #[must_use]
    pub const fn is_settled_here(self) -> bool {
        matches!(self, Self::TooLarge | Self::RefusedHost)
    }

    /// Whether the service has no such file to give: another export of the same is more likely to help than another attempt.
    #[must_use]
    pub const fn is_final_there(self) -> bool {
        matches!(self, Self::Gone | Self::NoLink | Self::NotAnExport)
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
    /// Every result.
    pub const ALL: [Self; 5] = [Self::Stored, Self::Unchanged, Self::Failed, Self::Abandoned, Self::Interrupted];

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

/// Where a download stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DownloadState {
    /// Waits for its turn, for its time, or for a link.
    Pending,
    /// An attempt is under way.
    Active,
    /// A revision is published. A stored task that is looked at again stays stored.
    Stored,
    /// Given up after too many failures in a row, until something brings it back.
    Abandoned,
}

impl DownloadState {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Stored => "stored",
            Self::Abandoned => "abandoned",
        }
    }

    /// The inverse of [`DownloadState::as_str`].
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::Stored, Self::Abandoned].into_iter().find(|s| s.as_str() == word)
    }
}

/// A stored task whose update time moved is looked at again at most this often.
pub const RECHECK_AT_MOST_EVERY: SignedDuration = SignedDuration::from_hours(24);
/// A link that is refused when it is younger than this was no victim of its age: the failure counts.
pub const LINK_YOUNG: SignedDuration = SignedDuration::from_mins(1);

/// What is known of a download when its task is seen in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Where it stands.
    pub state: DownloadState,
    /// The newest link that has not been refused.
    pub link: Option<SignedUrl>,
    /// Whether another link is being waited for.
    pub wanted: bool,
    /// Whether a stored task waits to be looked at again.
    pub recheck: bool,
    /// When the id was issued anew, if its file was not fetched since.
    pub reissued_at: Option<Timestamp>,
    /// When it last was.
    pub rechecked_at: Option<Timestamp>,
    /// The task's update time when its file was last fetched or looked at.
    pub fetched_updated_at: Option<Timestamp>,
    /// When `state` last changed.
    pub changed_at: Timestamp,
}

/// What a sight of the task changes in its download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A new download. Without a link, one is wanted at once.
    Create,
    /// Another link, the state stays. Whether it is the one that was refused is for the store to compare.
    Link,
    /// From the beginning: pending, no attempts, no partial worth keeping.
    Restart,
    /// Stored, and to be looked at again.
    Recheck,
    /// Success without a link: ask for one.
    Want,
    /// No longer success: nothing to fetch until it is again.
    Withdraw,
    /// Nothing but that the id was issued anew: whatever is fetched now belongs to the one before.
    Note,
}

/// Decides what a sight of a task means for its download. `revive_before` says that abandoned downloads come back
/// that were given up before that time.
#[must_use]
pub fn on_listed(
    queued: Option<&Queued>,
    kind: Option<Kind>,
    seen: &TaskSnapshot,
    revive_before: Option<Timestamp>,
    now: Timestamp,
) -> Option<Change> {
    let success = seen.status == Status::Success;
    let Some(q) = queued else { return success.then_some(Change::Create) };
    let reissued = kind == Some(Kind::Reissued);
    let note = || reissued.then_some(Change::Note);
    if !success {
        let waits = q.state == DownloadState::Pending || q.recheck;
        let withdraws = waits && (q.link.is_some() || q.wanted);
        return if withdraws { Some(Change::Withdraw) } else { note() };
    }
    let new_link = seen.link.is_some() && seen.link != q.link;
    let link = || if new_link { Some(Change::Link) } else { note() };
    match q.state {
        DownloadState::Pending if reissued => Some(Change::Restart),
        DownloadState::Pending if seen.link.is_none() && q.link.is_none() && !q.wanted => Some(Change::Want),
        DownloadState::Pending | DownloadState::Active => link(),
        DownloadState::Stored if q.recheck => link(),
        DownloadState::Stored => {
            let newer = match (q.fetched_updated_at, seen.updated_at) {
                (Some(fetched), Some(listed)) => listed > fetched,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let rested = q.rechecked_at.is_none_or(|last| age(last, now) >= RECHECK_AT_MOST_EVERY);
            // A task that was something else meanwhile has been worked on, whatever its update time says.
            let worked_on = newer || q.reissued_at.is_some() || kind == Some(Kind::Status);
            let is_owed = q.reissued_at.is_some_and(|at| q.rechecked_at.is_none_or(|last| last < at));
            let look = reissued || is_owed || (worked_on && rested);
            if look && seen.link.is_some() { Some(Change::Recheck) } else { note() }
        }
        DownloadState::Abandoned => {
            let revived =
                kind.is_some() || revive_before.is_some_and(|before| age(q.changed_at, now) > age(before, now));
            revived.then_some(Change::Restart)
        }
    }
}

/// What a failed attempt leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AfterFailure {
    /// Failures in a row from now on.
    pub failures: u32,
    /// Whether it is given up.
    pub abandoned: bool,
    /// Whether its link is to be replaced.
    pub wants_link: bool,
}

/// Decides after a failed attempt. A refused link that had been listed for a while is nobody's failure and counts
/// for nothing; one that was young, or that the listing had given again after it was refused, does.
#[must_use]
pub fn after_failure(
    failures: u32,
    failures_max: u32,
    reason: Reason,
    link_age: SignedDuration,
    link_was_refused_before: bool,
) -> AfterFailure {
    let wants_link = matches!(reason, Reason::Expired | Reason::Gone | Reason::NoLink);
    let free = reason == Reason::Expired && link_age >= LINK_YOUNG && !link_was_refused_before;
    let failures = if free { failures } else { failures.saturating_add(1) };
    AfterFailure { failures, abandoned: failures >= failures_max, wants_link }
}

#[cfg(test)]
mod tests;
