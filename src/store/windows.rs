//! What completeness is judged by: a listing's tasks with their downloads and files, read at once.

use std::{collections::BTreeMap, fmt::Display};

use futures::TryStreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use sqlx::{Row as _, SqliteConnection};

use super::{Store, StoreError, text};
use crate::model::{
    download::{DownloadState, Reason},
    task::{ListingKey, Status, TaskId},
    window::{DownloadFacts, FileFacts, TaskFacts},
};

/// Tasks in a JSON text: some 70 kB, which the allocator has at hand. Much more would be mapped anew, and cleared, at every copy.
const PAGE: i64 = 256;

/// The tasks of a listing whose present or earlier ranges may reach beyond a time; a range that is not known may. One JSON text
/// for each page of them, since a row that is handed over by itself costs as much as ten that are not. The ids at the ends of
/// the pages bound the index: a limit in an inner statement would copy every value once more. Any text comes before a blob.
const TASKS: &str = "WITH RECURSIVE pages (after, last) AS (
         SELECT '', (SELECT task_id FROM tasks WHERE account = ?1 AND export = ?2 ORDER BY task_id LIMIT 1 OFFSET ?4)
         UNION ALL
         SELECT last, (SELECT task_id FROM tasks WHERE account = ?1 AND export = ?2 AND task_id > pages.last
                       ORDER BY task_id LIMIT 1 OFFSET ?4)
         FROM pages WHERE last IS NOT NULL)
     SELECT (SELECT json_group_array(json_array(t.task_id, t.name, t.status, t.created_at, t.first_seen_at, t.range_start,
                                                t.range_end, t.unlisted_at, d.state, d.reason, d.reissued_at IS NOT NULL, d.path,
                                                d.sha256))
             FROM tasks AS t
             LEFT JOIN downloads AS d ON d.account = t.account AND d.export = t.export AND d.task_id = t.task_id
             WHERE t.account = ?1 AND t.export = ?2 AND t.task_id > after AND t.task_id <= COALESCE(last, x'')
               AND (t.range_start IS NULL OR t.range_end IS NULL OR t.range_end >= ?3 OR d.reissued_at IS NOT NULL
                    OR EXISTS (SELECT 1 FROM files AS f WHERE f.account = t.account AND f.export = t.export
                                 AND f.task_id = t.task_id AND f.revision > 1)))
     FROM pages";

/// Every revision of the tasks that have several: of the others `downloads` repeats the only one. The inner statement reads
/// nothing but the index.
const REVISIONS: &str = "SELECT json_group_array(json_array(task_id, revision, path, sha256))
     FROM (SELECT f.task_id, f.revision, f.path, f.sha256
           FROM files AS f
           WHERE f.account = ?1 AND f.export = ?2
             AND f.task_id IN (SELECT g.task_id FROM files AS g WHERE g.account = ?1 AND g.export = ?2 AND g.revision > 1)
           ORDER BY f.task_id, f.revision)";

/// A row of [`TASKS`], an array in this order.
#[derive(Deserialize)]
struct TaskRow<'a> {
    task_id: String,
    name: Option<String>,
    status: String,
    created_at: Option<&'a str>,
    first_seen_at: &'a str,
    range_start: Option<&'a str>,
    range_end: Option<&'a str>,
    unlisted_at: Option<&'a str>,
    state: Option<&'a str>,
    reason: Option<&'a str>,
    reissued: u8,
    path: Option<String>,
    sha256: Option<String>,
}

/// A row of [`REVISIONS`], an array in this order.
#[derive(Deserialize)]
struct RevisionRow {
    task_id: String,
    revision: u32,
    path: String,
    sha256: String,
}

impl Store {
    /// What is known of the tasks of a listing whose ranges may reach beyond `since`, in no order: some 2 µs a task.
    ///
    /// # Errors
    /// When the database fails, or holds what this program does not write.
    pub async fn window_facts(&self, listing: &ListingKey, since: Timestamp) -> Result<Vec<TaskFacts>, StoreError> {
        self.facts_since(listing, since)
            .await
            .map_err(|source| StoreError::Tasks { listing: listing.clone(), source: Box::new(source) })
    }

