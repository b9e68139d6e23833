//! How fast one account is called.
//!
//! Three rules hold at once, and a permit is given only in the instant in which all of them agree:
//!
//! 1. **Rate.** GCRA: `calls_per_second` sustained, `burst` at once after a pause.
//! 2. **Window.** However long calls take, no second on the gateway's clock sees more than `calls_per_second + burst`
//!    of them. The rate alone cannot promise that: calls that were held up on their way may arrive together. So a call
//!    occupies a slot from its permit until one second after its end, and there are `calls_per_second + burst` slots.
//!    Take any window `[t, t + 1 s)`. A call that arrives in it arrives after its permit and before its end, so its end
//!    is not before its arrival, and its slot is held from before its arrival until at least a second after it. Both
//!    are so at the last instant of the window, for every call of the window: they hold different slots, and there
//!    are no more of those. (A call that timed out may in theory arrive later than its end. It has then been under way
//!    for the whole of `request_timeout`, and nothing on this side can take it back.)
//! 3. **Pause.** When the service throttles, the whole account waits as long as it says. Afterwards calls are spaced
//!    further apart: twice as far with each throttling, eight times at most, and a tenth less with each success.
//!
//! Callers are served in the order in which they came. A caller that goes away while it waits leaves nothing behind:
//! nothing is taken before the instant in which everything is.

use std::{
    collections::VecDeque,
    ops::Add,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, Reference},
    middleware::NoOpMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use tokio::{
    sync::{Mutex as FairMutex, Notify},
    time::{Instant, sleep_until},
};

use crate::{clock, config::RateLimit, model::backoff::WAIT_MAX};

/// How long a slot stays taken after its call.
const WINDOW: Duration = Duration::from_secs(1);

/// The widest spacing after throttling, as a multiple of the configured one. Three throttlings in a row reach it; at
/// 20 calls a second it leaves 2.5, which is slow enough for a service that is in trouble and lets a sweep end.
const SPACING_MAX: f64 = 8.0;

/// What a successful call leaves of the extra spacing: 20 of them undo the widest.
const RECOVERY: f64 = 0.9;

/// The permits of one account.
#[derive(Debug)]
pub struct Permits {
    /// Whoever holds it is next; it queues in order of arrival.
    door: FairMutex<()>,
    limiter: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<At>>,
    shared: Arc<Shared>,
    slots: usize,
    spacing: Duration,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// A call ended, so that the one at the door may learn when a slot is free.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    /// Permits out there.
    held: usize,
    /// When the slots of ended calls are free again, in order.
    cooling: VecDeque<Instant>,
    paused_until: Option<Instant>,
    last: Option<Instant>,
    factor: f64,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics half-way, so what a poisoned lock holds is whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to make one call. Hold it until the answer is read: the call ends when this is dropped.
#[derive(Debug)]
#[must_use = "the call must be made while the permit is held"]
pub struct Permit {
    shared: Arc<Shared>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.held = state.held.saturating_sub(1);
        state.cooling.push_back(clock::instant() + WINDOW);
        drop(state);
        self.shared.ended.notify_one();
    }
}

impl Permits {
    /// An account that has not been called yet.
    #[must_use]
    pub fn new(limit: &RateLimit) -> Self {
        let (rate, burst) = (limit.calls_per_second, limit.burst);
        let slots = rate.get().saturating_add(burst.get());
        Self {
            door: FairMutex::new(()),
            limiter: RateLimiter::direct_with_clock(Quota::per_second(rate).allow_burst(burst), MonotonicClock),
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    held: 0,
                    cooling: VecDeque::new(),
                    paused_until: None,
                    last: None,
                    factor: 1.0,
                }),
                ended: Notify::new(),
            }),
            slots: usize::try_from(slots).unwrap_or(usize::MAX),
            spacing: WINDOW / rate.get(),
        }
    }

    /// Waits for the right to make one call.
    pub async fn acquire(&self) -> Permit {
        let _turn = self.door.lock().await;
        // Ends: each turn waits for an instant that is fixed unless the service throttles again.
        loop {
            match self.try_acquire() {
                Ok(permit) => return permit,
                Err(Wait::Until(at)) => sleep_until(at).await,
                Err(Wait::Ended) => self.shared.ended.notified().await,
            }
        }
    }

    /// The service throttles: nobody calls for `wait` (an hour at most), and then more slowly. Returns by how much that is
    /// longer than what was asked for before.
    pub fn throttled(&self, wait: Duration) -> Duration {
        let now = clock::instant();
        let until = now + wait.min(WAIT_MAX);
        let mut state = self.shared.lock();
        // Calls in flight together are refused together; that is one throttling, not several.
        if state.paused_until.is_none_or(|earlier| earlier <= now) {
            state.factor = (state.factor * 2.0).min(SPACING_MAX);
        }
        let longer = until.saturating_duration_since(state.paused_until.unwrap_or(now).max(now));
        state.paused_until = state.paused_until.max(Some(until));
        longer
    }

    /// A call went well.
    pub fn succeeded(&self) {
        let mut state = self.shared.lock();
        state.factor = (state.factor * RECOVERY).max(1.0);
    }

    /// How long the account is still paused.
    #[cfg(test)]
    pub(super) fn paused_for(&self) -> Duration {
        let until = self.shared.lock().paused_until;
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(clock::instant()))
    }

    /// How much further apart than configured calls are now: 1 to 8.
    #[cfg(test)]
    pub(super) fn spacing_factor(&self) -> f64 {
        self.shared.lock().factor
    }

    fn try_acquire(&self) -> Result<Permit, Wait> {
        let now = clock::instant();
        let mut state = self.shared.lock();
        let spaced = state.last.filter(|_| state.factor > 1.0).map(|last| last + self.spacing.mul_f64(state.factor));
        if let Some(at) = state.paused_until.max(spaced).filter(|&at| at > now) {
            return Err(Wait::Until(at));
        }
        while state.cooling.front().is_some_and(|&free| free <= now) {
            state.cooling.pop_front();
        }
        if state.held + state.cooling.len() >= self.slots {
            return Err(state.cooling.front().map_or(Wait::Ended, |&free| Wait::Until(free)));
        }
        // Last, since it is the one that takes.
        self.limiter.check().map_err(|until: NotUntil<At>| Wait::Until(until.earliest_possible().0))?;
        state.held += 1;
        state.last = Some(now);
        Ok(Permit { shared: Arc::clone(&self.shared) })
    }
}

enum Wait {
    Until(Instant),
    /// All slots are taken, and none of their calls has ended.
    Ended,
}

/// governor brings clocks of its own, and none of them follows tokio's when a test stops it.
#[derive(Debug, Clone, Copy)]
struct MonotonicClock;

impl Clock for MonotonicClock {
    type Instant = At;

    fn now(&self) -> At {
        At(clock::instant())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct At(Instant);

impl Add<Nanos> for At {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for At {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        self.0.checked_sub(duration.into()).map_or(*self, Self)
    }
}

#[cfg(test)]
mod tests;
