//! Says what is new of windows: a log line for each change, once, whatever ends the process in between.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Expected;
use crate::{
    clock::rfc3339,
    events,
    model::{
        task::ListingKey,
        window::{News, WindowState, news, words},
    },
    store::{Said, Store, StoreError, WindowKey},
};

/// What is said at one time. Whoever begins to expect years of days would else say thousands of lines within a moment, more
/// than the journal takes.
const SAID_MAX: usize = 500;

/// What of a listing's windows may be said by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MaySay {
    /// That they are archived: what lacks may only not have been read or fetched yet.
    Archived,
    /// And that they are overdue, which ends when they are archived after all; not that they lack for good.
    Overdue,
    /// All of it: the listing was read, and what was found there is fetched.
    Everything,
}

impl MaySay {
    const fn allows(self, news: News) -> bool {
        match news {
            News::Archived => true,
            News::Overdue => matches!(self, Self::Overdue | Self::Everything),
            News::BeyondReach => matches!(self, Self::Everything),
        }
    }
}

/// Says what is new and `may` be said of its listing. The most urgent comes first, and of that the oldest of each expectation.
/// Whether that was all of it: else there is more to say soon.
/// It is remembered before it is said: a crash in between costs the line, and none is said twice.
///
/// # Errors
/// When the database fails; then nothing is said.
pub async fn tell(
    store: &Store,
    expected: &[Expected],
    may: impl Fn(&ListingKey) -> MaySay,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if expected.is_empty() {
        return Ok(true);
    }
    let known = store.said().await?;
    let mut lines = Vec::new();
    for expected in expected {
        let may = may(&expected.listing);
        lines.extend(changes(expected, &known).filter(|line| may.allows(line.news)));
    }
    // It keeps the order of what is equally urgent.
    lines.sort_by_key(|line| urgency(line.news));
    let is_all = lines.len() <= SAID_MAX;
    lines.truncate(SAID_MAX);
    if lines.is_empty() {
        return Ok(true);
    }
    let said: Vec<Said> = lines.iter().map(Line::said).collect();
    store.say(&said, now).await?;
    lines.iter().for_each(|line| line.say(now));
    Ok(is_all)
}

/// What a person can still do something about comes first, and what nothing helps last.
const fn urgency(news: News) -> u8 {
    match news {
        News::Overdue => 0,
        News::Archived => 1,
        News::BeyondReach => 2,
    }
}

/// What is new of the windows of an expectation.
fn changes<'e>(expected: &'e Expected, known: &HashMap<WindowKey, News>) -> impl Iterator<Item = Line<'e>> {
    let windows = &expected.assessed.windows;
    // One key for all of them: years of days are looked up at every look.
    let mut key = windows.first().map(|first| WindowKey::new(&expected.listing, &expected.expectation, &first.window));
    windows.iter().filter_map(move |state| {
        let key = key.as_mut()?;
        key.move_to(&state.window);
        let news = news(known.get(key).copied(), state.state, state.is_fading)?;
        Some(Line { expected, state, news })
    })
}

/// What is said of a window.
struct Line<'e> {
    expected: &'e Expected,
    state: &'e WindowState,
    news: News,
}

