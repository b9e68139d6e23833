//! The statements that write what pages changed: a few for all of them, each over its set of rows. What `jsonb_each` gives of a row
//! is read in place; of `json_each` it would be a text, written for the row and parsed again for its columns: two fifths of all
//! that new pages cost.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::{Batch, PageRead, json, sha256_hex};
use crate::{clock::rfc3339, model::task::ListingKey, store::Store};

/// How many rejected rows of a listing are kept: enough to see what is wrong, no more.
const RAW_ROWS_MAX: i64 = 1_000;

/// One row of the set-wise upsert of tasks.
#[derive(Serialize)]
pub(super) struct TaskWrite(
    pub(super) String,         // task_id
    pub(super) Option<String>, // name
    pub(super) String,         // status
    pub(super) Option<String>, // created_at
    pub(super) Option<String>, // updated_at
    pub(super) Option<String>, // range_start
    pub(super) Option<String>, // range_end
    pub(super) Option<String>, // update_recorded_at
    pub(super) Option<u32>,    // page
    pub(super) String,         // last_seen_at
);

/// One row of the set-wise insert of transitions.
#[derive(Serialize)]
pub(super) struct TransitionWrite(
    pub(super) String,         // task_id
    pub(super) &'static str,   // kind
    pub(super) Option<String>, // from_status
    pub(super) String,         // to_status
    pub(super) Option<String>, // remote_updated_at
    pub(super) Option<String>, // request_id
);

/// One row of the set-wise upsert of downloads.
#[derive(Serialize)]
pub(super) struct DownloadWrite {
    pub(super) task_id: String,
    pub(super) change: &'static str,
    pub(super) link: Option<String>,
    pub(super) queued_for: String,
    /// The link is the one that was refused.
    pub(super) same_as_refused: bool,
    /// The link's host and port.
    pub(super) host: Option<String>,
    /// The id was issued anew.
    pub(super) is_reissued: bool,
}

impl Store {
    pub(super) async fn write(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        batch: &Batch,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let (account, export, now) = (listing.account.as_str(), listing.export.as_str(), rfc3339(now));
        if !batch.tasks.is_empty() {
            sqlx::query(
                "INSERT INTO tasks (account, export, task_id, name, status, created_at, updated_at, range_start, range_end,
                                    first_seen_at, last_seen_at, update_recorded_at, page)
                 SELECT ?2, ?3, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                        ?4, value ->> 9, value ->> 7, value ->> 8
                 FROM jsonb_each(?1) WHERE true
                 ON CONFLICT (account, export, task_id) DO UPDATE SET
                    name = excluded.name, status = excluded.status, created_at = excluded.created_at,
                    updated_at = excluded.updated_at, range_start = excluded.range_start, range_end = excluded.range_end,
                    last_seen_at = excluded.last_seen_at, unlisted_at = NULL, missed_at = NULL,
                    update_recorded_at = excluded.update_recorded_at, page = excluded.page",
            )
            .bind(json(&batch.tasks))
            .bind(account)
            .bind(export)
            .bind(&now)
            .execute(&mut *db)
            .await?;
        }
        if !batch.transitions.is_empty() {
            sqlx::query(
                "INSERT INTO transitions (account, export, task_id, kind, from_status, to_status, remote_updated_at,
                                          observed_at, request_id)
                 SELECT ?2, ?3, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?4, value ->> 5
                 FROM jsonb_each(?1) ORDER BY key",
            )
            .bind(json(&batch.transitions))
            .bind(account)
            .bind(export)
            .bind(&now)
            .execute(&mut *db)
            .await?;
        }
        if !batch.downloads.is_empty() {
            write_downloads(db, listing, &batch.downloads, &now).await?;
        }
        Ok(())
    }

    pub(super) async fn write_rejected(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        page: &PageRead<'_>,
        now: Timestamp,
    ) -> Result<Vec<bool>, sqlx::Error> {
        let mut new = Vec::new();
        for row in &page.rejected {
            let digest = sha256_hex(row.raw.as_bytes());
            let is_known: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM rejected_rows WHERE account = ?1 AND export = ?2 AND digest = ?3)",
            )
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(&digest)
            .fetch_one(&mut *db)
            .await?;
            if is_known {
                new.push(false);
                continue;
            }
            let done = sqlx::query(
                "INSERT INTO rejected_rows (account, export, digest, raw, error, first_seen_at, request_id)
                 SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
                 WHERE (SELECT count(*) FROM rejected_rows WHERE account = ?1 AND export = ?2) < ?8
                 ON CONFLICT (account, export, digest) DO NOTHING",
            )
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(digest)
            .bind(&row.raw)
            .bind(&row.error)
            .bind(rfc3339(now))
            .bind(page.request_id)
            .bind(RAW_ROWS_MAX)
            .execute(&mut *db)
            .await?;
            // One that is not kept would be new again at every poll.
            new.push(done.rows_affected() == 1);
        }
        Ok(new)
    }
}

