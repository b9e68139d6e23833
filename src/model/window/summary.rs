//! Many windows in a few numbers: what every command, the metrics and the page show of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::assess::{State, WindowState};

/// How many windows are in which state, and what is most pressing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many there are of each state that any is in.
    pub counts: BTreeMap<State, u64>,
    /// When the window was due that is overdue longest.
    pub overdue_since: Option<Timestamp>,
    /// Until when everything that somebody has to export can be exported. What is beyond reach has no part in it: the
    /// rest of such a window fades hour by hour, whatever anybody does.
    pub export_by: Option<Timestamp>,
    /// When the first task leaves the listing that would fill a window and waits for its delivery.
    pub deliver_by: Option<Timestamp>,
}

impl Summary {
    /// Of these windows.
    #[must_use]
    pub fn of<'w>(windows: impl IntoIterator<Item = &'w WindowState>) -> Self {
        let mut summary = Self::default();
        summary.extend(windows);
        summary
    }

    fn add(&mut self, window: &WindowState) {
        let earlier = |a: Option<Timestamp>, b: Option<Timestamp>| a.into_iter().chain(b).min();
        *self.counts.entry(window.state).or_default() += 1;
        if window.state == State::Overdue {
            self.overdue_since = earlier(self.overdue_since, Some(window.due_at));
        }
        if window.state != State::BeyondReach {
            self.export_by = earlier(self.export_by, window.export_by);
        }
        self.deliver_by = earlier(self.deliver_by, window.deliver_by);
    }

    /// How many there are in a state.
    #[must_use]
    pub fn count(&self, state: State) -> u64 {
        self.counts.get(&state).copied().unwrap_or(0)
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Takes more into account.
impl<'w> Extend<&'w WindowState> for Summary {
    fn extend<T: IntoIterator<Item = &'w WindowState>>(&mut self, windows: T) {
        windows.into_iter().for_each(|window| self.add(window));
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil::date, tz::TimeZone};

    use super::*;
    use crate::model::{
        task::{Export, Status, TaskId},
        window::{Expectation, Horizon, Kind, NamePattern, TaskFacts, assess},
    };

    #[test]
    fn the_most_pressing_of_all_windows_is_what_a_summary_tells() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let expectation = Expectation {
            export: Export::Usage,
            kind: Kind::Month,
            zone: TimeZone::UTC,
            name: NamePattern::new("*"),
            data: None,
            from: date(2025, 1, 1),
            due: SignedDuration::from_hours(24),
        };
        let task = |id: &str, created: &str, from: &str, to: &str| TaskFacts {
            id: TaskId::parse(id).unwrap(),
            name: None,
            status: Status::Created,
            created_at: Some(at(created)),
            first_seen_at: at(created),
            range: Some((at(from), at(to))),
            unlisted_at: None,
            download: None,
            files: Vec::new(),
        };
        let tasks = [
            task("1", "2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z", "2026-02-28T23:59:59Z"),
            task("2", "2026-02-20T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-31T23:59:59Z"),
        ];
        let now = at("2026-03-01T12:00:00Z");
        let assessed = assess(&expectation, &tasks, now, &Horizon::DOCUMENTED);
        // Of March 2025 the first hours are gone; April is the first that can be had whole.
        let summary = Summary::of(&assessed.windows);
        let counts = [(State::Pending, 1), (State::Overdue, 10), (State::BeyondReach, 3)];
        assert_eq!(summary.counts, counts.into());
        assert_eq!((summary.total(), summary.count(State::Overdue), summary.count(State::Failed)), (14, 10, 0));
        assert_eq!(summary.overdue_since, Some(at("2025-05-02T00:00:00Z")));
        assert_eq!(summary.export_by, Some(at("2026-04-01T00:00:00Z")));
        assert_eq!(summary.deliver_by, Some(at("2026-05-20T00:00:00Z")));
        assert_eq!(Summary::of([]), Summary::default());
    }
}
