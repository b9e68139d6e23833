//! The transition function: what is known of a task, and how it is listed now, give what is recorded.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::{
    age::age,
    task::{Status, TaskSnapshot},
};

/// An unfinished task whose update time keeps moving is recorded at most this often: some services touch a running
/// job every few seconds, and a year of that is no history.
pub const UPDATED_AT_MOST_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Which kind of change a transition is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Never seen before.
    First,
    /// Another status.
    Status,
    /// The same status, a newer update time.
    Updated,
    /// Gone from the listing.
    Unlisted,
    /// Back in the listing.
    Relisted,
    /// The same id with another creation time or range: another task.
    Reissued,
}

impl Kind {
    /// The stored word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Status => "status",
            Self::Updated => "updated",
            Self::Unlisted => "unlisted",
            Self::Relisted => "relisted",
            Self::Reissued => "reissued",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a task: the projection of its transitions, and what is needed to judge the next sight of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The user's text.
    pub name: Option<String>,
    /// The last recorded word.
    pub status: Status,
    /// The service's creation time.
    pub created_at: Option<Timestamp>,
    /// The last recorded update time.
    pub updated_at: Option<Timestamp>,
    /// Begin of the range.
    pub range_start: Option<Timestamp>,
    /// End of the range.
    pub range_end: Option<Timestamp>,
    /// Whether it is marked as gone from the listing.
    pub unlisted: bool,
    /// Whether the last consistent sweep lacked it.
    pub missed: bool,
    /// When a change of its update time alone was last recorded.
    pub update_recorded_at: Option<Timestamp>,
}

/// What one sight of a task adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// The transition to record, if any.
    pub kind: Option<Kind>,
    /// The status before it; absent for the first.
    pub from: Option<Status>,
    /// What is known from now on.
    pub next: Known,
    /// Whether anything differs from what was known; when not, nothing is written.
    pub changed: bool,
}

/// Judges one sight. Of several changes at once the first of reissued, relisted, status, updated is recorded; the
/// projection takes them all. Some 600 instructions, most of them to copy texts: a hundredth of what it takes to read the row.
#[must_use]
pub fn observe(known: Option<&Known>, seen: &TaskSnapshot, now: Timestamp) -> Observation {
    let Some(known) = known else {
        return Observation { kind: Some(Kind::First), from: None, next: first(seen), changed: true };
    };
    let kind = if differs(known.created_at, seen.created_at)
        || differs(known.range_start, seen.range_start)
        || differs(known.range_end, seen.range_end)
    {
        Some(Kind::Reissued)
    } else if known.unlisted {
        Some(Kind::Relisted)
    } else if known.status != seen.status {
        Some(Kind::Status)
    } else if is_newer(known.updated_at, seen.updated_at) && may_record_update(known, now) {
        Some(Kind::Updated)
    } else {
        None
    };
    let mut next = Known {
        name: seen.name.clone().or_else(|| known.name.clone()),
        created_at: seen.created_at.or(known.created_at),
        range_start: seen.range_start.or(known.range_start),
        range_end: seen.range_end.or(known.range_end),
        unlisted: false,
        missed: false,
        ..known.clone()
    };
    if let Some(kind) = kind {
        next.status = seen.status.clone();
        next.updated_at = seen.updated_at.or(known.updated_at);
        if kind == Kind::Updated {
            next.update_recorded_at = Some(now);
        }
    }
    Observation { kind, from: kind.map(|_| known.status.clone()), changed: next != *known, next }
}

fn first(seen: &TaskSnapshot) -> Known {
    Known {
        name: seen.name.clone(),
        status: seen.status.clone(),
        created_at: seen.created_at,
        updated_at: seen.updated_at,
        range_start: seen.range_start,
        range_end: seen.range_end,
        unlisted: false,
        missed: false,
        update_recorded_at: None,
    }
}

/// A time that the listing left out says nothing.
fn differs(known: Option<Timestamp>, seen: Option<Timestamp>) -> bool {
    matches!((known, seen), (Some(k), Some(s)) if k != s)
}

fn is_newer(known: Option<Timestamp>, seen: Option<Timestamp>) -> bool {
    match (known, seen) {
        (Some(k), Some(s)) => s > k,
        (None, Some(_)) => true,
        (_, None) => false,
    }
}

