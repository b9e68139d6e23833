//! What the inspecting commands read.

use serde::Serialize;
use sqlx::{FromRow, QueryBuilder, Sqlite};

use super::{Store, StoreError, signed};
use crate::model::task::TaskKey;

/// A task with its download; the columns of the tables.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the columns of `tasks` and `downloads`, described in the migration")]
pub struct TaskRow {
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub name: Option<String>,
    pub status: String,
    pub created_at: Option<String>,
    pub updated_at: Option<String>,
    pub range_start: Option<String>,
    pub range_end: Option<String>,
    pub first_seen_at: String,
    pub last_seen_at: String,
    pub unlisted_at: Option<String>,
    pub state: Option<String>,
    pub attempt: Option<i64>,
    pub not_before: Option<String>,
    pub path: Option<String>,
    pub bytes: Option<i64>,
    pub sha256: Option<String>,
    pub reason: Option<String>,
    pub error: Option<String>,
    pub stored_at: Option<String>,
}

/// A recorded change.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the columns of `transitions`")]
pub struct TransitionRow {
    pub id: i64,
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub kind: String,
    pub from_status: Option<String>,
    pub to_status: String,
    pub remote_updated_at: Option<String>,
    pub observed_at: String,
    pub request_id: Option<String>,
}

/// A recorded change with the name of its task, for people.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
#[expect(missing_docs, reason = "the columns of `transitions` and `tasks`")]
pub struct RecentRow {
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub name: Option<String>,
    pub kind: String,
    pub from_status: Option<String>,
    pub to_status: String,
    pub observed_at: String,
}

pub(super) const RECENT: &str =
    "SELECT x.account, x.export, x.task_id, t.name, x.kind, x.from_status, x.to_status, x.observed_at
     FROM transitions AS x
     CROSS JOIN tasks AS t ON t.account = x.account AND t.export = x.export AND t.task_id = x.task_id
     ORDER BY x.id DESC LIMIT ?1";

/// An attempt that ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the columns of `attempts`")]
pub struct AttemptRow {
    pub id: i64,
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub attempt: i64,
    pub started_at: String,
    pub ended_at: String,
    pub result: String,
    pub reason: Option<String>,
    pub error: Option<String>,
    pub from_byte: Option<i64>,
    pub to_byte: Option<i64>,
    pub request_id: Option<String>,
}

/// A published revision.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
#[expect(missing_docs, reason = "the columns of `files`")]
pub struct FileRow {
    pub id: i64,
    pub account: String,
    pub export: String,
    pub task_id: String,
    pub revision: u32,
    pub path: String,
    pub bytes: i64,
    pub sha256: String,
    pub crc64: String,
    pub etag: Option<String>,
    pub verified_by: String,
    pub remote_updated_at: Option<String>,
    pub stored_at: String,
}

/// Which tasks to show; absent means any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskFilter {
    /// By account.
    pub account: Option<String>,
    /// By export.
    pub export: Option<String>,
    /// By the service's word, in lower case.
    pub status: Option<String>,
    /// By our state.
    pub state: Option<String>,
    /// Whose newest transition is not older than this (RFC 3339).
    pub since: Option<String>,
    /// By id.
    pub task_id: Option<String>,
}

impl Store {
    /// Tasks in order of account, export, creation time and id, `limit` at a time from `offset`: a long listing is
    /// shown without being held.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tasks(&self, filter: &TaskFilter, limit: u64, offset: u64) -> Result<Vec<TaskRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT t.account, t.export, t.task_id, t.name, t.status, t.created_at, t.updated_at, t.range_start, t.range_end,
                    t.first_seen_at, t.last_seen_at, t.unlisted_at, d.state, d.attempt, d.not_before, d.path, d.bytes,
                    d.sha256, d.reason, d.error, d.stored_at
             FROM tasks AS t
             LEFT JOIN downloads AS d ON d.account = t.account AND d.export = t.export AND d.task_id = t.task_id
             WHERE true",
        );
        let equal = [
            (" AND t.account = ", &filter.account),
            (" AND t.export = ", &filter.export),
            (" AND t.status = ", &filter.status),
            (" AND d.state = ", &filter.state),
            (" AND t.task_id = ", &filter.task_id),
        ];
        for (condition, value) in equal {
            if let Some(value) = value {
                query.push(condition).push_bind(value);
            }
        }
        if let Some(since) = &filter.since {
            query
                .push(
                    " AND EXISTS (SELECT 1 FROM transitions AS x WHERE x.account = t.account AND x.export = t.export
                        AND x.task_id = t.task_id AND x.observed_at >= ",
                )
                .push_bind(since)
                .push(")");
        }
        query
            .push(" ORDER BY t.account, t.export, t.created_at, t.task_id LIMIT ")
            .push_bind(signed(limit))
            .push(" OFFSET ")
            .push_bind(signed(offset));
        query.build_query_as().fetch_all(&self.readers).await.map_err(self.sql("read the tasks"))
    }

    /// The transitions of a task, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn transitions_of(&self, key: &TaskKey) -> Result<Vec<TransitionRow>, StoreError> {
        sqlx::query_as(
            "SELECT id, account, export, task_id, kind, from_status, to_status, remote_updated_at, observed_at, request_id
             FROM transitions WHERE account = ?1 AND export = ?2 AND task_id = ?3 ORDER BY id",
        )
        .bind(key.listing.account.as_str())
        .bind(key.listing.export.as_str())
        .bind(key.id.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(self.sql("read the transitions of a task"))
    }

    /// The newest transitions of all tasks, newest first. Reads no more than it gives.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn transitions_recent(&self, limit: u64) -> Result<Vec<RecentRow>, StoreError> {
        sqlx::query_as(RECENT)
            .bind(signed(limit))
            .fetch_all(&self.readers)
            .await
            .map_err(self.sql("read the newest transitions"))
    }

    /// The attempts of a task, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempts_of(&self, key: &TaskKey) -> Result<Vec<AttemptRow>, StoreError> {
        sqlx::query_as(
            "SELECT id, account, export, task_id, attempt, started_at, ended_at, result, reason, error, from_byte, to_byte,
                    request_id
             FROM attempts WHERE account = ?1 AND export = ?2 AND task_id = ?3 ORDER BY id",
        )
        .bind(key.listing.account.as_str())
        .bind(key.listing.export.as_str())
        .bind(key.id.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(self.sql("read the attempts of a task"))
    }

    /// Published files after an id, in order of it, `limit` at a time.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn files_after(&self, after: i64, limit: u64) -> Result<Vec<FileRow>, StoreError> {
        sqlx::query_as(
            "SELECT id, account, export, task_id, revision, path, bytes, sha256, crc64, etag, verified_by, remote_updated_at,
                    stored_at
             FROM files WHERE id > ?1 ORDER BY id LIMIT ?2",
        )
        .bind(after)
        .bind(signed(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(self.sql("read the published files"))
    }
}
