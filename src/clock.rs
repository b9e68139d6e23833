//! The only place that reads the time.

use jiff::{SignedDuration, Timestamp, Unit};
use tokio::time::Instant;

/// The wall clock, cut to the milliseconds that the database keeps.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(Unit::Millisecond).unwrap_or(now)
}

/// The monotonic clock: every interval is measured with it, so that a wall clock that is set changes none.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub fn instant() -> Instant {
    Instant::now()
}

/// RFC 3339, UTC, milliseconds: the one form in which times are stored and logged.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// The milliseconds between two times; 0 when they are the other way round.
#[must_use]
pub fn millis_between(start: Timestamp, end: Timestamp) -> u64 {
    let span: SignedDuration = end.duration_since(start);
    u64::try_from(span.as_millis()).unwrap_or(0)
}
