//! What was last said of each window.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{Store, StoreError};
use crate::{
    clock::rfc3339,
    model::{
        task::{AccountName, Export, ListingKey},
        window::{Expectation, Kind, News, Window},
    },
};

/// Of every window: few are long gone, and most are expected. One JSON text, as in [`Store::window_facts`].
const SAID: &str = "SELECT json_group_array(json_array(account, export, window, name, range_start, said)) FROM windows";

const SAY: &str = "INSERT INTO windows (account, export, window, name, range_start, range_end, said, said_at)
     SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, ?2 FROM json_each(?1)
     WHERE true
     ON CONFLICT (account, export, window, name, range_start)
     DO UPDATE SET range_end = excluded.range_end, said = excluded.said, said_at = excluded.said_at";

/// Which window of which expectation. Another zone has other windows; another pattern is another expectation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowKey {
    listing: ListingKey,
    kind: Kind,
    name: String,
    start: Timestamp,
}

impl WindowKey {
    /// Of a window.
    #[must_use]
    pub fn new(listing: &ListingKey, expectation: &Expectation, window: &Window) -> Self {
        let name = expectation.name.as_str().to_owned();
        Self { listing: listing.clone(), kind: window.kind, name, start: window.span.start() }
    }

    /// Becomes that of another window of the same expectation.
    pub fn move_to(&mut self, window: &Window) {
        self.kind = window.kind;
        self.start = window.span.start();
    }
}

/// What is to be remembered of a window.
#[derive(Debug, Clone)]
pub struct Said {
    /// Which.
    pub key: WindowKey,
    /// Its last second.
    pub last_second: Timestamp,
    /// What is said of it.
    pub news: News,
}

impl Store {
    /// What was last said of each window of which anything was.
    ///
    /// # Errors
    /// When the database fails, or holds what this program does not write.
    pub async fn said(&self) -> Result<HashMap<WindowKey, News>, StoreError> {
        let text: String = sqlx::query_scalar(SAID)
            .fetch_one(&self.readers)
            .await
            .map_err(self.sql("read what was said of the windows"))?;
        let rows: Vec<(String, String, &str, String, &str, &str)> =
            serde_json::from_str(&text).map_err(|e| self.inconsistent("windows", e))?;
        let key = |(account, export, kind, name, start, said): (String, String, &str, String, &str, &str)| {
            let listing = ListingKey {
                account: self.word("windows.account", AccountName::parse(&account))?,
                export: Export::parse(&export).map_err(|e| self.inconsistent("windows.export", e))?,
            };
            let kind = Kind::ALL.into_iter().find(|k| k.as_str() == kind);
            let kind = kind.ok_or_else(|| self.inconsistent("windows.window", "a word that is none"))?;
            let start = start.parse().map_err(|e| self.inconsistent("windows.range_start", e))?;
            let news = News::from_word(said);
            let news = news.ok_or_else(|| self.inconsistent("windows.said", "a word that is none"))?;
            Ok((WindowKey { listing, kind, name, start }, news))
        };
        rows.into_iter().map(key).collect()
    }

    /// Remembers what is said, in one transaction: afterwards it may be.
    ///
    /// # Errors
    /// When the database fails; then nothing of it is remembered.
    pub async fn say(&self, said: &[Said], now: Timestamp) -> Result<(), StoreError> {
        let row = |Said { key, last_second, news }: &Said| {
            let ListingKey { account, export } = &key.listing;
            serde_json::json!([
                account.as_str(),
                export.as_str(),
                key.kind.as_str(),
                key.name,
                rfc3339(key.start),
                rfc3339(*last_second),
                news.as_str()
            ])
        };
        let rows = serde_json::Value::from_iter(said.iter().map(row)).to_string();
        sqlx::query(SAY)
            .bind(rows)
            .bind(rfc3339(now))
            .execute(&self.writer)
            .await
            .map_err(self.sql("remember what is said of windows"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil::date, tz::TimeZone};

    use super::*;
    use crate::model::window::NamePattern;

    #[tokio::test]
    async fn what_was_said_is_known_after_a_restart_and_each_window_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage };
        let expectation = |kind, name| Expectation {
            export: Export::Usage,
            kind,
            zone: TimeZone::UTC,
            name: NamePattern::new(name),
            data: None,
            from: date(2026, 1, 1),
            due: SignedDuration::ZERO,
        };
        let now: Timestamp = "2026-03-01T00:00:00Z".parse().unwrap();
        let mut all = Vec::new();
        for expectation in
            [expectation(Kind::Month, "a\"'*"), expectation(Kind::Day, "a\"'*"), expectation(Kind::Day, "*")]
        {
            for window in expectation.windows(now).take(2) {
                let key = WindowKey::new(&listing, &expectation, &window);
                all.push(Said { key, last_second: window.span.last_second(), news: News::Overdue });
            }
        }
        assert_eq!(all.len(), 6);
        store.say(&all, now).await.unwrap();
        store.say(&[], now).await.unwrap();
        all[3].news = News::Archived;
        store.say(&all[3..4], now).await.unwrap();
        store.close().await;
        let store = Store::open(dir.path()).await.unwrap();
        let said = store.said().await.unwrap();
        let expected: HashMap<_, _> = all.iter().map(|said| (said.key.clone(), said.news)).collect();
        assert_eq!(said, expected);
        let ends: Vec<String> =
            sqlx::query_scalar("SELECT DISTINCT range_end FROM windows WHERE window = 'month' ORDER BY 1")
                .fetch_all(&store.readers)
                .await
                .unwrap();
        assert_eq!(ends, ["2026-01-31T23:59:59.000Z", "2026-02-28T23:59:59.000Z"], "as in the listing");
    }
}
