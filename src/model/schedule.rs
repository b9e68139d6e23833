//! When a listing is read next, as far as what is stored can tell. The daemon does not ask this: it keeps its own time.
//! Whoever looks from outside does.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// For this long after its last change an unfinished task is looked for by every poll; later only by sweeps, so that a
/// task that never finishes does not cost a call a minute for ever.
pub const WATCHED_FOR: SignedDuration = SignedDuration::from_hours(48);

/// When something is to be expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// It will not happen by itself.
    Never,
    /// At any moment.
    Now,
    /// About then.
    At(Timestamp),
    /// Not later than so long from now: when it last went wrong is not on record.
    Within(Duration),
    /// As soon as the program runs again.
    AtStart,
}

/// What is known of a listing's polls, and of how often they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Polls {
    /// The last that succeeded.
    pub last_poll_at: Option<Timestamp>,
    /// The last full sweep of the regular beat.
    pub last_beat_at: Option<Timestamp>,
    /// A quick poll found more than it reads.
    pub sweep_due: bool,
    /// The last poll failed.
    pub is_failing: bool,
    /// The pause between two polls as things are: the short or the long one.
    pub interval: Duration,
    /// Between two sweeps of the beat.
    pub full_sweep_interval: Duration,
}

impl Polls {
    /// When the listing is polled next, by a program that runs.
    #[must_use]
    pub fn next_poll(&self, now: Timestamp) -> Due {
        if self.is_failing {
            return Due::Within(self.interval);
        }
        after(self.last_poll_at, self.interval, now)
    }

    /// When every page of it is read next: with the first poll that finds a sweep due.
    #[must_use]
    pub fn next_sweep(&self, now: Timestamp) -> Due {
        let poll = self.next_poll(now);
        let beat = if self.sweep_due { Due::Now } else { self.beat_due(now) };
        match (beat, poll) {
            (Due::At(beat), Due::At(poll)) => Due::At(beat.max(poll)),
            (Due::At(beat), Due::Within(pause)) if beat.duration_since(now) < signed(pause) => Due::Within(pause),
            (Due::At(beat), _) => Due::At(beat),
            (_, poll) => poll,
        }
    }

    /// When the next sweep of the regular beat comes, which alone brings abandoned downloads back.
    #[must_use]
    pub fn next_beat(&self, now: Timestamp) -> Due {
        Self { sweep_due: false, ..*self }.next_sweep(now)
    }

    fn beat_due(&self, now: Timestamp) -> Due {
        after(self.last_beat_at, self.full_sweep_interval, now)
    }
}

/// A time ahead was noted before the clock was set back, and counts as long ago.
fn after(last: Option<Timestamp>, pause: Duration, now: Timestamp) -> Due {
    match last.filter(|last| *last <= now).and_then(|last| last.saturating_add(signed(pause)).ok()) {
        Some(at) if at > now => Due::At(at),
        _ => Due::Now,
    }
}

fn signed(pause: Duration) -> SignedDuration {
    SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
    }

    fn polls() -> Polls {
        Polls {
            last_poll_at: Some(at(-4)),
            last_beat_at: Some(at(-60)),
            sweep_due: false,
            is_failing: false,
            interval: 10 * MINUTE,
            full_sweep_interval: 360 * MINUTE,
        }
    }

    #[test]
    fn the_next_poll_comes_an_interval_after_the_last_and_at_once_when_that_is_long_ago_or_ahead() {
        let now = at(0);
        let last = |last_poll_at| Polls { last_poll_at, ..polls() }.next_poll(now);
        assert_eq!(last(Some(at(-4))), Due::At(at(6)));
        assert_eq!(last(Some(at(-10))), Due::Now);
        assert_eq!(last(Some(at(5))), Due::Now, "a clock that was set back");
        assert_eq!(last(None), Due::Now);
        assert_eq!(Polls { is_failing: true, ..polls() }.next_poll(now), Due::Within(10 * MINUTE));
    }

    #[test]
    fn a_sweep_comes_with_the_first_poll_that_finds_it_due() {
        let now = at(0);
        assert_eq!(polls().next_sweep(now), Due::At(at(300)));
        assert_eq!(
            Polls { last_beat_at: Some(at(-358)), ..polls() }.next_sweep(now),
            Due::At(at(6)),
            "not before a poll"
        );
        assert_eq!(Polls { last_beat_at: Some(at(-400)), ..polls() }.next_sweep(now), Due::At(at(6)));
        assert_eq!(Polls { last_beat_at: None, last_poll_at: None, ..polls() }.next_sweep(now), Due::Now);
        assert_eq!(Polls { sweep_due: true, ..polls() }.next_sweep(now), Due::At(at(6)));
        assert_eq!(Polls { sweep_due: true, ..polls() }.next_beat(now), Due::At(at(300)));
        let failing = Polls { is_failing: true, ..polls() };
        assert_eq!(failing.next_sweep(now), Due::At(at(300)));
        assert_eq!(Polls { last_beat_at: None, ..failing }.next_sweep(now), Due::Within(10 * MINUTE));
        assert_eq!(Polls { last_beat_at: Some(at(-358)), ..failing }.next_sweep(now), Due::Within(10 * MINUTE));
    }
}
