//! Due work, bounded and fair. The table is the queue: nothing is lost that was not written, and a start runs the very
//! same steps as normal running.

mod attempt;
mod hosts;
mod recover;
mod reminder;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use self::{hosts::Hosts, reminder::Reminder};
use super::{board::Board, publish::Area, transfer::SpaceCheck};
use crate::{
    clock, config,
    egress::Downloads,
    events,
    model::{
        backoff,
        task::{AccountName, Export, ListingKey},
    },
    observer::Observer,
    store::{Claim, Store, StoreError, Waiting},
};

/// The queue looks at least this often, whatever it was told: a retry command writes from another process.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A file system that is full although the check passed is taken to lack this much: others write there, too.
const FULL_MEANS_BYTES: u64 = 16 * 1024 * 1024;

/// What a reload may change.
#[derive(Debug)]
pub struct Settings {
    /// How files are fetched.
    pub downloads: Downloads,
    /// `[download]`.
    pub config: config::Download,
    /// `[retry]`.
    pub retry: config::Retry,
    /// The listings whose downloads are made.
    pub listings: Vec<ListingKey>,
    /// Who waits for them.
    pub mode: Mode,
}

/// Who waits for the downloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A run that ends: every download makes its own attempts, and a database that fails ends it.
    Once,
    /// The daemon: a host that is down pauses its downloads, and a database that fails is waited for.
    Daemon,
}

