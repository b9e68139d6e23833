//! What of a window's state is news: said once, and again only when it has become another.

use super::assess::State;

/// What is said of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum News {
    /// Files cover all of it.
    Archived,
    /// It is due, and not archived.
    Overdue,
    /// Some of it lacks and can be exported no more.
    BeyondReach,
}

impl News {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Archived, Self::Overdue, Self::BeyondReach];

    /// The word in the database: that of the state.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archived => State::Archived.as_str(),
            Self::Overdue => State::Overdue.as_str(),
            Self::BeyondReach => State::BeyondReach.as_str(),
        }
    }

    /// From the word in the database.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|news| news.as_str() == word)
    }
}

/// What is to be said of a window in this state, after `said` was the last that was. What is not due yet is no news. What
/// is beyond reach is said once and left: only that it is archived after all is news then, not that a task which came at
/// the last moment gives hope and takes it away again. But if all of it can be exported still, nothing `is_fading`, the
/// clock was wrong when that was said.
#[must_use]
pub fn news(said: Option<News>, state: State, is_fading: bool) -> Option<News> {
    let now = match state {
        State::Archived | State::Restated => News::Archived,
        State::Overdue => News::Overdue,
        State::BeyondReach => News::BeyondReach,
        State::Pending | State::Missing | State::Failed => return None,
    };
    match (said, now) {
        (Some(News::BeyondReach), News::Overdue) if is_fading => None,
        _ => (said != Some(now)).then_some(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a window that goes through these states.
    fn told(states: &[State]) -> Vec<News> {
        let mut said = Vec::new();
        for state in states {
            said.extend(news(said.last().copied(), *state, true));
        }
        said
    }

    #[test]
    fn each_change_is_said_once_and_what_lasts_is_not_said_again() {
        use State::{Archived, BeyondReach, Failed, Missing, Overdue, Pending, Restated};
        let cases: [(&[State], &[News]); 7] = [
            (&[Missing, Pending, Failed, Missing], &[]),
            (&[Missing, Pending, Archived, Archived, Restated, Archived], &[News::Archived]),
            (&[Missing, Overdue, Overdue, Archived], &[News::Overdue, News::Archived]),
            (&[Overdue, BeyondReach, BeyondReach], &[News::Overdue, News::BeyondReach]),
            (&[BeyondReach, Overdue, BeyondReach, Restated], &[News::BeyondReach, News::Archived]),
            // The bytes of a file were lost, and came back: in time, and late.
            (&[Archived, Pending, Archived], &[News::Archived]),
            (&[Archived, Overdue, Archived], &[News::Archived, News::Overdue, News::Archived]),
        ];
        for (states, said) in cases {
            assert_eq!(told(states), said, "{states:?}");
        }
    }

    #[test]
    fn a_state_that_was_said_is_no_news_and_every_word_is_read_back() {
        for state in State::ALL {
            for is_fading in [true, false] {
                let first = news(None, state, is_fading);
                assert_eq!(first.and_then(|said| news(Some(said), state, is_fading)), None, "{state:?}");
            }
        }
        for said in News::ALL {
            assert_eq!(News::from_word(said.as_str()), Some(said));
        }
        assert_eq!(News::from_word("missing"), None);
    }

    #[test]
    fn what_was_called_beyond_reach_by_a_wrong_clock_is_overdue_again() {
        assert_eq!(news(Some(News::BeyondReach), State::Overdue, false), Some(News::Overdue));
        assert_eq!(news(Some(News::BeyondReach), State::Missing, false), None);
    }
}
