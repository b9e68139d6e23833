//! Applying what a listing shows.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Store, StoreError, text};
use crate::{
    clock::rfc3339,
    model::{
        download::{Change, DownloadState, Queued, on_listed},
        link::SignedUrl,
        observe::{Kind, Known, observe},
        task::{ListingKey, NAME_MAX_CHARS, Status, TaskId, TaskSnapshot, clean},
    },
};

/// A row that could not be read, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Its text, without signatures.
    pub raw: String,
    /// What is wrong with it.
    pub error: String,
}

/// A transition that has been committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Which task.
    pub id: TaskId,
    /// Which kind of change.
    pub kind: Kind,
    /// The task's name.
    pub name: Option<String>,
    /// The status before; absent for the first sight.
    pub from: Option<Status>,
    /// The status now.
    pub to: Status,
    /// The service's update time.
    pub remote_updated_at: Option<Timestamp>,
}

/// What a page changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The transitions, in the order of the page.
    pub recorded: Vec<Recorded>,
    /// Tasks whose wanted link this page brought.
    pub refreshed: Vec<TaskId>,
    /// Whether any download became due.
    pub queued: bool,
    /// For each rejected row, whether it was never rejected before.
    pub new_raw_rows: Vec<bool>,
}

/// How many rejected rows of a listing are kept: enough to see what is wrong, no more.
const RAW_ROWS_MAX: i64 = 1_000;

/// How a task stands before the page.
struct Standing {
    known: Known,
    page: Option<i64>,
    last_seen_at: String,
    queued: Option<Queued>,
    link_refused: Option<String>,
}

/// One row of the set-wise upsert of tasks.
#[derive(Serialize)]
struct TaskWrite(
    String,         // task_id
    Option<String>, // name
    String,         // status
    Option<String>, // created_at
    Option<String>, // updated_at
    Option<String>, // range_start
    Option<String>, // range_end
    Option<String>, // update_recorded_at
    Option<u32>,    // page
    String,         // last_seen_at
);

