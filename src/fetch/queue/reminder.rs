//! When a state that lasts is said again.

use std::time::Duration;

use tokio::time::Instant;

/// A state that lasts is said this often: whoever watches lines alone sees that it is not over.
const AGAIN: Duration = Duration::from_secs(3600);

/// Of one state, when it was last said.
#[derive(Debug, Default)]
pub(super) struct Reminder(Option<Instant>);

impl Reminder {
    /// Whether it is to be said now, at its onset or an hour after the last time; then that counts as done.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_none_or(|said| now.saturating_duration_since(said) >= AGAIN);
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }

    /// The state is over, and its next onset is news.
    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_said_at_its_onset_and_then_hourly_and_anew_after_its_end() {
        let (start, mut reminder) = (crate::clock::instant(), Reminder::default());
        let said: Vec<u64> =
            (0..=130).filter(|minute| reminder.is_due(start + Duration::from_secs(minute * 60))).collect();
        assert_eq!(said, [0, 60, 120]);
        reminder.end();
        assert!(reminder.is_due(start + Duration::from_secs(131 * 60)));
    }
}
