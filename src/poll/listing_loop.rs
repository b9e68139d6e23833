//! The loop of one listing: when to poll, and what. What it knows of the past is in the database, so that a restart
//! goes on rather than begins again.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use jiff::SignedDuration;
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{PollError, Poller};
use crate::{
    cdn::{CallError, Disposition},
    clock, events,
    model::age::age,
    observer::Turn,
    store::StoreError,
};

/// An account whose keys are refused is tried at most this often, by all of its listings together.
const REJECTED_EVERY_MAX: Duration = Duration::from_secs(60);
/// While keys are refused, their files are looked at this often: a change is tried at once.
const KEYS_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);
/// Every pause is lengthened by up to this part of itself, so that many listings do not poll in step.
const JITTER: f64 = 0.1;

/// What the loops of one account share: whether its keys are refused, and when they may be tried again.
#[derive(Debug, Default)]
pub struct AccountGate(Mutex<Option<Rejected>>);

#[derive(Debug, Clone)]
struct Rejected {
    delay: Duration,
    next_try: Instant,
    keys: Vec<(PathBuf, Option<SystemTime>)>,
}

impl AccountGate {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Rejected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the account may be tried; the one who is let through takes the turn.
    fn turn(&self, now: Instant, keys: &[PathBuf]) -> Option<Instant> {
        let mut gate = self.lock();
        let rejected = gate.as_mut()?;
        let changed = rejected.keys != stamps(keys);
        if rejected.next_try > now && !changed {
            return Some(rejected.next_try);
        }
        rejected.next_try = now + rejected.delay;
        rejected.keys = stamps(keys);
        None
    }

    fn reject(&self, now: Instant, interval: Duration, keys: &[PathBuf]) {
        let mut gate = self.lock();
        let delay = gate.as_ref().map_or(interval, |r| r.delay * 2).min(REJECTED_EVERY_MAX);
        *gate = Some(Rejected { delay, next_try: now + delay, keys: stamps(keys) });
    }

    fn accept(&self) {
        *self.lock() = None;
    }
}

/// What shows that a key file was replaced or written.
fn stamps(keys: &[PathBuf]) -> Vec<(PathBuf, Option<SystemTime>)> {
    keys.iter().map(|path| (path.clone(), std::fs::metadata(path).and_then(|m| m.modified()).ok())).collect()
}

/// One listing, polled until it is stopped.
pub struct ListingLoop {
    /// What is polled.
    pub poller: Poller,
    /// Shared by the loops of the account.
    pub gate: Arc<AccountGate>,
    /// The account's key files.
    pub keys: Vec<PathBuf>,
    /// Told by the queue that links may be wanted.
    pub wanted: Arc<Notify>,
    /// `download.max_attempts`: how often a download may miss its link.
    pub failures_max: u32,
}

/// What the loop does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Poll,
    Walk,
    Stop,
}

/// What a loop remembers from turn to turn.
struct Memory {
    failures: u32,
    walk_failures: u32,
    next_poll: Instant,
    next_walk: Instant,
}

