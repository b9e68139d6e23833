//! The simulated time, and the only place that reads the real one.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::lock;

/// The monotonic clock of this machine.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// The wall clock of this machine.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn wall() -> Timestamp {
    Timestamp::now()
}

/// The clock of the simulated cloud. It starts at the wall clock and runs at its speed; it can be moved, sped up and
/// skewed while the servers run.
#[derive(Debug)]
pub struct SimClock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    base: Timestamp,
    since: Instant,
    speed: f64,
    skew: SignedDuration,
    dates_by_wall: bool,
}

impl State {
    fn now(&self) -> Timestamp {
        let real = instant().saturating_duration_since(self.since).as_secs_f64();
        let passed = SignedDuration::try_from_secs_f64(real * self.speed).unwrap_or(SignedDuration::ZERO);
        self.base.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    fn rebase(&mut self, base: Timestamp) {
        self.base = base;
        self.since = instant();
    }
}

impl SimClock {
    pub(crate) fn new() -> Self {
        let state =
            State { base: wall(), since: instant(), speed: 1.0, skew: SignedDuration::ZERO, dates_by_wall: false };
        Self { state: Mutex::new(state) }
    }

    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        lock(&self.state).now()
    }

    /// The time by which the gateway judges the date of a signature, and which it prints in `Date`: the simulated time
    /// and the skew.
    #[must_use]
    pub fn server_now(&self) -> Timestamp {
        let state = lock(&self.state);
        let now = if state.dates_by_wall { wall() } else { state.now() };
        now.checked_add(state.skew).unwrap_or(Timestamp::MAX)
    }

    /// Moves the time forward.
    pub fn advance(&self, by: Duration) {
        let mut state = lock(&self.state);
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        let to = state.now().checked_add(by).unwrap_or(Timestamp::MAX);
        state.rebase(to);
    }

    /// Sets the time, forward or back.
    pub fn set(&self, to: Timestamp) {
        lock(&self.state).rebase(to);
    }

    /// Lets the simulated time run `speed` times faster than the real one; 0 stops it.
    pub fn set_speed(&self, speed: f64) {
        let mut state = lock(&self.state);
        let now = state.now();
        state.rebase(now);
        state.speed = speed.max(0.0);
    }

    /// Lets the gateway judge the dates of signatures by the wall clock, whatever the simulated time is: for a client
    /// whose clock cannot be moved, while tasks and links live faster.
    pub fn set_dates_by_wall(&self, by_wall: bool) {
        lock(&self.state).dates_by_wall = by_wall;
    }

    /// How far the gateway's own clock is ahead of the simulated time: it enters the check of a signature's date and
    /// the `Date` header, nothing else.
    pub fn set_skew(&self, skew: SignedDuration) {
        lock(&self.state).skew = skew;
    }
}
