//! What `why` and `status` read beside what the others do.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::{FromRow, Row as _};

use super::{Store, StoreError, observe::json, signed, unsigned};
use crate::{
    clock::rfc3339,
    model::{
        download::{DownloadState, Reason},
        overview::Counts,
        task::{AccountName, Export, ListingKey, Status, TaskKey},
        why,
    },
};

/// A task as the rule of [`crate::model::why`] wants it, in one read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFacts {
    /// The service's last word.
    pub status: Status,
    /// When it left the listing.
    pub unlisted_at: Option<Timestamp>,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Its download.
    pub download: Option<why::Download>,
    /// Since when an attempt has been under way.
    pub active_since: Option<Timestamp>,
    /// Number of the last attempt begun.
    pub attempt: u32,
    /// Where the newest link leads: host and port.
    pub link_host: Option<String>,
}

/// An attempt that is under way.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "columns of `downloads`")]
pub struct Attempting {
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub attempt: i64,
    pub active_since: String,
}

/// A download that is tried again at its time.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "columns of `downloads`")]
pub struct Retrying {
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub attempt: i64,
    pub not_before: String,
    pub reason: Option<String>,
}

/// So many downloads of a listing are in this state, and those that were given up for this reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Whose.
    pub listing: ListingKey,
    /// Which state.
    pub state: String,
    /// Of those given up: why.
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
    /// The size of their newest files together.
    pub bytes: u64,
}

impl Given {
    /// What of them needs a person, beside so many windows that are overdue.
    #[must_use]
    pub fn counts(given: &[Self], lacking: u64) -> Counts {
        let of = |state: &'static str| given.iter().filter(move |g| g.state == state);
        let is_settled_here = |g: &&Self| {
            let reason = g.reason.as_deref().and_then(Reason::from_word);
            reason.is_some_and(Reason::is_settled_here)
        };
        Counts {
            abandoned: of("abandoned").map(|g| g.count).sum(),
            refused_here: of("pending").filter(is_settled_here).map(|g| g.count).sum(),
            lacking,
        }
    }
}

#[derive(FromRow)]
struct GivenRow {
    account: String,
    export: String,
    state: String,
    why: Option<String>,
    count: i64,
    bytes: Option<i64>,
}

pub(super) const FACTS: &str =
    "SELECT t.status, t.unlisted_at, t.last_seen_at, d.state, d.active_since, d.link IS NOT NULL AS has_link,
    d.wanted_at IS NOT NULL AS is_wanted, d.recheck, d.not_before, d.failures, d.reason, d.attempt, d.link_host
    FROM tasks AS t
    LEFT JOIN downloads AS d ON d.account = t.account AND d.export = t.export AND d.task_id = t.task_id
    WHERE t.account = ?1 AND t.export = ?2 AND t.task_id = ?3";

pub(super) const ATTEMPTING: &str = "SELECT account, export, task_id, attempt, active_since FROM downloads
     WHERE active_since IS NOT NULL ORDER BY active_since LIMIT ?1";

pub(super) const RETRYING: &str = "SELECT d.account, d.export, d.task_id, d.attempt, d.not_before, d.reason
     FROM json_each(?1) AS j
     CROSS JOIN downloads AS d INDEXED BY downloads_waiting
     WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = j.value ->> 0 AND d.export = j.value ->> 1
        AND d.active_since IS NULL AND d.link IS NOT NULL AND d.not_before > ?2 AND d.not_before <= ?3
     ORDER BY d.not_before LIMIT ?4";

// In the order of the table, as the counts for the metrics: once over 300,000 rows takes some 0.2 s.
pub(super) const GIVEN: &str =
    "SELECT account, export, state, iif(state IN ('pending', 'abandoned'), reason, NULL) AS why, count(*) AS count,
            sum(bytes) AS bytes
     FROM downloads NOT INDEXED GROUP BY account, export, state, why";

pub(super) const UNDONE: &str =
    "SELECT d.account, d.export, d.state, d.reason AS why, count(*) AS count, sum(d.bytes) AS bytes
     FROM json_each(?1) AS j
     CROSS JOIN downloads AS d INDEXED BY downloads_undelivered
     WHERE d.state <> 'stored' AND d.account = j.value ->> 0 AND d.export = j.value ->> 1
     GROUP BY d.account, d.export, d.state, d.reason";

