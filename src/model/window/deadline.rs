//! How long there is time: the service forgets.

use jiff::{RoundMode, SignedDuration, Timestamp, TimestampRound, Unit};

use super::{
    super::{download::Reason, outstanding::LISTED_FOR, task::Status},
    facts::{Fate, TaskFacts},
    span::Span,
};

/// The longest range that one export may have: the documentation says a month, the console 31 days.
pub const EXPORT_MAX: SignedDuration = SignedDuration::from_hours(31 * 24);

/// The service works on an export for minutes or hours. One that is no success after so long is not waited for.
const WORKED_ON_FOR: SignedDuration = SignedDuration::from_hours(48);

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
        waits.then(|| self.listed_until(task))
    }

    fn listed_until(&self, task: &TaskFacts) -> Timestamp {
        task.born_at().checked_add(self.listed).unwrap_or(Timestamp::MAX)
    }

    /// Whether a task is likely to bring what it would cover, so that nobody has to export that once more. One that the
    /// service has worked on for days is not; nor is a download for which the service has no file. Nor is any, once it is
    /// not new, for which it would be too late to export anew if it came to nothing.
    #[must_use]
    pub fn promises(&self, task: &TaskFacts, part: Span, now: Timestamp) -> bool {
        let is_new = now.duration_since(task.born_at()) < WORKED_ON_FOR;
        let in_time = self.exported_until(part.start()) > self.listed_until(task);
        match task.fate() {
            Fate::Pending => is_new || (task.status == Status::Success && in_time),
            Fate::Abandoned(reason) => !reason.is_some_and(Reason::is_final_there) && in_time,
            Fate::Stored | Fate::Failed | Fate::Lost => false,
        }
    }

    /// Until when usage from this time on can be exported: by full hours, as [`Horizon::open`].
    #[must_use]
    pub fn exported_until(&self, start: Timestamp) -> Timestamp {
        hour(start, RoundMode::Floor).checked_add(self.exported).unwrap_or(Timestamp::MAX)
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
        hour(now.checked_sub(self.exported).unwrap_or(Timestamp::MIN), RoundMode::Ceil)
    }
}

fn hour(at: Timestamp, mode: RoundMode) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Hour).mode(mode)).unwrap_or(at)
}