/// What a row of [`DownloadWrite`] is called that makes its download.
pub(super) const CREATE: &str = "create";

/// One statement for those that are new, and one for every other change; which columns a change touches stands in the CASEs.
async fn write_downloads(
    db: &mut SqliteConnection,
    listing: &ListingKey,
    writes: &[DownloadWrite],
    now: &str,
) -> Result<(), sqlx::Error> {
    // Each takes all of the rows apart, if only to find that none is for it.
    if writes.iter().any(|write| write.change == CREATE) {
        create_downloads(db, listing, writes, now).await?;
    }
    if writes.iter().any(|write| write.change != CREATE) {
        change_downloads(db, listing, writes, now).await?;
    }
    Ok(())
}

async fn create_downloads(
    db: &mut SqliteConnection,
    listing: &ListingKey,
    writes: &[DownloadWrite],
    now: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO downloads (account, export, task_id, state, queued_for, link, link_host, link_at, wanted_at, changed_at)
         SELECT ?2, ?3, value ->> 'task_id', 'pending', value ->> 'queued_for', value ->> 'link', value ->> 'host',
                iif(value ->> 'link' IS NULL, NULL, ?4), iif(value ->> 'link' IS NULL, ?4, NULL), ?4
         FROM jsonb_each(?1) WHERE value ->> 'change' = 'create'
         ON CONFLICT (account, export, task_id) DO NOTHING",
    )
    .bind(json(writes))
    .bind(listing.account.as_str())
    .bind(listing.export.as_str())
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}

/// A withdrawn download keeps its place, and loses its link; one that is restarted has none but that of the page.
async fn change_downloads(
    db: &mut SqliteConnection,
    listing: &ListingKey,
    writes: &[DownloadWrite],
    now: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH j AS MATERIALIZED (
            SELECT value ->> 'task_id' AS task_id, value ->> 'change' AS change, value ->> 'link' AS link,
                   value ->> 'queued_for' AS queued_for, value ->> 'same_as_refused' AS refused, value ->> 'host' AS host,
                   value ->> 'is_reissued' AS is_reissued
            FROM jsonb_each(?1) WHERE value ->> 'change' <> 'create')
         INSERT INTO downloads (account, export, task_id, state, queued_for, link, link_host, link_at, wanted_at, recheck,
                                reissued_at, attempt, failures, not_before, reason, error, partial_etag, changed_at)
         SELECT ?2, ?3, j.task_id,
                iif(j.change = 'restart', 'pending', d.state),
                iif(j.change = 'restart', j.queued_for, d.queued_for),
                iif(j.change IN ('withdraw', 'restart'), j.link, COALESCE(j.link, d.link)),
                iif(j.change IN ('withdraw', 'restart'), j.host, COALESCE(j.host, d.link_host)),
                CASE WHEN j.link IS NOT NULL AND j.link IS NOT d.link THEN ?4
                     WHEN j.link IS NULL AND j.change IN ('withdraw', 'restart') THEN NULL ELSE d.link_at END,
                CASE WHEN j.change = 'withdraw' OR j.link IS NOT NULL THEN NULL
                     WHEN j.change IN ('want', 'restart') THEN ?4 ELSE d.wanted_at END,
                CASE WHEN j.change = 'recheck' THEN 1 WHEN j.change IN ('withdraw', 'restart') THEN 0 ELSE d.recheck END,
                iif(j.is_reissued, ?4, d.reissued_at),
                iif(j.change IN ('restart', 'recheck'), 0, d.attempt),
                iif(j.change IN ('restart', 'recheck'), 0, d.failures),
                CASE WHEN j.change IN ('restart', 'recheck') THEN NULL
                     WHEN d.wanted_at IS NOT NULL AND j.link IS NOT NULL AND NOT j.refused THEN NULL ELSE d.not_before END,
                iif(j.change = 'restart', NULL, d.reason),
                iif(j.change = 'restart', NULL, d.error),
                iif(j.change = 'restart', NULL, d.partial_etag),
                iif(j.change = 'restart', ?4, d.changed_at)
         FROM j CROSS JOIN downloads AS d ON d.account = ?2 AND d.export = ?3 AND d.task_id = j.task_id
         WHERE true
         ON CONFLICT (account, export, task_id) DO UPDATE SET
            state = excluded.state, queued_for = excluded.queued_for, link = excluded.link, link_host = excluded.link_host,
            link_at = excluded.link_at, wanted_at = excluded.wanted_at, recheck = excluded.recheck,
            reissued_at = excluded.reissued_at, attempt = excluded.attempt, failures = excluded.failures,
            not_before = excluded.not_before, reason = excluded.reason, error = excluded.error,
            partial_etag = excluded.partial_etag, changed_at = excluded.changed_at",
    )
    .bind(json(writes))
    .bind(listing.account.as_str())
    .bind(listing.export.as_str())
    .bind(now)
    .execute(db)
    .await
    .map(drop)
}
