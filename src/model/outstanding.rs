//! What of a listing is not done, and how long there is to do it.

use jiff::{SignedDuration, Timestamp};

use super::{download::DownloadState, task::ListingKey};

/// How long a task is listed at least: the documentation says three months from its creation, and no three are shorter.
pub const LISTED_FOR: SignedDuration = SignedDuration::from_hours(89 * 24);

/// What an operator has to know of a listing and of the tasks in it that are not done. A task is undelivered when it is
/// listed as success and its file is not stored: also when it has no link, and when its download was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    /// Which listing.
    pub listing: ListingKey,
    /// Its size, as the service last counted.
    pub total: Option<u64>,
    /// Whether that is too small to be believed yet.
    pub is_suspect: bool,
    /// Undelivered tasks, by the state of their download.
    pub undelivered: [(DownloadState, u64); 3],
    /// Tasks that left the listing undelivered.
    pub lost: u64,
    /// Since when the oldest undelivered task could have been delivered: it was known here, and it was a success.
    pub undelivered_since: Option<Timestamp>,
    /// When the oldest task was created that is undelivered or unfinished.
    pub oldest_created_at: Option<Timestamp>,
}

impl Outstanding {
    /// When the first of its tasks may leave the listing.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.oldest_created_at.and_then(|created| created.saturating_add(LISTED_FOR).ok())
    }
}
