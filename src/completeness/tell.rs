//! Says what is new of windows: a log line for each change, once, whatever ends the process in between.

use std::collections::HashMap;

use jiff::Timestamp;

use super::Expected;
use crate::{
    clock::rfc3339,
    events,
    model::window::{News, WindowState, news, words},
    store::{Said, Store, StoreError, WindowKey},
};

/// What is said at one time. Whoever begins to expect years of days would else say thousands of lines within a moment, more
/// than the journal takes.
const SAID_MAX: usize = 500;

/// Says what is new, the oldest of each expectation first. Whether that was all of it: else there is more to say soon.
/// It is remembered before it is said: a crash in between costs the line, and none is said twice.
///
/// Unless the work is `settled`, what lacks may only not have been fetched yet, so that nothing but what is archived is said.
///
/// # Errors
/// When the database fails; then nothing is said.
pub async fn tell(store: &Store, expected: &[Expected], settled: bool, now: Timestamp) -> Result<bool, StoreError> {
    if expected.is_empty() {
        return Ok(true);
    }
    let said = store.said().await?;
    let is_ripe = |news: News| settled || news == News::Archived;
    let all = expected.iter().flat_map(|expected| changes(expected, &said));
    let mut all: Vec<_> = all.filter(|(said, _)| is_ripe(said.news)).collect();
    let is_all = all.len() <= SAID_MAX;
    all.truncate(SAID_MAX);
    if all.is_empty() {
        return Ok(true);
    }
    let (said, lines): (Vec<Said>, Vec<_>) = all.into_iter().unzip();
    store.say(&said, now).await?;
    for (said, (expected, window)) in said.iter().zip(lines) {
        say(expected, window, said.news, now);
    }
    Ok(is_all)
}

/// What is new of the windows of an expectation.
fn changes<'e>(
    expected: &'e Expected,
    said: &HashMap<WindowKey, News>,
) -> impl Iterator<Item = (Said, (&'e Expected, &'e WindowState))> {
    expected.assessed.windows.iter().filter_map(move |state| {
        let key = WindowKey::new(&expected.listing, &expected.expectation, &state.window);
        let news = news(said.get(&key).copied(), state.state, state.is_fading)?;
        Some((Said { key, last_second: state.window.span.last_second(), news }, (expected, state)))
    })
}

/// One line, with the words of the commands.
fn say(expected: &Expected, state: &WindowState, news: News, now: Timestamp) {
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

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil::date, tz::TimeZone};

    use super::*;
    use crate::model::{
        task::{AccountName, Export, ListingKey},
        window::{Expectation, Horizon, Kind, NamePattern, assess},
    };

    /// Two years of days of which nothing is there.
    fn expected(now: Timestamp) -> Expected {
        let expectation = Expectation {
            export: Export::Usage,
            kind: Kind::Day,
            zone: TimeZone::UTC,
            name: NamePattern::new("*"),
            data: None,
            from: date(2024, 1, 1),
            due: SignedDuration::ZERO,
        };
        let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage };
        let assessed = assess(&expectation, &[], now, &Horizon::DOCUMENTED);
        Expected { listing, expectation, assessed }
    }

    #[tokio::test]
    async fn much_is_said_by_and_by_and_nothing_that_lacks_before_the_work_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let expected = [expected(now)];
        assert_eq!(expected[0].assessed.windows.len(), 731);
        let mut told = Vec::new();
        assert!(tell(&store, &expected, false, now).await.unwrap());
        assert!(store.said().await.unwrap().is_empty());
        for _ in 0..4 {
            let is_all = tell(&store, &expected, true, now).await.unwrap();
            told.push((is_all, store.said().await.unwrap().len()));
        }
        assert_eq!(told, [(false, 500), (true, 731), (true, 731), (true, 731)]);
        assert!(tell(&store, &[], true, now).await.unwrap());
    }
}
