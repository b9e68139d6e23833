//! Whether the daemon does its work: ages in, verdict out.

use std::{fmt, time::Duration};

/// The scheduler turns at least every 5 s. Twelve missed turns are no busy machine.
pub const TURN_AGE_MAX: Duration = Duration::from_secs(60);

/// So many missed rounds are overdue: one may fail of anything, two of a restart at the other side.
const ROUNDS: u32 = 3;

/// What is promised of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// Between its polls, as it is now.
    pub interval: Duration,
    /// How long one call may take.
    pub request_timeout: Duration,
    /// Between its full sweeps.
    pub full_sweep_interval: Duration,
}

/// How long ago a listing last did what; since the daemon watches it when it has not yet done so. What was before the
/// daemon's start is not held against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ages {
    /// Of its last successful poll.
    pub poll: Duration,
    /// Of its last consistent sweep.
    pub sweep: Duration,
}

/// Something that should have happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overdue {
    /// A successful poll.
    Poll {
        /// How long it has not.
        age: Duration,
        /// How long is accepted.
        limit: Duration,
    },
    /// A consistent sweep.
    Sweep {
        /// How long it has not.
        age: Duration,
        /// How long is accepted.
        limit: Duration,
    },
    /// A turn of the scheduler.
    Turn {
        /// How long it has not.
        age: Duration,
        /// How long is accepted.
        limit: Duration,
    },
}

impl fmt::Display for Overdue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, age, limit) = match self {
            Self::Poll { age, limit } => ("no successful poll", age, limit),
            Self::Sweep { age, limit } => ("no consistent sweep", age, limit),
            Self::Turn { age, limit } => ("no turn of the scheduler", age, limit),
        };
        write!(f, "{what} for {} s, {} s are accepted", age.as_secs(), limit.as_secs())
    }
}

/// What of a listing is overdue: nothing when it is healthy.
#[must_use]
pub fn judge_listing(beat: &Beat, ages: &Ages) -> Vec<Overdue> {
    let poll_limit = beat.interval.saturating_mul(ROUNDS).saturating_add(beat.request_timeout);
    let sweep_limit = beat.full_sweep_interval.saturating_mul(ROUNDS);
    let poll = (ages.poll > poll_limit).then_some(Overdue::Poll { age: ages.poll, limit: poll_limit });
    let sweep = (ages.sweep > sweep_limit).then_some(Overdue::Sweep { age: ages.sweep, limit: sweep_limit });
    poll.into_iter().chain(sweep).collect()
}

/// Whether the scheduler turns, by the age of its last turn.
#[must_use]
pub fn judge_turning(age: Duration) -> Option<Overdue> {
    (age > TURN_AGE_MAX).then_some(Overdue::Turn { age, limit: TURN_AGE_MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_listing_is_overdue_after_three_intervals_and_a_timeout_or_three_sweeps() {
        let busy = Beat { interval: secs(60), request_timeout: secs(15), full_sweep_interval: secs(21_600) };
        let idle = Beat { interval: secs(600), ..busy };
        let for_ever = Beat { interval: Duration::MAX, request_timeout: secs(15), full_sweep_interval: Duration::MAX };
        let table = [
            (busy, 0, 0, ""),
            (busy, 195, 64_800, ""),
            (busy, 196, 64_800, "no successful poll for 196 s, 195 s are accepted"),
            (busy, 195, 64_801, "no consistent sweep for 64801 s, 64800 s are accepted"),
            (
                busy,
                99_999,
                99_999,
                "no successful poll for 99999 s, 195 s are accepted; no consistent sweep for 99999 s, 64800 s are accepted",
            ),
            (idle, 1_815, 0, ""),
            (idle, 1_816, 0, "no successful poll for 1816 s, 1815 s are accepted"),
            (for_ever, u64::MAX, u64::MAX, ""),
        ];
        for (beat, poll, sweep, expected) in table {
            let overdue = judge_listing(&beat, &Ages { poll: secs(poll), sweep: secs(sweep) });
            let text = overdue.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            assert_eq!(text, expected, "{beat:?} {poll} {sweep}");
        }
    }

    #[test]
    fn a_scheduler_that_has_not_turned_for_a_minute_does_not_turn() {
        assert_eq!(judge_turning(secs(0)), None);
        assert_eq!(judge_turning(secs(60)), None);
        let overdue = judge_turning(secs(61)).map(|o| o.to_string());
        assert_eq!(overdue.as_deref(), Some("no turn of the scheduler for 61 s, 60 s are accepted"));
    }
}
