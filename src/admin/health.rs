//! What the daemon tells of its health, and what is made of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::Instant;

use crate::{
    clock,
    model::{
        health::{Ages, Beat, Overdue, judge_listing, judge_turning},
        task::ListingKey,
    },
};

/// What the scheduler and the polls last did. The daemon tells; `/livez` and `/healthz` ask.
#[derive(Debug)]
pub struct Health {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    turned: Instant,
    listings: BTreeMap<ListingKey, Watched>,
}

/// A listing, and what is promised of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListingHealthConfig {
    /// Which listing.
    pub listing: ListingKey,
    /// Its interval, timeout and sweep interval, as they are now.
    pub beat: Beat,
}

/// How a poll ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Polled {
    /// When.
    pub at: Timestamp,
    /// None when it succeeded; else why it failed, free of secrets.
    pub error: Option<String>,
    /// Whether it was a consistent full sweep; none for any other poll.
    pub consistent: Option<bool>,
    /// How long until the next, in the ordinary way.
    pub interval: Duration,
}

#[derive(Debug)]
struct Watched {
    /// As configured: its interval is the one that was last told.
    configured: Beat,
    interval: Duration,
    /// Nothing before this is held against it.
    since: Instant,
    polled: Option<Instant>,
    swept: Option<Instant>,
    last_poll_at: Option<Timestamp>,
    last_consistent_sweep_at: Option<Timestamp>,
    error: Option<String>,
}

impl Watched {
    fn new(beat: Beat, now: Instant) -> Self {
        Self {
            configured: beat,
            interval: beat.interval,
            since: now,
            polled: None,
            swept: None,
            last_poll_at: None,
            last_consistent_sweep_at: None,
            error: None,
        }
    }

