//! How long to wait before the next attempt, pure: the caller brings the randomness.

use std::time::Duration;

use jiff::SignedDuration;

/// No wait is longer, whatever a server asks for: a broken hint must not stop an account for a day, and an hour is
/// longer than any throttling window that the service documents.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);

/// No wait for the next attempt at a download is longer, with this maximum: neither our own nor one that a server asks
/// for. A time further ahead was noted before the clock was set back.
#[must_use]
pub fn horizon(max: Duration) -> SignedDuration {
    SignedDuration::try_from(max.max(WAIT_MAX)).unwrap_or(SignedDuration::MAX)
}

/// The wait after the failed attempt `attempt` (from 1).
///
/// Without a hint: full jitter, that is, anything between `base` and the ceiling `min(max, base * 2^attempt)`, picked by
/// `jitter` in `[0, 1)`. Clients that failed together then do not come back together. With a base of 500 ms and a
/// maximum of 5 min the ceilings are
///
/// | attempt | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 and later |
/// |---|---|---|---|---|---|---|---|---|---|---|
/// | ceiling in s | 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128 | 256 | 300 |
///
/// so that a call of eight attempts waits 127 s at most and about half of that as a rule.
///
/// A hint of the server is obeyed instead: never less than it says, and at most `base` more, so that those who were
/// told the same do not return in the same instant. Nothing is longer than [`WAIT_MAX`].
#[must_use]
pub fn delay(base: Duration, max: Duration, attempt: u32, hint: Option<Duration>, jitter: f64) -> Duration {
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.0 };
    let base = base.min(WAIT_MAX);
    if let Some(hint) = hint {
        return hint.saturating_add(base.mul_f64(jitter)).min(WAIT_MAX);
    }
    let ceiling = base.saturating_mul(2_u32.saturating_pow(attempt)).min(max).min(WAIT_MAX).max(base);
    base + (ceiling - base).mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: Duration = Duration::from_millis(500);
    const MAX: Duration = Duration::from_secs(300);

    #[test]
    fn the_ceilings_are_those_of_the_comment() {
        let ceilings: Vec<u64> = (1..=11).map(|n| delay(BASE, MAX, n, None, 1.0).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(ceilings[..7].iter().sum::<u64>(), 127);
        assert!((1..=11).all(|n| delay(BASE, MAX, n, None, 0.0) == BASE));
    }

    #[test]
    fn a_hint_is_a_lower_bound_and_an_hour_is_the_end() {
        let hint = Duration::from_secs(2);
        assert_eq!(delay(BASE, MAX, 7, Some(hint), 0.0), hint);
        assert_eq!(delay(BASE, MAX, 7, Some(hint), 0.5), Duration::from_millis(2250));
        assert_eq!(delay(BASE, MAX, 1, Some(Duration::MAX), 0.9), WAIT_MAX);
    }

    fn durations() -> impl Strategy<Value = Duration> {
        (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s >> (n % 64), n))
    }

    proptest! {
        #[test]
        fn every_wait_is_within_its_bounds(
            base in durations(), max in durations(), attempt in any::<u32>(), hint in proptest::option::of(durations()),
            jitter in prop_oneof![0.0..1.0, Just(f64::NAN), Just(f64::INFINITY), Just(-1.0)],
        ) {
            let wait = delay(base, max, attempt, hint, jitter);
            prop_assert!(wait <= WAIT_MAX);
            match hint {
                Some(hint) => prop_assert!(wait >= hint.min(WAIT_MAX)),
                None => {
                    prop_assert!(wait >= base.min(WAIT_MAX));
                    prop_assert!(wait <= max.max(base));
                }
            }
        }

        #[test]
        fn a_later_attempt_never_waits_less(attempt in 1_u32..64, jitter in 0.0..1.0) {
            prop_assert!(delay(BASE, MAX, attempt, None, jitter) <= delay(BASE, MAX, attempt + 1, None, jitter));
        }
    }
}
