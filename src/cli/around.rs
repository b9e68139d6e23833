//! What surrounds a task: the instance that runs, the disks, and when its listing is read.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    config::Config,
    fetch::free_bytes,
    model::{
        schedule::{Polls, WATCHED_FOR},
        task::ListingKey,
    },
    store::{Holder, Listing, Lock, Store, StoreError},
};

/// The instance that holds the state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Instance {
    /// It runs.
    Running(Holder),
    /// None does.
    Stopped,
    /// It cannot be told, and why.
    Unknown(String),
}

impl Instance {
    /// Asks the kernel who holds the lock.
    pub(super) fn of(state_dir: &Path) -> Self {
        match Lock::holder(state_dir) {
            Ok(Some(holder)) => Self::Running(holder),
            Ok(None) => Self::Stopped,
            Err(e) => Self::Unknown(e.to_string()),
        }
    }

    /// Whether it runs, where that can be told.
    pub(super) const fn is_running(&self) -> Option<bool> {
        match self {
            Self::Running(_) => Some(true),
            Self::Stopped => Some(false),
            Self::Unknown(_) => None,
        }
    }
}

/// One of the two folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    /// `state` or `download`, as the metrics call it.
    pub folder: &'static str,
    /// Where it is.
    pub path: PathBuf,
    /// What is free there; none when that cannot be told, as before the first run.
    pub free_bytes: Option<u64>,
    /// It is less than `storage.min_free`.
    pub is_low: bool,
}

/// Both folders.
pub(super) fn disks(config: &Config) -> [Disk; 2] {
    let storage = &config.storage;
    [("state", &storage.state_dir), ("download", &storage.download_dir)].map(|(folder, path)| {
        let free_bytes = free_bytes(path).ok();
        let is_low = free_bytes.is_some_and(|free| free < storage.min_free_bytes);
        Disk { folder, path: path.clone(), free_bytes, is_low }
    })
}

/// How often a listing is asked for links.
pub(super) fn walk_interval(config: &Config) -> Duration {
    config.poll.interval.min(Duration::from_secs(60))
}

/// When a listing is read, as its row and its unfinished tasks tell.
pub(super) async fn polls(
    store: &Store,
    config: &Config,
    key: &ListingKey,
    known: &Listing,
    now: Timestamp,
) -> Result<Polls, StoreError> {
    let since = now.saturating_sub(WATCHED_FOR).unwrap_or_default();
    let is_busy = known.sweep_due || !store.watched(key, since).await?.is_empty();
    let is_failing = known.error.is_some();
    let (short, long) = (config.poll.interval, config.poll.idle_interval.max(config.poll.interval));
    let interval = match (is_failing, is_busy) {
        // A call that is denied is made again in the slow beat, any other in the quick one.
        (true, _) => long,
        (false, true) => short,
        (false, false) => config.poll.idle_interval,
    };
    Ok(Polls {
        last_poll_at: known.last_poll_at,
        last_beat_at: known.last_beat_at,
        sweep_due: known.sweep_due,
        is_failing,
        interval,
        full_sweep_interval: config.poll.full_sweep_interval,
    })
}