    fn overdue(&self, now: Instant) -> Vec<Overdue> {
        let age = |last: Option<Instant>| now.saturating_duration_since(last.unwrap_or(self.since).max(self.since));
        let beat = Beat { interval: self.interval, ..self.configured };
        judge_listing(&beat, &Ages { poll: age(self.polled), sweep: age(self.swept) })
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// Nothing is overdue yet: the time counts from now.
    #[must_use]
    pub fn new() -> Self {
        Self { state: Mutex::new(State { turned: clock::instant(), listings: BTreeMap::new() }) }
    }

    /// The configured listings, from now on. One that is new, or of which something else is promised, has its time
    /// counted anew; others keep theirs; what is not among them is not watched any more.
    pub fn set_listings(&self, listings: Vec<ListingHealthConfig>) {
        let now = clock::instant();
        let mut state = self.lock();
        let mut before = std::mem::take(&mut state.listings);
        for ListingHealthConfig { listing, beat } in listings {
            let mut watched = before.remove(&listing).unwrap_or_else(|| Watched::new(beat, now));
            if watched.configured != beat {
                (watched.configured, watched.interval, watched.since) = (beat, beat.interval, now);
            }
            state.listings.insert(listing, watched);
        }
    }

    /// What the database says of a listing at the start. It is only shown: a daemon that was stopped for a week is not
    /// ill when it starts.
    pub fn restore(
        &self,
        listing: &ListingKey,
        last_poll_at: Option<Timestamp>,
        last_consistent_sweep_at: Option<Timestamp>,
    ) {
        if let Some(watched) = self.lock().listings.get_mut(listing) {
            watched.last_poll_at = watched.last_poll_at.max(last_poll_at);
            watched.last_consistent_sweep_at = watched.last_consistent_sweep_at.max(last_consistent_sweep_at);
        }
    }

    /// A listing is polled in this interval from now on, until a poll tells another: one that was idle when the daemon
    /// stopped goes on idle.
    pub fn waits(&self, listing: &ListingKey, interval: Duration) {
        if let Some(watched) = self.lock().listings.get_mut(listing) {
            watched.interval = interval;
        }
    }

    /// A poll ended. One of a listing that is not configured any more is nobody's concern.
    pub fn polled(&self, listing: &ListingKey, polled: Polled) {
        let now = clock::instant();
        let mut state = self.lock();
        let Some(watched) = state.listings.get_mut(listing) else { return };
        watched.interval = polled.interval;
        if polled.error.is_none() {
            (watched.polled, watched.last_poll_at) = (Some(now), Some(polled.at));
            if polled.consistent == Some(true) {
                (watched.swept, watched.last_consistent_sweep_at) = (Some(now), Some(polled.at));
            }
        }
        watched.error = polled.error;
    }

    /// The scheduler turns.
    pub fn beat(&self) {
        self.lock().turned = clock::instant();
    }

    /// Why the scheduler is thought to hang; none while it turns.
    #[must_use]
    pub fn hanging(&self) -> Option<Overdue> {
        judge_turning(clock::instant().saturating_duration_since(self.lock().turned))
    }

    /// Every configured listing, in order.
    #[must_use]
    pub fn listings(&self) -> Vec<ListingHealth> {
        let now = clock::instant();
        let state = self.lock();
        state.listings.iter().map(|(listing, watched)| ListingHealth::new(listing, watched, now)).collect()
    }

    /// Every configured listing, in order, and what is promised of it as it is polled now.
    pub(super) fn watched(&self) -> Vec<(ListingKey, Beat)> {
        let beat = |watched: &Watched| Beat { interval: watched.interval, ..watched.configured };
        self.lock().listings.iter().map(|(key, watched)| (key.clone(), beat(watched))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; if something did, each field is still true by itself.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One listing in the answer of `/healthz`. Times are RFC 3339; the names are those of the table `listings`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListingHealth {
    /// The configured account.
    pub account: String,
    /// Which of its listings.
    pub export: &'static str,
    /// Whether nothing is overdue.
    pub healthy: bool,
    /// What is overdue, for people.
    pub overdue: Vec<String>,
    /// The last successful poll.
    pub last_poll_at: Option<String>,
    /// The last consistent sweep.
    pub last_consistent_sweep_at: Option<String>,
    /// Why the last poll failed, when it did.
    pub error: Option<String>,
    /// Milliseconds between polls, as it is now.
    pub interval_ms: u64,
}

impl ListingHealth {
    fn new(listing: &ListingKey, watched: &Watched, now: Instant) -> Self {
        let overdue: Vec<String> = watched.overdue(now).iter().map(ToString::to_string).collect();
        Self {
            account: listing.account.as_str().to_owned(),
            export: listing.export.as_str(),
            healthy: overdue.is_empty(),
            overdue,
            last_poll_at: watched.last_poll_at.map(clock::rfc3339),
            last_consistent_sweep_at: watched.last_consistent_sweep_at.map(clock::rfc3339),
            error: watched.error.clone(),
            interval_ms: u64::try_from(watched.interval.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::model::task::{AccountName, Export};

    const MINUTE: Duration = Duration::from_secs(60);

    fn listing() -> ListingKey {
        ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage }
    }

    fn configured(interval: Duration) -> Vec<ListingHealthConfig> {
        let beat = Beat { interval, request_timeout: Duration::from_secs(15), full_sweep_interval: 100 * MINUTE };
        vec![ListingHealthConfig { listing: listing(), beat }]
    }

    fn succeeded(interval: Duration) -> Polled {
        Polled { at: Timestamp::UNIX_EPOCH, error: None, consistent: None, interval }
    }

    fn is_healthy(health: &Health) -> bool {
        let listings = health.listings();
        assert_eq!(listings.len(), 1);
        listings.iter().all(|l| l.healthy)
    }

    #[tokio::test(start_paused = true)]
    async fn a_scheduler_that_stops_turning_is_found_and_one_that_turns_again_is_well() {
        let health = Health::new();
        assert_eq!(health.hanging(), None);
        advance(MINUTE + Duration::from_secs(1)).await;
        assert!(health.hanging().is_some());
        health.beat();
        assert_eq!(health.hanging(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_was_never_polled_is_judged_from_the_start() {
        let health = Health::new();
        health.set_listings(configured(MINUTE));
        // Long ago, by the database: not held against it.
        health.restore(&listing(), Some(Timestamp::UNIX_EPOCH), Some(Timestamp::UNIX_EPOCH));
        advance(3 * MINUTE + Duration::from_secs(15)).await;
        assert!(is_healthy(&health));
        advance(Duration::from_secs(1)).await;
        assert!(!is_healthy(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn the_interval_is_the_one_that_the_last_poll_told() {
        let health = Health::new();
        health.set_listings(configured(MINUTE));
        health.polled(&listing(), succeeded(10 * MINUTE));
        advance(30 * MINUTE).await;
        assert!(is_healthy(&health));
        health.polled(&listing(), succeeded(MINUTE));
        advance(4 * MINUTE).await;
        assert!(!is_healthy(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_waits_in_the_slow_beat_is_judged_by_it_also_after_a_reload() {
        let health = Health::new();
        health.set_listings(configured(MINUTE));
        health.waits(&listing(), 10 * MINUTE);
        advance(9 * MINUTE).await;
        assert!(is_healthy(&health));
        // The same is promised: the loop goes on waiting as it did.
        health.set_listings(configured(MINUTE));
        advance(9 * MINUTE).await;
        assert!(is_healthy(&health));
        advance(13 * MINUTE).await;
        assert!(!is_healthy(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_counts_anew_only_when_something_else_is_promised() {
        let health = Health::new();
        health.set_listings(configured(10 * MINUTE));
        advance(32 * MINUTE).await;
        health.set_listings(configured(10 * MINUTE));
        assert!(!is_healthy(&health));
        health.set_listings(configured(MINUTE));
        assert!(is_healthy(&health));
        advance(4 * MINUTE).await;
        assert!(!is_healthy(&health));
    }
}
