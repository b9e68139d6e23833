//! How long there is time: the service forgets.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

use super::{
    super::outstanding::LISTED_FOR,
    facts::{Fate, TaskFacts},
    span::Span,
};

/// How far back the service goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// For how long after its creation a task is listed.
    pub listed: SignedDuration,
    /// For how long after it came about usage can be exported.
    pub exported: SignedDuration,
}

impl Horizon {
    /// What the service documents: three months, and a year. Both are meant to be too short rather than too long, so
    /// three months are the shortest that there are, and a year is 365 days.
    pub const DOCUMENTED: Self = Self { listed: LISTED_FOR, exported: SignedDuration::from_hours(365 * 24) };

    /// When a task that is listed and not delivered will leave the listing; nothing for any other.
    #[must_use]
    pub fn leaves_listing_at(&self, task: &TaskFacts) -> Option<Timestamp> {
        let waits = matches!(task.fate(), Fate::Pending | Fate::Abandoned(_)) && task.unlisted_at.is_none();
        let born = task.created_at.unwrap_or(task.first_seen_at);
        waits.then(|| born.checked_add(self.listed).unwrap_or(Timestamp::MAX))
    }

    /// Until when usage from this time on can be exported.
    #[must_use]
    pub fn exported_until(&self, start: Timestamp) -> Timestamp {
        start.checked_add(self.exported).unwrap_or(Timestamp::MAX)
    }

    /// The part of a stretch that can be exported no more.
    #[must_use]
    pub fn gone(&self, span: Span, now: Timestamp) -> Option<Span> {
        Span::new(span.start(), span.end().min(self.edge(now)))
    }

    /// The part of a stretch that can be exported still.
    #[must_use]
    pub fn open(&self, span: Span, now: Timestamp) -> Option<Span> {
        Span::new(span.start().max(self.edge(now)), span.end())
    }

    /// Since when usage can be exported, on a full hour: an export of what is left begins with one, and there is time to
    /// create it.
    fn edge(&self, now: Timestamp) -> Timestamp {
        let edge = now.checked_sub(self.exported).unwrap_or(Timestamp::MIN);
        let hour = TimestampRound::new().smallest(Unit::Hour).mode(RoundMode::Ceil);
        edge.round(hour).unwrap_or(edge)
    }
}
