//! The queue as a whole: what waits in it, what a run owes, and what comes back.

use std::{collections::BTreeSet, io};

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Store, StoreError, observe::json, unsigned};
use crate::{
    clock::rfc3339,
    model::task::{ListingKey, TaskId, TaskKey},
};

/// What is still to be done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Downloads that have a link: due now, later, or under way.
    pub with_link: u64,
    /// Downloads that wait for one.
    pub wanted: u64,
    /// When the next becomes due; none when nothing is timed.
    pub next_due: Option<Timestamp>,
}

// Left to itself, SQLite takes the index of the key, and with it every download that a listing ever had.
pub(super) const WAITING: &str =
    "SELECT count(*) FILTER (WHERE d.link IS NOT NULL OR d.active_since IS NOT NULL) AS with_link,
            count(*) FILTER (WHERE d.wanted_at IS NOT NULL AND d.active_since IS NULL) AS wanted,
            min(iif(d.link IS NOT NULL AND d.active_since IS NULL, COALESCE(d.not_before, ?2), NULL)) AS next_due,
            (SELECT count(*) FROM downloads WHERE active_since IS NOT NULL AND state = 'active') AS active
     FROM json_each(?1) AS j
     CROSS JOIN downloads AS d INDEXED BY downloads_waiting
     WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = j.value ->> 0 AND d.export = j.value ->> 1";

/// As above, by listing, and no further than the first of each.
pub(super) const IN_HAND: &str =
    "SELECT j.key FROM json_each(?1) AS j
     WHERE EXISTS (SELECT 1 FROM downloads AS d INDEXED BY downloads_waiting
                   WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = j.value ->> 0 AND d.export = j.value ->> 1
                     AND (d.link IS NOT NULL OR d.active_since IS NOT NULL))
        OR EXISTS (SELECT 1 FROM downloads AS d INDEXED BY downloads_active
                   WHERE d.active_since IS NOT NULL AND d.state = 'active' AND d.account = j.value ->> 0
                     AND d.export = j.value ->> 1)";

pub(super) const HAS_LINKED: &str = "SELECT EXISTS (SELECT 1 FROM json_each(?1) AS j
        CROSS JOIN downloads AS d INDEXED BY downloads_waiting
        WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = j.value ->> 0 AND d.export = j.value ->> 1
            AND d.link IS NOT NULL)";

// Read after every attempt: neither what a listing ever had nor what waits with its link may count.
pub(super) const WANTED: &str = "SELECT d.task_id, t.page FROM downloads AS d INDEXED BY downloads_wanted
     CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
     WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = ?1 AND d.export = ?2 AND d.wanted_at IS NOT NULL
        AND d.active_since IS NULL
     ORDER BY d.queued_for, d.task_id";

// A run writes what is held against a download, and nothing where there is nothing.
pub(super) const MAKE_DUE: &str =
    "UPDATE downloads INDEXED BY downloads_waiting SET not_before = NULL, failures = 0, attempt = 0
     WHERE (state = 'pending' OR recheck = 1) AND active_since IS NULL
        AND (not_before IS NOT NULL OR failures <> 0 OR attempt <> 0)
        AND account IN (SELECT value ->> 0 FROM json_each(?1))
        AND (account, export) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))";

// A task is listed as a success and queued in one transaction, so that what is not stored has its row in the queue.
pub(super) const UNDELIVERED: &str = "SELECT count(*) FROM json_each(?1) AS j
     CROSS JOIN downloads AS d INDEXED BY downloads_undelivered
        ON d.account = j.value ->> 0 AND d.export = j.value ->> 1 AND d.state <> 'stored'
     CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
     WHERE t.status = 'success' AND t.unlisted_at IS NULL";

