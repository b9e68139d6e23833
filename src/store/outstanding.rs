//! What is not done yet, for the metrics.

use jiff::Timestamp;
use sqlx::Row as _;

use super::{Store, StoreError, unsigned};
use crate::{
    clock::rfc3339,
    model::{download::DownloadState, outstanding::Outstanding, task::ListingKey},
};

/// Reads the downloads that are not stored and the tasks that are not finished, each through an index that holds no
/// others. An update time that lies ahead is nobody's, so that no service can make what waits look new.
pub(super) const OUTSTANDING: &str = "
    WITH late AS MATERIALIZED (
        SELECT d.state AS state, t.unlisted_at IS NULL AS listed, COALESCE(t.created_at, t.first_seen_at) AS created,
               iif(t.updated_at > t.first_seen_at AND t.updated_at <= ?3, t.updated_at, t.first_seen_at) AS since
        FROM downloads AS d
        CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
        WHERE d.state <> 'stored' AND d.account = ?1 AND d.export = ?2 AND t.status = 'success')
    SELECT (SELECT total FROM listings WHERE account = ?1 AND export = ?2) AS total,
           EXISTS (SELECT 1 FROM listings WHERE account = ?1 AND export = ?2 AND suspect_since IS NOT NULL) AS suspect,
           count(*) FILTER (WHERE listed AND state = 'pending') AS pending,
           count(*) FILTER (WHERE listed AND state = 'active') AS active,
           count(*) FILTER (WHERE listed AND state = 'abandoned') AS abandoned,
           count(*) FILTER (WHERE NOT listed) AS lost,
           min(since) FILTER (WHERE listed) AS undelivered_since,
           min(created) FILTER (WHERE listed) AS undelivered_created_at,
           (SELECT min(COALESCE(created_at, first_seen_at)) FROM tasks
            WHERE account = ?1 AND export = ?2 AND unlisted_at IS NULL AND status NOT IN ('success', 'failed'))
                AS unfinished_created_at
    FROM late";

impl Store {
    /// What is not done of a listing: its size and whether that is suspect, what is undelivered or was lost, and since
    /// when. Reads as many rows as there are tasks that are not done: some 3 µs each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn outstanding(&self, listing: &ListingKey, now: Timestamp) -> Result<Outstanding, StoreError> {
        let failed = || self.sql("read what is not done");
        let row = sqlx::query(OUTSTANDING)
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(rfc3339(now))
            .fetch_one(&self.readers)
            .await
            .map_err(failed())?;
        let count = |column: &'static str| row.try_get::<i64, _>(column).map(unsigned).map_err(failed());
        let time = |column: &'static str, named: &'static str| self.time(named, row.try_get(column).map_err(failed())?);
        let created =
            [time("undelivered_created_at", "tasks.created_at")?, time("unfinished_created_at", "tasks.created_at")?];
        Ok(Outstanding {
            listing: listing.clone(),
            total: row.try_get::<Option<i64>, _>("total").map_err(failed())?.map(unsigned),
            is_suspect: row.try_get("suspect").map_err(failed())?,
            undelivered: [
                (DownloadState::Pending, count("pending")?),
                (DownloadState::Active, count("active")?),
                (DownloadState::Abandoned, count("abandoned")?),
            ],
            lost: count("lost")?,
            undelivered_since: time("undelivered_since", "tasks.updated_at")?,
            oldest_created_at: created.into_iter().flatten().min(),
        })
    }
}
