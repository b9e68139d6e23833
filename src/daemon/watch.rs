//! Counts what happens and remembers how each listing does: what `/metrics` and `/healthz` show.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::Notify;

use crate::{
    admin::{Health, ListingHealthConfig, Polled, Sight},
    assembly, clock,
    config::Config,
    fetch::Queue,
    metrics::{Folder, Metrics, MetricsError, PollResult},
    model::{
        download::{AttemptResult, Reason},
        health::Beat,
        task::{AccountName, ListingKey},
    },
    observer::{Observer, Turn},
    store::{Store, StoreError},
};

/// The counters and the verdicts, fed by whatever happens.
#[derive(Debug)]
pub struct Watch {
    metrics: Metrics,
    health: Arc<Health>,
    sight: Arc<Sight>,
    /// A task or a download is another than before: a window may be, too.
    pub(super) changed: Notify,
    /// Listings of which a poll succeeded since the start or since they were configured.
    read: Mutex<BTreeSet<ListingKey>>,
}

impl Watch {
    /// With everything at zero.
    ///
    /// # Errors
    /// When a metric's name is not valid: a bug.
    pub fn new(config: &Config) -> Result<Self, MetricsError> {
        Ok(Self {
            metrics: Metrics::new()?,
            health: Arc::new(Health::new()),
            sight: Arc::new(Sight::new(config)),
            changed: Notify::new(),
            read: Mutex::default(),
        })
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The verdicts.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// What is in force and under way, for whoever looks.
    #[must_use]
    pub fn sight(&self) -> &Arc<Sight> {
        &self.sight
    }

    /// Begins with what earlier processes found, so that a restart is no gap.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) async fn begin(&self, config: &Config, store: &Store) -> Result<(), StoreError> {
        self.set_config(config);
        self.metrics.storage_min_free_bytes(config.storage.min_free_bytes);
        for listing in assembly::listings(config) {
            let Some(known) = store.listing(&listing).await? else { continue };
            self.health.restore(&listing, known.last_poll_at, known.last_consistent_sweep_at);
            if let Some(at) = known.last_poll_at {
                self.metrics.successful_poll_at(&listing, at);
            }
            if let Some(at) = known.last_consistent_sweep_at {
                self.metrics.consistent_sweep_at(&listing, at);
            }
        }
        Ok(())
    }

    /// A configuration is in force: takes its listings; what is counted of others is forgotten.
    pub(super) fn set_config(&self, config: &Config) {
        self.sight.set_config(config);
        self.metrics.config_reloaded(Some(clock::now()));
        self.metrics.full_sweep_interval(config.poll.full_sweep_interval);
        let listings = assembly::listings(config);
        self.metrics.set_listings(&listings);
        self.read().retain(|listing| listings.contains(listing));
        let beat = Beat {
            interval: config.poll.interval,
            request_timeout: config.poll.request_timeout,
            full_sweep_interval: config.poll.full_sweep_interval,
        };
        self.health.set_listings(listings.into_iter().map(|listing| ListingHealthConfig { listing, beat }).collect());
    }

    /// A configuration was refused.
    pub(super) fn config_rejected(&self) {
        self.metrics.config_reloaded(None);
    }

    /// Whether a poll of this listing succeeded since the start, or since it was configured.
    pub(super) fn has_read(&self, listing: &ListingKey) -> bool {
        self.read().contains(listing)
    }

    fn read(&self) -> MutexGuard<'_, BTreeSet<ListingKey>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The scheduler turns.
    pub(super) fn beat(&self) {
        self.health.beat();
    }

    /// Measures what no event tells.
    pub(super) fn measure(&self, queue: &Queue) {
        if let Ok(free) = queue.area.free_bytes() {
            self.metrics.storage_free_bytes(Folder::Download, free);
        }
        if let Ok(free) = crate::fetch::free_bytes(&queue.state_dir) {
            self.metrics.storage_free_bytes(Folder::State, free);
        }
        self.metrics.storage_low(queue.low.load(Ordering::Relaxed));
        let transfers = queue.board.transfers();
        let received = transfers.iter().map(|(_, progress)| progress.received_bytes()).sum();
        self.metrics.in_progress(transfers.len() as u64, received);
    }
}

impl Observer for Watch {
    fn called(&self, account: &AccountName, action: &str, code: &str, duration: Duration) {
        self.metrics.api_request(account, action, code, duration);
    }

    fn waited(&self, account: &AccountName, wait: Duration) {
        self.metrics.permit_waited(account, wait);
    }

    fn paused(&self, account: &AccountName, pause: Duration) {
        self.metrics.throttled(account, pause);
    }

    fn credentials_expire(&self, account: &AccountName, at: Option<Timestamp>) {
        self.metrics.credentials_expire(account, at);
    }

    fn credentials_not_refreshed(&self, account: &AccountName) {
        self.metrics.credentials_not_refreshed(account);
    }

    fn waits(&self, listing: &ListingKey, interval: Duration) {
        self.metrics.poll_interval(listing, interval);
        self.health.waits(listing, interval);
    }

    fn polled(&self, listing: &ListingKey, turn: Turn<'_>) {
        let now = clock::now();
        let result = match (turn.error, turn.consistent) {
            (Some(_), _) => PollResult::Failed,
            (None, Some(false)) => PollResult::Inconsistent,
            (None, _) => PollResult::Ok,
        };
        self.metrics.poll(listing, result);
        self.metrics.poll_interval(listing, turn.interval);
        if turn.rejected || turn.error.is_none() {
            self.metrics.credentials_rejected(&listing.account, turn.rejected);
        }
        if turn.error.is_none() {
            self.metrics.poll_took(turn.consistent.is_some(), turn.duration);
            self.metrics.successful_poll_at(listing, now);
            if self.read().insert(listing.clone()) {
                self.changed.notify_one();
            }
        }
        if turn.consistent == Some(true) {
            self.metrics.consistent_sweep_at(listing, now);
        }
        let error = turn.error.map(str::to_owned);
        self.health.polled(listing, Polled { at: now, error, consistent: turn.consistent, interval: turn.interval });
    }

    fn changed(&self, listing: &ListingKey, to: &str) {
        self.metrics.transition(listing, to);
        self.changed.notify_one();
    }

    fn row_rejected(&self) {
        self.metrics.row_rejected(1);
    }

    fn attempted(&self, listing: &ListingKey, result: AttemptResult, bytes: u64) {
        self.metrics.download_attempt(listing, result);
        self.metrics.download_bytes(listing, bytes);
        self.changed.notify_one();
    }

    fn download_failed(&self, listing: &ListingKey, reason: Reason) {
        self.metrics.download_failed(listing, reason);
    }

    fn store_failed(&self) {
        self.metrics.store_error();
    }
}
