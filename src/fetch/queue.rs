//! Due work, bounded and fair. The table is the queue: nothing is lost that was not written, and a start runs the very
//! same steps as normal running.

mod attempt;
mod recover;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::SignedDuration;
use tokio::{sync::Notify, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{board::Board, publish::Area, transfer::SpaceCheck};
use crate::{
    clock, config,
    egress::Downloads,
    events,
    model::task::{AccountName, Export, ListingKey},
    store::{Store, StoreError},
};

/// The queue looks at least this often, whatever it was told: a retry command writes from another process.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Downloads what is due.
#[derive(Debug)]
pub struct Queue {
    /// Where the queue is kept.
    pub store: Store,
    /// Where the files go.
    pub area: Area,
    /// How files are fetched.
    pub downloads: Downloads,
    /// `[download]`.
    pub config: config::Download,
    /// `[retry]`.
    pub retry: config::Retry,
    /// Bytes to leave free on the file systems of both folders.
    pub min_free_bytes: u64,
    /// The other of the two folders.
    pub state_dir: PathBuf,
    /// The listings whose downloads are made.
    pub listings: Vec<ListingKey>,
    /// Told when a download became due.
    pub due: Arc<Notify>,
    /// Tells that an attempt has ended, and perhaps a link is wanted.
    pub ended: Arc<Notify>,
    /// What is being transferred.
    pub board: Board,
    /// Whether there is too little space; downloads wait meanwhile.
    pub low: AtomicBool,
}

/// Why the queue stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An attempt ended without an outcome: a bug.
    #[error("an attempt ended without an outcome: {0}")]
    Died(String),
}

impl Queue {
    /// Runs until cancelled. Then transfers stop where they are, to be resumed, and what is being published is
    /// finished.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run(self: &Arc<Self>, cancel: &CancellationToken) -> Result<(), QueueError> {
        let accounts = self.accounts();
        let mut running: JoinSet<Result<(), StoreError>> = JoinSet::new();
        let mut turn = 0;
        while !cancel.is_cancelled() {
            // Registered before the table is read, so that what is told in between is not missed.
            let due = self.due.notified();
            tokio::pin!(due);
            due.as_mut().enable();
            if self.has_space() {
                self.fill(&accounts, &mut turn, &mut running, cancel).await?;
            }
            let wait = self.until_next_look().await?;
            tokio::select! {
                () = cancel.cancelled() => {}
                () = due => {}
                Some(ended) = running.join_next() => self.end(ended)?,
                () = sleep(wait) => {}
            }
        }
        while let Some(ended) = running.join_next().await {
            self.end(ended)?;
        }
        Ok(())
    }

    fn end(&self, ended: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), QueueError> {
        ended.map_err(|e| QueueError::Died(e.to_string()))??;
        self.ended.notify_waiters();
        Ok(())
    }

    fn accounts(&self) -> Vec<(AccountName, Vec<Export>)> {
        let mut accounts: Vec<(AccountName, Vec<Export>)> = Vec::new();
        for listing in &self.listings {
            match accounts.iter_mut().find(|(name, _)| *name == listing.account) {
                Some((_, exports)) => exports.push(listing.export),
                None => accounts.push((listing.account.clone(), vec![listing.export])),
            }
        }
        accounts
    }

    /// Fills the free slots, one account after the other.
    async fn fill(
        self: &Arc<Self>,
        accounts: &[(AccountName, Vec<Export>)],
        turn: &mut usize,
        running: &mut JoinSet<Result<(), StoreError>>,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let horizon = SignedDuration::try_from(self.retry.max).unwrap_or(SignedDuration::MAX);
        let mut empty_handed = 0;
        while running.len() < self.config.concurrency && empty_handed < accounts.len() && !cancel.is_cancelled() {
            let Some((account, exports)) = accounts.get(*turn % accounts.len()) else { break };
            *turn = turn.wrapping_add(1);
            match self.store.claim(account, exports, clock::now(), horizon).await? {
                None => empty_handed += 1,
                Some(job) => {
                    empty_handed = 0;
                    running.spawn(Arc::clone(self).attempt(job, cancel.clone()));
                }
            }
        }
        Ok(())
    }

    async fn until_next_look(&self) -> Result<Duration, StoreError> {
        let now = clock::now();
        let next = self.store.waiting(&self.listings, now).await?.next_due;
        // What is due already waits for a slot or for space; either is noticed by itself.
        let wait = next
            .filter(|&at| at > now)
            .map_or(LOOK_EVERY, |at| Duration::from_millis(clock::millis_between(now, at) + 1));
        Ok(wait.min(LOOK_EVERY))
    }

    /// Whether both file systems have the room that is to be left free, and says so when that changes.
    fn has_space(&self) -> bool {
        match self.shortage(0) {
            Some((path, free)) => {
                if !self.low.swap(true, Ordering::Relaxed) {
                    events::storage_low(&path.display().to_string(), free);
                }
                self.ended.notify_waiters();
                false
            }
            None => {
                if self.low.swap(false, Ordering::Relaxed) {
                    let free = self.area.free_bytes().unwrap_or(0);
                    events::storage_recovered(&self.area.root().display().to_string(), free);
                }
                true
            }
        }
    }

    /// The folder below which too little would be left after so many bytes more, and what is free there. A file system
    /// that does not say is asked again by the write itself.
    fn shortage(&self, more: u64) -> Option<(PathBuf, u64)> {
        let wanted = self.min_free_bytes.saturating_add(more);
        let download = self.area.free_bytes().ok().map(|free| (self.area.root().to_owned(), free, wanted));
        let state = super::publish::free_bytes(&self.state_dir).ok();
        let state = state.map(|free| (self.state_dir.clone(), free, self.min_free_bytes));
        [download, state]
            .into_iter()
            .flatten()
            .find(|(_, free, wanted)| free < wanted)
            .map(|(path, free, _)| (path, free))
    }

    fn space_check(self: &Arc<Self>) -> SpaceCheck {
        let queue = Arc::clone(self);
        Arc::new(move |more| match queue.shortage(more) {
            None => Ok(()),
            Some((path, free)) => Err(format!(
                "{free} bytes are free below {}, and {} more would leave less than storage.min_free",
                path.display(),
                more
            )),
        })
    }
}