/// One row of the set-wise insert of transitions.
#[derive(Serialize)]
struct TransitionWrite(String, &'static str, Option<String>, String, Option<String>);

/// One row of the set-wise upsert of downloads.
#[derive(Serialize)]
struct DownloadWrite(
    String,         // task_id
    &'static str,   // change
    Option<String>, // link
    String,         // queued_for
    bool,           // the link is the one that was refused
    Option<String>, // the link's host and port
);

#[derive(Default)]
struct Batch {
    tasks: Vec<TaskWrite>,
    transitions: Vec<TransitionWrite>,
    downloads: Vec<DownloadWrite>,
    applied: Applied,
}

impl Store {
    /// Applies one page in one transaction: transitions, the projection, and what they mean for the queue. Nothing is
    /// written when nothing is new. Abandoned downloads come back that were given up before `revive_before`.
    ///
    /// # Errors
    /// When the database fails; then nothing of the page is applied.
    #[expect(clippy::too_many_arguments, reason = "one call site, and each is a different thing")]
    pub async fn apply_page(
        &self,
        listing: &ListingKey,
        page: u32,
        rows: &[TaskSnapshot],
        rejected: &[RawRow],
        request_id: Option<&str>,
        revive_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let failed = || self.sql("apply a page of a listing");
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
        let mut standing = self.standing(&mut tx, listing, rows).await?;
        let mut batch = Batch::default();
        for seen in rows {
            // A row that a page shows twice is judged against its first.
            let before = standing.get(seen.id.as_str());
            let after = judge(before, seen, page, revive_before, now, &mut batch);
            if let Some(after) = after {
                standing.insert(seen.id.as_str().to_owned(), after);
            }
        }
        self.write(&mut tx, listing, &batch, request_id, now).await.map_err(failed())?;
        batch.applied.new_raw_rows =
            self.write_rejected(&mut tx, listing, rejected, request_id, now).await.map_err(failed())?;
        tx.commit().await.map_err(failed())?;
        Ok(batch.applied)
    }

    /// What is known of the tasks of a page: one statement, the page's ids outside, the tables by their keys inside.
    async fn standing(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        rows: &[TaskSnapshot],
    ) -> Result<HashMap<String, Standing>, StoreError> {
        let ids: Vec<&str> = rows.iter().map(|r| r.id.as_str()).collect();
        let found = sqlx::query(
            "SELECT t.task_id, t.name, t.status, t.created_at, t.updated_at, t.range_start, t.range_end,
                    t.unlisted_at IS NOT NULL AS unlisted, t.missed_at IS NOT NULL AS missed, t.update_recorded_at, t.page,
                    t.last_seen_at, d.state, d.link, d.link_refused, d.wanted_at IS NOT NULL AS wanted, d.recheck, d.rechecked_at,
                    d.fetched_updated_at, d.changed_at
             FROM json_each(?1) AS j
             CROSS JOIN tasks AS t ON t.account = ?2 AND t.export = ?3 AND t.task_id = j.value
             LEFT JOIN downloads AS d ON d.account = t.account AND d.export = t.export AND d.task_id = t.task_id",
        )
        .bind(json(&ids))
        .bind(listing.account.as_str())
        .bind(listing.export.as_str())
        .fetch_all(db)
        .await
        .map_err(self.sql("read the tasks of a page"))?;
        found
            .iter()
            .map(|row| {
                let id: String = row.try_get("task_id").map_err(self.sql("read a task"))?;
                Ok((id, self.standing_of(row)?))
            })
            .collect()
    }

    fn standing_of(&self, row: &SqliteRow) -> Result<Standing, StoreError> {
        let failed = || self.sql("read a task");
        let text_of =
            |column: &'static str| -> Result<Option<String>, StoreError> { row.try_get(column).map_err(failed()) };
        let time_of = |column: &'static str| self.time(column, text_of(column)?);
        let status: String = row.try_get("status").map_err(failed())?;
        let known = Known {
            name: text_of("name")?,
            status: self.word("tasks.status", Status::parse(&status))?,
            created_at: time_of("created_at")?,
            updated_at: time_of("updated_at")?,
            range_start: time_of("range_start")?,
            range_end: time_of("range_end")?,
            unlisted: row.try_get("unlisted").map_err(failed())?,
            missed: row.try_get("missed").map_err(failed())?,
            update_recorded_at: time_of("update_recorded_at")?,
        };
        let queued = match text_of("state")? {
            None => None,
            Some(word) => Some(Queued {
                state: DownloadState::from_word(&word)
                    .ok_or_else(|| self.inconsistent("downloads.state", format!("{word:?}")))?,
                link: text_of("link")?.map(|l| self.word("downloads.link", SignedUrl::parse(&l))).transpose()?,
                wanted: row.try_get("wanted").map_err(failed())?,
                recheck: row.try_get("recheck").map_err(failed())?,
                rechecked_at: time_of("rechecked_at")?,
                fetched_updated_at: time_of("fetched_updated_at")?,
                changed_at: time_of("changed_at")?.unwrap_or(Timestamp::UNIX_EPOCH),
            }),
        };
        let page = row.try_get("page").map_err(failed())?;
        let last_seen_at = text_of("last_seen_at")?.unwrap_or_default();
        Ok(Standing { known, page, last_seen_at, queued, link_refused: text_of("link_refused")? })
    }

    async fn write(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        batch: &Batch,
        request_id: Option<&str>,
        now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let (account, export, now) = (listing.account.as_str(), listing.export.as_str(), rfc3339(now));
        if !batch.tasks.is_empty() {
            sqlx::query(
                "INSERT INTO tasks (account, export, task_id, name, status, created_at, updated_at, range_start, range_end,
                                    first_seen_at, last_seen_at, update_recorded_at, page)
                 SELECT ?2, ?3, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                        ?4, value ->> 9, value ->> 7, value ->> 8
                 FROM json_each(?1) WHERE true
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
                 SELECT ?2, ?3, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, ?4, ?5
                 FROM json_each(?1) ORDER BY key",
            )
            .bind(json(&batch.transitions))
            .bind(account)
            .bind(export)
            .bind(&now)
            .bind(request_id)
            .execute(&mut *db)
            .await?;
        }
        if !batch.downloads.is_empty() {
            write_downloads(db, listing, &batch.downloads, &now).await?;
        }
        Ok(())
    }

    async fn write_rejected(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        rejected: &[RawRow],
        request_id: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<bool>, sqlx::Error> {
        let mut new = Vec::new();
        for row in rejected {
            let digest = sha256_hex(row.raw.as_bytes());
            let is_known: bool = sqlx::query_scalar(
                "SELECT EXISTS (SELECT 1 FROM rejected_rows WHERE account = ?1 AND export = ?2 AND digest = ?3)",
            )
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(&digest)
            .fetch_one(&mut *db)
            .await?;
            new.push(!is_known);
            if is_known {
                continue;
            }
            sqlx::query(
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
            .bind(request_id)
            .bind(RAW_ROWS_MAX)
            .execute(&mut *db)
            .await?;
        }
        Ok(new)
    }
}

/// One statement for every change of the page; which columns a change touches stands in the CASEs.
async fn write_downloads(
    db: &mut SqliteConnection,
    listing: &ListingKey,
    writes: &[DownloadWrite],
    now: &str,
) -> Result<(), sqlx::Error> {
    // A withdrawn download keeps its place, and loses its link.
    sqlx::query(
        "INSERT INTO downloads (account, export, task_id, state, queued_for, link, link_host, link_at, wanted_at, changed_at)
         SELECT ?2, ?3, value ->> 0, 'pending', value ->> 3, value ->> 2, value ->> 5, iif(value ->> 2 IS NULL, NULL, ?4),
                iif(value ->> 2 IS NULL, ?4, NULL), ?4
         FROM json_each(?1) WHERE value ->> 1 = 'create'
         ON CONFLICT (account, export, task_id) DO NOTHING",
    )
    .bind(json(writes))
    .bind(listing.account.as_str())
    .bind(listing.export.as_str())
    .bind(now)
    .execute(&mut *db)
    .await?;
    sqlx::query(
        "WITH j AS MATERIALIZED (
            SELECT value ->> 0 AS task_id, value ->> 1 AS change, value ->> 2 AS link, value ->> 3 AS queued_for,
                   value ->> 4 AS refused, value ->> 5 AS host
            FROM json_each(?1) WHERE value ->> 1 <> 'create')
         INSERT INTO downloads (account, export, task_id, state, queued_for, link, link_host, link_at, wanted_at, recheck,
                                attempt, failures, not_before, reason, error, partial_etag, changed_at)
         SELECT ?2, ?3, j.task_id,
                iif(j.change = 'restart', 'pending', d.state),
                iif(j.change = 'restart', j.queued_for, d.queued_for),
                CASE WHEN j.change = 'withdraw' THEN NULL ELSE COALESCE(j.link, d.link) END,
                CASE WHEN j.change = 'withdraw' THEN NULL ELSE COALESCE(j.host, d.link_host) END,
                CASE WHEN j.change = 'withdraw' THEN NULL WHEN j.link IS NULL OR j.link IS d.link THEN d.link_at ELSE ?4 END,
                CASE WHEN j.change = 'withdraw' OR j.link IS NOT NULL THEN NULL
                     WHEN j.change IN ('want', 'restart') AND d.link IS NULL THEN ?4 ELSE d.wanted_at END,
                CASE WHEN j.change = 'recheck' THEN 1 WHEN j.change IN ('withdraw', 'restart') THEN 0 ELSE d.recheck END,
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
            link_at = excluded.link_at, wanted_at = excluded.wanted_at, recheck = excluded.recheck, attempt = excluded.attempt,
            failures = excluded.failures, not_before = excluded.not_before, reason = excluded.reason,
            error = excluded.error, partial_etag = excluded.partial_etag, changed_at = excluded.changed_at",
    )
    .bind(json(writes))
    .bind(listing.account.as_str())
    .bind(listing.export.as_str())
    .bind(now)
    .execute(&mut *db)
    .await?;
    Ok(())
}

/// Judges one row; returns how the task stands after it, when that is not as before.
fn judge(
    before: Option<&Standing>,
    seen: &TaskSnapshot,
    page: u32,
    revive_before: Option<Timestamp>,
    now: Timestamp,
    batch: &mut Batch,
) -> Option<Standing> {
    let mut seen = seen.clone();
    seen.name = seen.name.map(|n| clean(&n, NAME_MAX_CHARS));
    let id = seen.id.as_str();
    let observation = observe(before.map(|b| &b.known), &seen, now);
    let queued = before.and_then(|b| b.queued.as_ref());
    let change = on_listed(queued, observation.kind, &seen, revive_before, now);
    // Where a task was seen matters while it may still move, or its link may be wanted.
    let watched = !seen.status.is_finished() || queued.is_none_or(|q| q.state != DownloadState::Stored || q.recheck);
    let moved = watched && before.is_some_and(|b| b.page != Some(i64::from(page)));
    if !observation.changed && !moved && change.is_none() {
        return None;
    }
    let next = observation.next;
    // A task that only moved to another page is no news of it.
    let news = observation.changed || change.is_some();
    let last_seen_at = before.filter(|_| !news).map_or_else(|| rfc3339(now), |b| b.last_seen_at.clone());
    if observation.changed || moved {
        batch.tasks.push(TaskWrite(
            id.to_owned(),
            next.name.clone(),
            next.status.as_str().to_owned(),
            text(next.created_at),
            text(next.updated_at),
            text(next.range_start),
            text(next.range_end),
            text(next.update_recorded_at),
            Some(page),
            last_seen_at.clone(),
        ));
    }
    if let Some(kind) = observation.kind {
        let recorded = Recorded {
            id: seen.id.clone(),
            kind,
            name: next.name.clone(),
            from: observation.from,
            to: next.status.clone(),
            remote_updated_at: next.updated_at,
        };
        batch.transitions.push(TransitionWrite(
            id.to_owned(),
            kind.as_str(),
            recorded.from.as_ref().map(|s| s.as_str().to_owned()),
            recorded.to.as_str().to_owned(),
            text(recorded.remote_updated_at),
        ));
        batch.applied.recorded.push(recorded);
    }
    let refused = before.and_then(|b| b.link_refused.as_deref());
    let queued = match change {
        Some(change) => Some(queue(change, queued, &seen, &next, refused, now, batch)),
        None => queued.cloned(),
    };
    Some(Standing {
        known: next,
        page: Some(i64::from(page)),
        last_seen_at,
        queued,
        link_refused: refused.map(str::to_owned),
    })
}

fn queue(
    change: Change,
    queued: Option<&Queued>,
    seen: &TaskSnapshot,
    next: &Known,
    refused: Option<&str>,
    now: Timestamp,
    batch: &mut Batch,
) -> Queued {
    let link = seen.link.as_ref().map(|l| l.expose().as_str().to_owned());
    let same_as_refused = link.as_deref().is_some_and(|l| refused == Some(link_digest(l).as_str()));
    if queued.is_some_and(|q| q.wanted) && link.is_some() && !same_as_refused {
        batch.applied.refreshed.push(seen.id.clone());
    }
    batch.applied.queued |= link.is_some();
    let word = match change {
        Change::Create => "create",
        Change::Link => "link",
        Change::Restart => "restart",
        Change::Recheck => "recheck",
        Change::Want => "want",
        Change::Withdraw => "withdraw",
    };
    let queued_for = rfc3339(next.created_at.unwrap_or(now));
    let host = seen.link.as_ref().map(SignedUrl::host_and_port);
    batch.downloads.push(DownloadWrite(seen.id.as_str().to_owned(), word, link, queued_for, same_as_refused, host));
    let base = queued.cloned().unwrap_or(Queued {
        state: DownloadState::Pending,
        link: None,
        wanted: false,
        recheck: false,
        rechecked_at: None,
        fetched_updated_at: None,
        changed_at: now,
    });
    let withdrawn = change == Change::Withdraw;
    let link = if withdrawn { None } else { seen.link.clone().or(base.link) };
    Queued {
        state: if change == Change::Restart { DownloadState::Pending } else { base.state },
        wanted: !withdrawn && link.is_none(),
        recheck: change == Change::Recheck || (base.recheck && !withdrawn && change != Change::Restart),
        link,
        changed_at: if change == Change::Restart { now } else { base.changed_at },
        ..base
    }
}

/// How a refused link is remembered: enough to know it again, useless to anyone who reads it.
pub(super) fn link_digest(link: &str) -> String {
    sha256_hex(link.as_bytes())
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The rows of a set-wise statement. Strings and numbers always serialise; an empty set would be a statement that
/// does nothing.
pub(super) fn json(rows: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(rows).unwrap_or_else(|_| "[]".to_owned())
}