/// Downloads what is due.
pub struct Queue {
    /// Where the queue is kept.
    pub store: Store,
    /// Where the files go.
    pub area: Area,
    /// Bytes to leave free on the file systems of both folders.
    pub min_free_bytes: u64,
    /// The other of the two folders.
    pub state_dir: PathBuf,
    settings: Mutex<Arc<Settings>>,
    /// Told when a download became due.
    pub due: Arc<Notify>,
    /// Tells that an attempt has ended, and perhaps a link is wanted.
    pub ended: Arc<Notify>,
    /// What is being transferred.
    pub board: Board,
    /// Whether there is too little space, for any download or for one.
    pub low: AtomicBool,
    /// When that was last said.
    said_low: Mutex<Reminder>,
    /// What the largest file wanted that did not fit.
    wanted_bytes: AtomicU64,
    hosts: Hosts,
    /// False while attempts may have no outcome on record: at the start, and after a failure of the database.
    in_order: AtomicBool,
    beat: Mutex<Instant>,
    observer: Arc<dyn Observer>,
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
    /// A queue that does not run yet.
    #[must_use]
    pub fn new(
        store: Store,
        area: Area,
        storage: &config::Storage,
        settings: Settings,
        due: Arc<Notify>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            store,
            area,
            min_free_bytes: storage.min_free_bytes,
            state_dir: storage.state_dir.clone(),
            settings: Mutex::new(Arc::new(settings)),
            due,
            ended: Arc::new(Notify::new()),
            board: Board::default(),
            low: AtomicBool::new(false),
            said_low: Mutex::new(Reminder::default()),
            wanted_bytes: AtomicU64::new(0),
            hosts: Hosts::default(),
            in_order: AtomicBool::new(false),
            beat: Mutex::new(clock::instant()),
            observer,
        }
    }

    /// What is in force now.
    #[must_use]
    pub fn settings(&self) -> Arc<Settings> {
        Arc::clone(&self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes other settings, for what begins from now on; what is under way goes on.
    pub fn set_settings(&self, settings: Settings) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
        self.due.notify_one();
    }

    /// When the queue last looked for work, or read a piece of what an earlier process left: at most a few seconds ago
    /// while it runs.
    #[must_use]
    pub fn last_beat(&self) -> Instant {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = clock::instant();
    }

    /// Brings the queue into order, then runs until cancelled. Then transfers stop where they are, to be resumed, and what is being published is
    /// finished.
    ///
    /// # Errors
    /// When the database fails; a daemon's queue says so, and goes on when it works again.
    pub async fn run(self: &Arc<Self>, cancel: &CancellationToken) -> Result<(), QueueError> {
        let mut running: JoinSet<Result<(), StoreError>> = JoinSet::new();
        let mut turn = 0;
        while !cancel.is_cancelled() {
            self.beat();
            // Registered before the table is read, so that what is told in between is not missed.
            let due = self.due.notified();
            tokio::pin!(due);
            due.as_mut().enable();
            let settings = self.settings();
            let looked = if self.in_order.load(Ordering::Relaxed) {
                self.look(&settings, &mut turn, &mut running, cancel).await
            } else if running.is_empty() {
                self.recover(cancel).await.map(|()| Duration::ZERO)
            } else {
                Ok(LOOK_EVERY)
            };
            let wait = self.bear(&settings, looked)?.unwrap_or(LOOK_EVERY);
            let ended = tokio::select! {
                () = cancel.cancelled() => None,
                () = due => None,
                ended = running.join_next(), if !running.is_empty() => ended,
                () = sleep(wait) => None,
            };
            if let Some(ended) = ended {
                self.bear(&settings, self.end(ended))?;
            }
        }
        let mut outcome = Ok(());
        while let Some(ended) = running.join_next().await {
            outcome = outcome.and(self.end(ended));
        }
        outcome
    }

    /// A run that ends fails with the database; a daemon says so and goes on.
    fn bear<T>(&self, settings: &Settings, outcome: Result<T, QueueError>) -> Result<Option<T>, QueueError> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(QueueError::Store(e)) if settings.mode == Mode::Daemon => {
                events::store_failed(&e.to_string());
                self.observer.store_failed();
                self.in_order.store(false, Ordering::Relaxed);
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Fills the free slots with what is due; says when to look again.
    async fn look(
        self: &Arc<Self>,
        settings: &Arc<Settings>,
        turn: &mut usize,
        running: &mut JoinSet<Result<(), StoreError>>,
        cancel: &CancellationToken,
    ) -> Result<Duration, QueueError> {
        // Counting reads every waiting row: not while all slots are busy, and with a long queue they are.
        if running.len() >= settings.config.concurrency {
            // Another process may have queued something without a link; those who bring links look for themselves.
            self.ended.notify_waiters();
            return Ok(LOOK_EVERY);
        }
        // An idle queue counts once, rather than claiming for each account; one at work finds out by claiming.
        let mut counted = match running.is_empty() {
            true => Some(self.store.waiting(&settings.listings, clock::now()).await?),
            false => None,
        };
        if self.has_space() && counted.as_ref().is_none_or(|waiting| is_due(settings, waiting)) {
            self.fill(settings, turn, running, cancel).await?;
            if running.len() >= settings.config.concurrency {
                return Ok(LOOK_EVERY);
            }
            counted = None;
        }
        let waiting = match counted {
            Some(waiting) => waiting,
            None => self.store.waiting(&settings.listings, clock::now()).await?,
        };
        if waiting.wanted > 0 {
            // Also what another process has queued without a link.
            self.ended.notify_waiters();
        }
        Ok(self.until_next_look(&waiting))
    }

    fn end(&self, ended: Result<Result<(), StoreError>, tokio::task::JoinError>) -> Result<(), QueueError> {
        ended.map_err(|e| QueueError::Died(e.to_string()))??;
        self.ended.notify_waiters();
        Ok(())
    }

    /// Fills the free slots, one account after the other.
    async fn fill(
        self: &Arc<Self>,
        settings: &Arc<Settings>,
        turn: &mut usize,
        running: &mut JoinSet<Result<(), StoreError>>,
        cancel: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut accounts = accounts(&settings.listings);
        if accounts.is_empty() || cancel.is_cancelled() {
            return Ok(());
        }
        let first = *turn % accounts.len();
        accounts.rotate_left(first);
        let names: Vec<AccountName> = accounts.iter().map(|(name, _)| name.clone()).collect();
        let (down, tried) = match settings.mode {
            Mode::Daemon => self.hosts.judge(clock::instant()),
            Mode::Once => (Vec::new(), Vec::new()),
        };
        let slots = settings.config.concurrency.saturating_sub(running.len());
        let claim =
            Claim { accounts, slots, down, tried, now: clock::now(), horizon: backoff::horizon(settings.retry.max) };
        // Whatever is wrong with what the first one has: the next turn begins with another.
        let jobs = self.store.claim(claim).await.inspect_err(|_| *turn = first + 1)?;
        for job in jobs {
            // The next turn begins behind whoever had the last one.
            let served = names.iter().position(|name| *name == job.key.listing.account).unwrap_or(0);
            *turn = (first + served + 1) % names.len();
            self.hosts.begin(&job.link.host_and_port());
            running.spawn(Arc::clone(self).attempt(Arc::clone(settings), job, cancel.clone()));
        }
        Ok(())
    }

    fn until_next_look(&self, waiting: &Waiting) -> Duration {
        let now = clock::now();
        // What is due already waits for a slot, for space or for its host; each is noticed by itself or at the next look.
        let next =
            waiting.next_due.filter(|&at| at > now).map(|at| Duration::from_millis(clock::millis_between(now, at) + 1));
        let host = self.hosts.next_up(clock::instant());
        next.into_iter().chain(host).fold(LOOK_EVERY, Duration::min)
    }

    /// Whether both file systems have the room that is to be left free, and says so when that changes. A file for which
    /// there is too little holds up itself alone.
    fn has_space(&self) -> bool {
        if let Some((path, free)) = self.shortage(0) {
            self.say_low(&path, free);
            return false;
        }
        let wanted = self.wanted_bytes.load(Ordering::Relaxed);
        if self.low.load(Ordering::Relaxed) && self.shortage(wanted).is_none() {
            self.wanted_bytes.store(0, Ordering::Relaxed);
            self.low.store(false, Ordering::Relaxed);
            self.said_low.lock().unwrap_or_else(PoisonError::into_inner).end();
            let free = self.area.free_bytes().unwrap_or(0);
            events::storage_recovered(&self.area.root().display().to_string(), free);
        }
        true
    }

    fn say_low(&self, path: &Path, free: u64) {
        self.low.store(true, Ordering::Relaxed);
        let is_news = self.said_low.lock().unwrap_or_else(PoisonError::into_inner).is_due(clock::instant());
        if is_news {
            events::storage_low(&path.display().to_string(), free);
        }
        self.ended.notify_waiters();
    }

    /// A file did not fit: by the check, which left how much it wanted, or by the file system's own word.
    fn note_shortage(&self) {
        let wanted = self.wanted_bytes.fetch_max(FULL_MEANS_BYTES, Ordering::Relaxed).max(FULL_MEANS_BYTES);
        let root = self.area.root().to_owned();
        let (path, free) = self.shortage(wanted).unwrap_or_else(|| {
            let free = self.area.free_bytes().unwrap_or(0);
            (root, free)
        });
        self.say_low(&path, free);
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
            Some((path, free)) => {
                queue.wanted_bytes.fetch_max(more, Ordering::Relaxed);
                Err(format!(
                    "{free} bytes are free below {}, and {} more would leave less than storage.min_free",
                    path.display(),
                    more
                ))
            }
        })
    }
}

fn is_due(settings: &Settings, waiting: &Waiting) -> bool {
    let now = clock::now();
    waiting.next_due.is_some_and(|at| at <= now || is_beyond(settings, now, at))
}

/// A time further away than any delay that is given: the clock was set back.
fn is_beyond(settings: &Settings, now: Timestamp, at: Timestamp) -> bool {
    at.duration_since(now) > backoff::horizon(settings.retry.max)
}

fn accounts(listings: &[ListingKey]) -> Vec<(AccountName, Vec<Export>)> {
    let mut accounts: Vec<(AccountName, Vec<Export>)> = Vec::new();
    for listing in listings {
        match accounts.iter_mut().find(|(name, _)| *name == listing.account) {
            Some((_, exports)) => exports.push(listing.export),
            None => accounts.push((listing.account.clone(), vec![listing.export])),
        }
    }
    accounts
}