    /// In one transaction, which sees one state of the database: between two, a task could get another revision.
    async fn facts_since(&self, listing: &ListingKey, since: Timestamp) -> Result<Vec<TaskFacts>, StoreError> {
        let failed = || self.sql("read the tasks of a listing with their files");
        let mut tx = self.readers.begin_with("BEGIN DEFERRED").await.map_err(failed())?;
        let mut revisions = self.revisions(&mut tx, listing).await?;
        let mut pages = sqlx::query(TASKS)
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(text(Some(since)))
            .bind(PAGE - 1)
            .fetch(&mut *tx);
        let mut facts = Vec::new();
        while let Some(page) = pages.try_next().await.map_err(failed())? {
            let page: &str = page.try_get(0).map_err(failed())?;
            let rows: Vec<TaskRow<'_>> = serde_json::from_str(page).map_err(|e| self.inconsistent("tasks", e))?;
            for row in rows {
                let known = revisions.remove(&row.task_id);
                facts.push(self.facts(row, known)?);
            }
        }
        drop(pages);
        tx.rollback().await.map_err(failed())?;
        Ok(facts)
    }

    async fn revisions(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
    ) -> Result<BTreeMap<String, Vec<FileFacts>>, StoreError> {
        let text: String = sqlx::query_scalar(REVISIONS)
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .fetch_one(db)
            .await
            .map_err(self.sql("read the revisions of a listing"))?;
        let rows: Vec<RevisionRow> = serde_json::from_str(&text).map_err(|e| self.inconsistent("files", e))?;
        let mut revisions: BTreeMap<String, Vec<FileFacts>> = BTreeMap::new();
        for RevisionRow { task_id, revision, path, sha256 } in rows {
            revisions.entry(task_id).or_default().push(FileFacts { revision, path, sha256 });
        }
        Ok(revisions)
    }

    /// An error says which task it is of: one that cannot be read has to be found.
    fn facts(&self, row: TaskRow<'_>, revisions: Option<Vec<FileFacts>>) -> Result<TaskFacts, StoreError> {
        let task_id = row.task_id.as_str();
        let wrong = |column, e: &dyn Display| self.inconsistent(column, format!("task {task_id}: {e}"));
        let at = |column, text: Option<&str>| {
            text.map(|t| t.parse::<Timestamp>().map_err(|e| wrong(column, &e))).transpose()
        };
        let state = row
            .state
            .map(|word| DownloadState::from_word(word).ok_or_else(|| wrong("downloads.state", &format!("{word:?}"))));
        let download = state.transpose()?.map(|state| DownloadFacts {
            state,
            reason: row.reason.and_then(Reason::from_word),
            reissued: row.reissued != 0,
        });
        let range = at("tasks.range_start", row.range_start)?.zip(at("tasks.range_end", row.range_end)?);
        let first_seen_at = at("tasks.first_seen_at", Some(row.first_seen_at))?;
        let id = TaskId::parse(task_id).map_err(|e| wrong("tasks.task_id", &e))?;
        let status = Status::parse(&row.status).map_err(|e| wrong("tasks.status", &e))?;
        let (created_at, unlisted_at) =
            (at("tasks.created_at", row.created_at)?, at("tasks.unlisted_at", row.unlisted_at)?);
        let only = row.path.zip(row.sha256).map(|(path, sha256)| FileFacts { revision: 1, path, sha256 });
        Ok(TaskFacts {
            id,
            name: row.name,
            status,
            created_at,
            first_seen_at: first_seen_at.unwrap_or(Timestamp::MIN),
            range,
            unlisted_at,
            download,
            files: revisions.unwrap_or_else(|| only.into_iter().collect()),
        })
    }
}

#[cfg(test)]
mod tests;
