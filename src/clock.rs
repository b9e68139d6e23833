//! The only place that reads the time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, Unit, fmt::rfc2822};
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

/// Microseconds of `CLOCK_MONOTONIC`, by which systemd tells one reload from the next.
#[must_use]
pub fn monotonic_usec() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let usec = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
    u64::try_from(usec).unwrap_or(0)
}

/// What the process has spent of its processors' time, in user and system mode.
#[must_use]
pub fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(spent).unwrap_or_default()
}

/// RFC 3339, UTC, milliseconds: the one form in which times are stored and logged.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A date as HTTP writes it.
#[must_use]
pub fn http_date(text: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// The milliseconds between two times; 0 when they are the other way round.
#[must_use]
pub fn millis_between(start: Timestamp, end: Timestamp) -> u64 {
    let span: SignedDuration = end.duration_since(start);
    u64::try_from(span.as_millis()).unwrap_or(0)
}
