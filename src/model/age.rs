//! How long ago something was, by a clock that may have been set since.

use jiff::{SignedDuration, Timestamp};

/// How long before `now` it was. What lies ahead was noted before the clock was set back: how long ago that was is not
/// known, and it counts as long ago, because what waits for it would wait for the clock to catch up. Only where haste does
/// harm, in what makes a task unlisted, the wait begins anew instead (`judge_total`, `judge_missing`).
#[must_use]
pub fn age(at: Timestamp, now: Timestamp) -> SignedDuration {
    if at > now { SignedDuration::MAX } else { now.duration_since(at) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_ahead_counts_as_long_ago() {
        let now = Timestamp::from_second(1_767_225_600).unwrap();
        let second = SignedDuration::from_secs(1);
        assert_eq!((age(now, now), age(now - second, now)), (SignedDuration::ZERO, second));
        assert_eq!(age(now + second, now), SignedDuration::MAX);
        assert_eq!(age(Timestamp::MAX, Timestamp::MIN), SignedDuration::MAX);
    }
}