impl Store {
    /// What is known of one task, for [`crate::model::why::explain`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn task_facts(&self, key: &TaskKey) -> Result<Option<TaskFacts>, StoreError> {
        let failed = || self.sql("read a task");
        let row = sqlx::query(FACTS)
            .bind(key.listing.account.as_str())
            .bind(key.listing.export.as_str())
            .bind(key.id.as_str())
            .fetch_optional(&self.readers)
            .await
            .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let text = |column: &'static str| row.try_get::<Option<String>, _>(column).map_err(failed());
        let time = |column: &'static str| self.time(column, text(column)?.as_deref());
        let active_since = time("active_since")?;
        let download = match text("state")? {
            None => None,
            Some(word) => Some(why::Download {
                state: DownloadState::from_word(&word)
                    .ok_or_else(|| self.inconsistent("downloads.state", format!("{word:?} is no state")))?,
                is_active: active_since.is_some(),
                has_link: row.try_get("has_link").map_err(failed())?,
                is_wanted: row.try_get("is_wanted").map_err(failed())?,
                recheck: row.try_get("recheck").map_err(failed())?,
                not_before: time("not_before")?,
                failures: row.try_get("failures").map_err(failed())?,
                reason: text("reason")?.as_deref().and_then(Reason::from_word),
            }),
        };
        Ok(Some(TaskFacts {
            status: self.word("tasks.status", Status::parse(&text("status")?.unwrap_or_default()))?,
            unlisted_at: time("unlisted_at")?,
            changed_at: time("last_seen_at")?.unwrap_or(Timestamp::UNIX_EPOCH),
            download,
            active_since,
            attempt: row.try_get::<Option<u32>, _>("attempt").map_err(failed())?.unwrap_or(0),
            link_host: text("link_host")?,
        }))
    }

    /// Every listing that was ever configured, in order.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn listing_keys(&self) -> Result<Vec<ListingKey>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT account, export FROM listings ORDER BY account, export")
                .fetch_all(&self.readers)
                .await
                .map_err(self.sql("read the listings"))?;
        rows.into_iter()
            .map(|(account, export)| {
                Ok(ListingKey {
                    account: self.word("listings.account", AccountName::parse(&account))?,
                    export: self.word("listings.export", Export::parse(&export))?,
                })
            })
            .collect()
    }

    /// The attempts that are under way, the longest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempting(&self, limit: u64) -> Result<Vec<Attempting>, StoreError> {
        sqlx::query_as(ATTEMPTING)
            .bind(signed(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.sql("read what is being downloaded"))
    }

    /// What these listings try again after `now` and not later than `horizon`, the soonest first. Reads what waits, not
    /// what is stored.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn retrying(
        &self,
        listings: &[ListingKey],
        now: Timestamp,
        horizon: Timestamp,
        limit: u64,
    ) -> Result<Vec<Retrying>, StoreError> {
        let pairs: Vec<_> = listings.iter().map(|l| (l.account.as_str(), l.export.as_str())).collect();
        sqlx::query_as(RETRYING)
            .bind(json(&pairs))
            .bind(rfc3339(now))
            .bind(rfc3339(horizon))
            .bind(signed(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.sql("read what is tried again"))
    }

    /// The downloads of these listings by state, and those given up by reason as well. Reads every download.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn downloads_given(&self, listings: &[ListingKey]) -> Result<Vec<Given>, StoreError> {
        let rows: Vec<GivenRow> =
            sqlx::query_as(GIVEN).fetch_all(&self.readers).await.map_err(self.sql("count the downloads"))?;
        Ok(of_these(listings, rows))
    }

    /// Those of them that are not stored, by state and the reason of the last failure. Reads these, and no others.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn undone(&self, listings: &[ListingKey]) -> Result<Vec<Given>, StoreError> {
        let pairs: Vec<_> = listings.iter().map(|l| (l.account.as_str(), l.export.as_str())).collect();
        let rows: Vec<GivenRow> = sqlx::query_as(UNDONE)
            .bind(json(&pairs))
            .fetch_all(&self.readers)
            .await
            .map_err(self.sql("count what is not stored"))?;
        Ok(of_these(listings, rows))
    }
}

fn of_these(listings: &[ListingKey], rows: Vec<GivenRow>) -> Vec<Given> {
    let given = rows.into_iter().filter_map(|row| {
        let listing =
            ListingKey { account: AccountName::parse(&row.account).ok()?, export: Export::parse(&row.export).ok()? };
        let (count, bytes) = (unsigned(row.count), unsigned(row.bytes.unwrap_or(0)));
        listings.contains(&listing).then_some(Given { listing, state: row.state, reason: row.why, count, bytes })
    });
    given.collect()
}