impl Store {
    /// Counts what the queue of these accounts and exports still has to do. In one statement: between two, a download
    /// could go from what the second counts to what the first does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn waiting(&self, listings: &[ListingKey], now: Timestamp) -> Result<Waiting, StoreError> {
        let failed = || self.sql("count what waits in the queue");
        let rows = sqlx::query(WAITING)
            .bind(json(&pairs(listings)))
            .bind(rfc3339(now))
            .fetch_one(&self.readers)
            .await
            .map_err(failed())?;
        let count = |column: &'static str| rows.try_get::<i64, _>(column).map(unsigned).map_err(failed());
        Ok(Waiting {
            with_link: count("with_link")? + count("active")?,
            wanted: count("wanted")?,
            next_due: self.time("downloads.not_before", rows.try_get("next_due").map_err(failed())?)?,
        })
    }

    /// Whether any download of these listings waits with a link. Reads no further than the first that does.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_linked(&self, listings: &[ListingKey]) -> Result<bool, StoreError> {
        sqlx::query_scalar(HAS_LINKED)
            .bind(json(&pairs(listings)))
            .fetch_one(&self.readers)
            .await
            .map_err(self.sql("look whether anything waits"))
    }

    /// Those of these listings of which a download is under way, or waits with a link.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn in_hand(&self, listings: &[ListingKey]) -> Result<BTreeSet<ListingKey>, StoreError> {
        let rows: Vec<i64> = sqlx::query_scalar(IN_HAND)
            .bind(json(&pairs(listings)))
            .fetch_all(&self.readers)
            .await
            .map_err(self.sql("look of which listings downloads wait"))?;
        Ok(rows.into_iter().filter_map(|at| listings.get(usize::try_from(at).ok()?).cloned()).collect())
    }

    /// The tasks of a listing that wait for another link, with the page where each was last seen, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn wanted(&self, listing: &ListingKey) -> Result<Vec<(TaskId, Option<u32>)>, StoreError> {
        let failed = || self.sql("read the wanted links");
        let rows = sqlx::query(WANTED)
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .fetch_all(&self.readers)
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get(0).map_err(failed())?;
                Ok((self.word("downloads.task_id", TaskId::parse(&id))?, row.try_get(1).map_err(failed())?))
            })
            .collect()
    }

    /// The tasks whose download is not over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn unfinished(&self) -> Result<Vec<TaskKey>, StoreError> {
        let rows = sqlx::query(
            "SELECT account, export, task_id FROM downloads WHERE state = 'pending' OR recheck = 1
             UNION ALL SELECT account, export, task_id FROM downloads WHERE active_since IS NOT NULL AND state = 'active'",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(self.sql("read what is not downloaded yet"))?;
        rows.iter().map(|row| self.key(row)).collect()
    }

    /// Begins a run that owes every listed success its attempts: what is pending is due, with nothing held against it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn make_due(&self, listings: &[ListingKey]) -> Result<(), StoreError> {
        sqlx::query(MAKE_DUE)
            .bind(json(&pairs(listings)))
            .execute(&self.writer)
            .await
            .map_err(self.sql("make the queue due"))?;
        Ok(())
    }

    /// Counts the tasks of these listings that are listed as success and not stored. Each has its row in the queue.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn undelivered(&self, listings: &[ListingKey]) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(UNDELIVERED)
            .bind(json(&pairs(listings)))
            .fetch_one(&self.readers)
            .await
            .map_err(self.sql("count what is not delivered"))?;
        Ok(unsigned(count))
    }

    /// Puts a download back to pending, from its first attempt: by `retry`, also while a daemon runs. `first` is done
    /// within the transaction, when nobody can claim the download: at most a rename. False when there is none, or an
    /// attempt is under way.
    ///
    /// # Errors
    /// When the database or `first` fails; then nothing is changed.
    pub async fn requeue(
        &self,
        key: &TaskKey,
        now: Timestamp,
        first: impl FnOnce() -> io::Result<()>,
    ) -> Result<bool, StoreError> {
        let failed = || self.sql("put a download back into the queue");
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
        let done = sqlx::query(
            "UPDATE downloads SET state = 'pending', attempt = 0, failures = 0, not_before = NULL, recheck = 0,
                    wanted_at = iif(link IS NULL, ?4, wanted_at), link_refused = NULL, changed_at = ?4
             WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND active_since IS NULL",
        )
        .bind(key.listing.account.as_str())
        .bind(key.listing.export.as_str())
        .bind(key.id.as_str())
        .bind(rfc3339(now))
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        first().map_err(|e| failed()(sqlx::Error::Io(e)))?;
        tx.commit().await.map_err(failed())?;
        Ok(true)
    }
}

fn pairs(listings: &[ListingKey]) -> Vec<(&str, &str)> {
    listings.iter().map(|l| (l.account.as_str(), l.export.as_str())).collect()
}