fn may_record_update(known: &Known, now: Timestamp) -> bool {
    known.status.is_finished() || known.update_recorded_at.is_none_or(|last| age(last, now) >= UPDATED_AT_MOST_EVERY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::task::TaskId;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const T0: &str = "2026-01-01T00:00:00Z";
    const T1: &str = "2026-01-01T00:10:00Z";
    const NOW: &str = "2026-01-02T00:00:00Z";

    fn seen(status: &str, updated: &str) -> TaskSnapshot {
        TaskSnapshot {
            id: TaskId::parse("11").unwrap(),
            name: Some("n".into()),
            status: Status::parse(status).unwrap(),
            created_at: Some(at(T0)),
            updated_at: Some(at(updated)),
            range_start: Some(at("2025-12-01T16:00:00Z")),
            range_end: Some(at("2025-12-31T15:59:59Z")),
            link: None,
        }
    }

    fn known(status: &str) -> Known {
        first(&seen(status, T0))
    }

    #[test]
    fn every_pair_of_statuses_gives_one_transition_or_none() {
        let words = ["created", "success", "failed", "exporting"];
        for from in words {
            for to in words {
                let o = observe(Some(&known(from)), &seen(to, T0), at(NOW));
                if from == to {
                    assert_eq!((o.kind, o.changed), (None, false), "{from} -> {to}");
                } else {
                    assert_eq!(o.kind, Some(Kind::Status), "{from} -> {to}");
                    assert_eq!(o.from.unwrap().as_str(), from);
                    assert_eq!(o.next.status.as_str(), to);
                }
            }
        }
    }

    #[test]
    fn the_first_sight_is_recorded_whatever_the_status() {
        let o = observe(None, &seen("success", T1), at(NOW));
        assert_eq!((o.kind, o.from.is_none(), o.changed), (Some(Kind::First), true, true));
        assert_eq!(o.next.updated_at, Some(at(T1)));
    }

    #[test]
    fn of_several_changes_the_first_of_reissued_relisted_status_updated_is_recorded() {
        let gone = Known { unlisted: true, ..known("created") };
        let mut again = seen("success", T1);
        assert_eq!(observe(Some(&gone), &again, at(NOW)).kind, Some(Kind::Relisted));
        again.created_at = Some(at(T1));
        assert_eq!(observe(Some(&gone), &again, at(NOW)).kind, Some(Kind::Reissued));
        assert_eq!(observe(Some(&known("created")), &seen("success", T1), at(NOW)).kind, Some(Kind::Status));
        assert_eq!(observe(Some(&known("success")), &seen("success", T1), at(NOW)).kind, Some(Kind::Updated));
    }

    #[test]
    fn a_change_of_the_range_or_of_the_creation_time_is_another_task_and_a_missing_one_is_not() {
        type Change = fn(&mut TaskSnapshot, Option<Timestamp>);
        let changes: [Change; 3] = [|s, t| s.created_at = t, |s, t| s.range_start = t, |s, t| s.range_end = t];
        for change in changes {
            let mut s = seen("created", T0);
            change(&mut s, Some(at("2026-03-03T00:00:00Z")));
            assert_eq!(observe(Some(&known("created")), &s, at(NOW)).kind, Some(Kind::Reissued));
            change(&mut s, None);
            let o = observe(Some(&known("created")), &s, at(NOW));
            assert_eq!((o.kind, o.changed), (None, false));
        }
    }

    #[test]
    fn what_is_known_afterwards_is_what_was_seen() {
        let gone = Known { unlisted: true, missed: true, ..known("created") };
        let mut s = seen("success", T1);
        assert_eq!(observe(Some(&gone), &s, at(NOW)).next, first(&s), "relisted");
        let other = Some(at("2026-03-03T00:00:00Z"));
        (s.created_at, s.range_start, s.range_end) = (other, other, other);
        s.name = Some("another".into());
        assert_eq!(observe(Some(&gone), &s, at(NOW)).next, first(&s), "reissued");
        (s.created_at, s.range_start, s.range_end, s.name) = (None, None, None, None);
        let o = observe(Some(&gone), &s, at(NOW));
        let kept = Known { status: s.status.clone(), updated_at: s.updated_at, ..known("created") };
        assert_eq!(o.next, kept, "what the listing left out stays as it was");
    }

    #[test]
    fn every_kind_has_its_word() {
        let kinds = [Kind::First, Kind::Status, Kind::Updated, Kind::Unlisted, Kind::Relisted, Kind::Reissued];
        let words = ["first", "status", "updated", "unlisted", "relisted", "reissued"];
        assert_eq!(kinds.map(|kind| kind.to_string()), words);
    }

    #[test]
    fn an_older_update_time_is_nothing_new_but_a_status_that_goes_back_is() {
        let k = first(&seen("success", T1));
        assert!(!observe(Some(&k), &seen("success", T0), at(NOW)).changed);
        let o = observe(Some(&k), &seen("created", T0), at(NOW));
        assert_eq!((o.kind, o.next.updated_at), (Some(Kind::Status), Some(at(T0))));
    }

    #[test]
    fn updates_of_an_unfinished_task_are_recorded_at_most_once_an_hour() {
        let mut k = known("created");
        let o = observe(Some(&k), &seen("created", T1), at(NOW));
        assert_eq!(o.kind, Some(Kind::Updated));
        k = o.next;
        let later = seen("created", "2026-01-01T01:00:00Z");
        assert_eq!(observe(Some(&k), &later, at("2026-01-02T00:59:59Z")).kind, None);
        assert!(!observe(Some(&k), &later, at("2026-01-02T00:59:59Z")).changed);
        assert_eq!(observe(Some(&k), &later, at("2026-01-02T01:00:00Z")).kind, Some(Kind::Updated));
        assert_eq!(observe(Some(&k), &later, at("2026-01-01T00:00:00Z")).kind, Some(Kind::Updated), "a clock set back");
    }

    #[test]
    fn a_missed_task_that_is_seen_again_is_written_without_a_transition() {
        let k = Known { missed: true, ..known("success") };
        let o = observe(Some(&k), &seen("success", T0), at(NOW));
        assert_eq!((o.kind, o.changed, o.next.missed), (None, true, false));
    }

    #[test]
    fn a_new_name_alone_is_written_without_a_transition() {
        let mut s = seen("success", T0);
        s.name = Some("other".into());
        let o = observe(Some(&known("success")), &s, at(NOW));
        assert_eq!((o.kind, o.changed), (None, true));
        s.name = None;
        assert!(!observe(Some(&known("success")), &s, at(NOW)).changed);
    }

    #[test]
    fn seeing_the_same_again_changes_nothing() {
        for status in ["created", "success", "failed", "odd"] {
            for updated in [T0, T1] {
                let o = observe(None, &seen(status, updated), at(NOW));
                let again = observe(Some(&o.next), &seen(status, updated), at(NOW));
                assert_eq!((again.kind, again.changed), (None, false));
            }
        }
    }
}