impl ListingLoop {
    /// Runs until stopped. A database that fails is said, and waited for.
    pub async fn run(self, stop: &CancellationToken) {
        let now = clock::instant();
        let mut memory = Memory { failures: 0, walk_failures: 0, next_poll: now, next_walk: now };
        let mut is_known = false;
        while !stop.is_cancelled() {
            let done = if is_known {
                self.turn(&mut memory, stop).await
            } else {
                self.first_poll().await.map(|at| {
                    memory.next_poll = at;
                    is_known = true;
                })
            };
            if let Err(e) = done {
                events::store_failed(&e.to_string());
                self.poller.observer.store_failed();
                self.tell(Turn {
                    error: Some(&e.to_string()),
                    consistent: None,
                    interval: self.poller.config.interval,
                    duration: Duration::ZERO,
                    rejected: false,
                });
                memory.next_poll = clock::instant() + self.poller.config.interval;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = sleep_until(memory.next_poll) => {}
                }
            }
        }
    }

    async fn turn(&self, memory: &mut Memory, stop: &CancellationToken) -> Result<(), StoreError> {
        match self.wait(memory.next_poll, memory.next_walk, stop).await? {
            Next::Stop => {}
            Next::Walk => {
                let walked = self.poller.serve_wanted(self.failures_max, stop).await;
                memory.next_walk = clock::instant() + self.poller.walk_interval();
                match walked {
                    Ok(served) => {
                        memory.walk_failures = 0;
                        if served.looked {
                            self.gate.accept();
                        }
                    }
                    Err(PollError::Stopped) => {}
                    Err(PollError::Store(e)) => return Err(e),
                    Err(PollError::Call(e)) => {
                        memory.walk_failures = memory.walk_failures.saturating_add(1);
                        let pause = self.failed(&e, memory.walk_failures).await?;
                        memory.next_walk = clock::instant() + pause.max(self.poller.walk_interval());
                    }
                }
            }
            Next::Poll => {
                let since = clock::instant();
                let (pause, error, consistent) = match self.poll(stop).await {
                    Err(PollError::Stopped) => return Ok(()),
                    Err(PollError::Store(e)) => return Err(e),
                    Err(PollError::Call(e)) => {
                        memory.failures = memory.failures.saturating_add(1);
                        (self.failed(&e, memory.failures).await?, Some(e), None)
                    }
                    Ok(consistent) => {
                        memory.failures = 0;
                        self.gate.accept();
                        (self.interval().await?, None, consistent)
                    }
                };
                self.tell(Turn {
                    error: error.as_ref().map(ToString::to_string).as_deref(),
                    consistent,
                    interval: pause,
                    duration: since.elapsed(),
                    rejected: error.is_some_and(|e| e.disposition == Disposition::RefreshCredentials),
                });
                memory.next_poll = clock::instant() + pause.mul_f64(1.0 + JITTER * rand::random::<f64>());
            }
        }
        Ok(())
    }

    fn tell(&self, turn: Turn<'_>) {
        self.poller.observer.polled(&self.poller.listing, turn);
    }

    /// A restart goes on where the last process was: the poll that would have come next.
    async fn first_poll(&self) -> Result<Instant, StoreError> {
        let now = clock::now();
        let known = self.poller.store.listing(&self.poller.listing).await?.unwrap_or_default();
        let last = known.last_poll_at.filter(|_| known.error.is_none());
        let interval = self.interval().await?;
        // Else the wait would be held against the listing.
        self.poller.observer.waits(&self.poller.listing, interval);
        let since = last.map(|last| age(last, now).unsigned_abs());
        Ok(clock::instant() + since.map_or(Duration::ZERO, |since| interval.saturating_sub(since)))
    }

    async fn interval(&self) -> Result<Duration, StoreError> {
        match self.poller.interval().await {
            Err(PollError::Store(e)) => Err(e),
            other => Ok(other.unwrap_or(self.poller.config.interval)),
        }
    }

    /// Waits for the next thing to do. Registered for wanted links before the table is read.
    async fn wait(&self, next_poll: Instant, next_walk: Instant, stop: &CancellationToken) -> Result<Next, StoreError> {
        loop {
            let told = self.wanted.notified();
            tokio::pin!(told);
            told.as_mut().enable();
            let now = clock::instant();
            let walks = !self.poller.store.wanted(&self.poller.listing).await?.is_empty();
            let (next, at) =
                if walks && next_walk < next_poll { (Next::Walk, next_walk) } else { (Next::Poll, next_poll) };
            let at = if at <= now {
                match self.gate.turn(now, &self.keys) {
                    None => return Ok(if stop.is_cancelled() { Next::Stop } else { next }),
                    // Keys that are refused: until the account's next try, or until their files change.
                    Some(turn) => turn.min(now + KEYS_LOOKED_AT_EVERY),
                }
            } else {
                at
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Next::Stop),
                () = told => {}
                () = sleep_until(at) => {}
            }
        }
    }

    /// Polls; says of a sweep whether it was consistent.
    async fn poll(&self, stop: &CancellationToken) -> Result<Option<bool>, PollError> {
        let now = clock::now();
        let known = self.poller.store.listing(&self.poller.listing).await?.unwrap_or_default();
        let every = SignedDuration::try_from(self.poller.config.full_sweep_interval).unwrap_or(SignedDuration::MAX);
        // Other sweeps do not put it off: what is abandoned comes back with those of the beat alone.
        let beat = known.last_beat_at.is_none_or(|last| age(last, now) >= every);
        if beat || known.sweep_due {
            let revive_before = beat.then_some(now);
            let report = self.poller.full_sweep(revive_before, stop).await?;
            return Ok(Some(report.consistent));
        }
        self.poller.quick_poll(stop).await?;
        Ok(None)
    }

    /// Records a poll that failed; says how long to wait.
    async fn failed(&self, error: &CallError, in_a_row: u32) -> Result<Duration, StoreError> {
        self.note_rejection(error);
        let config = &self.poller.config;
        let pause = match error.disposition {
            // A permission is not given by asking again: the slow beat.
            Disposition::Denied => config.idle_interval.max(config.interval),
            _ => config.interval,
        };
        let text = error.to_string();
        events::poll_failed(
            &self.poller.listing,
            in_a_row,
            &text,
            error.code.as_deref(),
            error.request_id.as_deref(),
            Some(pause),
        );
        self.poller.store.poll_failed(&self.poller.listing, &text).await?;
        Ok(pause)
    }

    fn note_rejection(&self, error: &CallError) {
        if error.disposition == Disposition::RefreshCredentials {
            self.gate.reject(clock::instant(), self.poller.config.interval, &self.keys);
        }
    }
}

#[cfg(test)]
mod tests;