impl Line<'_> {
    /// What is remembered of it.
    fn said(&self) -> Said {
        let window = &self.state.window;
        let key = WindowKey::new(&self.expected.listing, &self.expected.expectation, window);
        Said { key, last_second: window.span.last_second(), news: self.news }
    }

    /// In the words of the commands.
    fn say(&self, now: Timestamp) {
        let Self { expected, state, news } = self;
        let expectation = &expected.expectation;
        let span = state.window.span;
        let advice = words::advice(state, expectation.export, expectation.data, now).join("; ");
        let window = events::Window {
            listing: &expected.listing,
            name: expectation.name.as_str(),
            window: state.window.kind.as_str(),
            date: &state.window.to_string(),
            range_start: &rfc3339(span.start()),
            range_end: &rfc3339(span.last_second()),
            due_at: &rfc3339(state.due_at),
            why: &words::why(state),
            advice: Some(advice.as_str()).filter(|advice| !advice.is_empty()),
        };
        match news {
            News::Archived => events::window_archived(&window),
            News::Overdue => events::window_overdue(&window),
            News::BeyondReach => events::window_beyond_reach(&window),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, civil::date, tz::TimeZone};

    use super::*;
    use crate::model::{
        download::DownloadState,
        task::{AccountName, Export, Status, TaskId},
        window::{DownloadFacts, Expectation, FileFacts, Horizon, Kind, NamePattern, State, TaskFacts, assess},
    };

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn now() -> Timestamp {
        at("2026-01-01T00:00:00Z")
    }

    /// A file of all from one time to another.
    fn archived(from: &str, last: &str) -> TaskFacts {
        TaskFacts {
            id: TaskId::parse("1").unwrap(),
            name: None,
            status: Status::parse("success").unwrap(),
            created_at: None,
            first_seen_at: now(),
            range: Some((at(from), at(last))),
            unlisted_at: None,
            download: Some(DownloadFacts { state: DownloadState::Stored, reason: None, reissued: false }),
            files: vec![FileFacts { revision: 1, path: "p".to_owned(), sha256: "aa".to_owned() }],
        }
    }

    /// Two years of days.
    fn expected(account: &str, tasks: &[TaskFacts]) -> Expected {
        let expectation = Expectation {
            export: Export::Usage,
            kind: Kind::Day,
            zone: TimeZone::UTC,
            name: NamePattern::new("*"),
            data: None,
            from: date(2024, 1, 1),
            due: SignedDuration::ZERO,
        };
        let listing = ListingKey { account: AccountName::parse(account).unwrap(), export: Export::Usage };
        let assessed = assess(&expectation, tasks, now(), &Horizon::DOCUMENTED);
        assert_eq!(assessed.windows.len(), 731);
        Expected { listing, expectation, assessed }
    }

    async fn counts(store: &Store) -> BTreeMap<News, usize> {
        let mut counts = BTreeMap::new();
        for news in store.said().await.unwrap().into_values() {
            *counts.entry(news).or_default() += 1;
        }
        counts
    }

    #[tokio::test]
    async fn much_is_said_by_and_by() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let expected = [expected("main", &[])];
        let mut told = Vec::new();
        for _ in 0..4 {
            let is_all = tell(&store, &expected, |_| MaySay::Everything, now()).await.unwrap();
            told.push((is_all, store.said().await.unwrap().len()));
        }
        assert_eq!(told, [(false, 500), (true, 731), (true, 731), (true, 731)]);
        assert!(tell(&store, &[], |_| MaySay::Everything, now()).await.unwrap());
    }

    #[tokio::test]
    async fn nothing_is_said_of_a_listing_that_may_only_not_be_known_yet() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let file = archived("2025-12-22T00:00:00Z", "2025-12-31T23:59:59Z");
        let expected = [expected("main", &[file]), expected("branch", &[])];
        let may = |branch| {
            move |listing: &ListingKey| match listing.account.as_str() {
                "branch" => branch,
                _ => MaySay::Archived,
            }
        };
        assert!(tell(&store, &expected, may(MaySay::Archived), now()).await.unwrap());
        assert_eq!(counts(&store).await, BTreeMap::from([(News::Archived, 10)]));
        assert!(tell(&store, &expected, may(MaySay::Overdue), now()).await.unwrap());
        let overdue = expected[1].assessed.windows.iter().filter(|w| w.state == State::Overdue).count();
        assert!(overdue > 300, "{overdue}");
        assert_eq!(counts(&store).await, BTreeMap::from([(News::Archived, 10), (News::Overdue, overdue)]));
        assert!(tell(&store, &expected, may(MaySay::Everything), now()).await.unwrap());
        let all = BTreeMap::from([(News::Archived, 10), (News::Overdue, overdue), (News::BeyondReach, 731 - overdue)]);
        assert_eq!(counts(&store).await, all);
    }

    #[tokio::test]
    async fn what_can_still_be_mended_is_said_before_what_is_well_and_what_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        // The newest days are overdue, and there is more to say of what is well and what is lost than fits.
        let file = archived("2024-06-01T00:00:00Z", "2025-11-30T23:59:59Z");
        let expected = [expected("main", &[file]), expected("branch", &[])];
        let of = |state| expected.iter().flat_map(|e| &e.assessed.windows).filter(|w| w.state == state).count();
        let (overdue, archived) = (of(State::Overdue), of(State::Archived));
        assert!(overdue < 500 && archived > 500, "{overdue} {archived}");
        assert!(!tell(&store, &expected, |_| MaySay::Everything, now()).await.unwrap());
        let first = BTreeMap::from([(News::Overdue, overdue), (News::Archived, 500 - overdue)]);
        assert_eq!(counts(&store).await, first);
        let said = store.said().await.unwrap();
        let key = |window| WindowKey::new(&expected[0].listing, &expected[0].expectation, window);
        let is_said: Vec<bool> = expected[0]
            .assessed
            .windows
            .iter()
            .filter(|w| w.state == State::Archived)
            .map(|w| said.contains_key(&key(&w.window)))
            .collect();
        assert!(is_said.is_sorted_by(|a, b| a >= b), "the oldest first");
        assert!(!tell(&store, &expected, |_| MaySay::Everything, now()).await.unwrap());
        assert_eq!(counts(&store).await.get(&News::Archived), Some(&archived));
    }
}
