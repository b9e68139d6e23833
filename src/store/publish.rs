//! Publishing: the intent is committed before the file moves, and the file is recorded after it has. Whatever crashes
//! in between, the intent says what to look for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::{Row as _, SqliteConnection};

use super::{Ended, FileRow, Job, Store, StoreError, signed, text};
use crate::{
    clock::rfc3339,
    model::{
        download::{AttemptResult, VerifiedBy},
        task::TaskKey,
    },
};

/// What is being done, for errors.
const INTEND: &str = "record an intent";
const PUBLISH: &str = "record a published file";

/// What is about to be published: enough to finish the step after a crash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Relative to the download folder.
    pub path: String,
    /// From 1.
    pub revision: u32,
    /// Whether `files` has this revision already: its file was lost, and comes back under its name.
    pub returns: bool,
    /// Size.
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
    /// Unsigned decimal, as the object store prints it.
    pub crc64: String,
    /// The object's change token.
    pub etag: Option<String>,
    /// `crc64`, `md5` or `length`.
    pub verified_by: String,
    /// The task's update time when the attempt began.
    pub remote_updated_at: Option<String>,
    /// Number of the attempt.
    pub attempt: u32,
    /// When the attempt began.
    pub started_at: String,
    /// Bytes that an earlier attempt had left.
    pub resumed_bytes: u64,
    /// The object store's id of the request.
    pub request_id: Option<String>,
}

/// How an attempt ended that brought what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// A revision was published, adopted or put back.
    Stored,
    /// The service still has what is stored.
    Unchanged,
}

/// A download that was under way when the process ended.
#[derive(Debug, Clone)]
pub struct CutOff {
    /// The attempt.
    pub job: Job,
    /// What it was about to publish.
    pub intent: Option<Intent>,
}

impl Intent {
    /// What the size and digest rest on.
    #[must_use]
    pub fn verified_by(&self) -> VerifiedBy {
        [VerifiedBy::Crc64, VerifiedBy::Md5]
            .into_iter()
            .find(|v| v.as_str() == self.verified_by)
            .unwrap_or(VerifiedBy::Length)
    }
}

impl Store {
    /// Commits what is about to be published.
    ///
    /// # Errors
    /// When the database fails, or the download is not active.
    pub async fn intend(&self, key: &TaskKey, intent: &Intent) -> Result<(), StoreError> {
        let written = serde_json::to_string(intent).map_err(|e| self.inconsistent("downloads.intent", e))?;
        let (store, key) = (self.clone(), key.clone());
        self.together(INTEND, |db| {
            Box::pin(async move {
                let update = sqlx::query(
                    "UPDATE downloads SET intent = ?4 WHERE account = ?1 AND export = ?2 AND task_id = ?3
                        AND active_since IS NOT NULL",
                );
                store.step(db, &key, INTEND, update, |q| q.bind(written)).await
            })
        })
        .await
    }

    /// Records that the file of an intent is in its place, durable: the revision, the attempt, and the download.
    ///
    /// # Errors
    /// When the database fails, or the download is not active.
    pub async fn stored(&self, job: &Job, intent: &Intent, now: Timestamp) -> Result<(), StoreError> {
        let (store, job, intent) = (self.clone(), job.clone(), intent.clone());
        self.together(PUBLISH, move |db| Box::pin(async move { store.write_stored(db, &job, &intent, now).await }))
            .await
    }

    async fn write_stored(
        &self,
        db: &mut SqliteConnection,
        job: &Job,
        intent: &Intent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = &job.key;
        let ended = Ended {
            from_byte: Some(intent.resumed_bytes),
            to_byte: Some(intent.bytes),
            request_id: intent.request_id.clone(),
            partial_etag: None,
        };
        if !intent.returns {
            sqlx::query(
                "INSERT INTO files (account, export, task_id, revision, path, bytes, sha256, crc64, etag, verified_by,
                                    remote_updated_at, stored_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
            )
            .bind(key.listing.account.as_str())
            .bind(key.listing.export.as_str())
            .bind(key.id.as_str())
            .bind(intent.revision)
            .bind(&intent.path)
            .bind(signed(intent.bytes))
            .bind(&intent.sha256)
            .bind(&intent.crc64)
            .bind(&intent.etag)
            .bind(&intent.verified_by)
            .bind(&intent.remote_updated_at)
            .bind(rfc3339(now))
            .execute(&mut *db)
            .await
            .map_err(self.sql(PUBLISH))?;
        }
        self.record_attempt(db, job, AttemptResult::Stored, None, &ended, now).await?;
        self.settle(db, job, intent.remote_updated_at.clone(), now).await
    }

    /// Records that a stored task was looked at again and is as it was.
    ///
    /// # Errors
    /// When the database fails, or the download is not active.
    pub async fn unchanged(&self, job: &Job, ended: &Ended, now: Timestamp) -> Result<(), StoreError> {
        let (store, job, ended) = (self.clone(), job.clone(), ended.clone());
        self.together("record an unchanged file", move |db| {
            Box::pin(async move {
                store.record_attempt(db, &job, AttemptResult::Unchanged, None, &ended, now).await?;
                store.settle(db, &job, text(job.remote_updated_at), now).await
            })
        })
        .await
    }

    /// Makes the download repeat the newest revision, with nothing left to do.
    async fn settle(
        &self,
        db: &mut SqliteConnection,
        job: &Job,
        remote_updated_at: Option<String>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.step(
            db,
            &job.key,
            "store a download",
            sqlx::query(
                "UPDATE downloads SET
                    (path, bytes, sha256, stored_at) = (SELECT f.path, f.bytes, f.sha256, f.stored_at FROM files AS f
                        WHERE f.account = ?1 AND f.export = ?2 AND f.task_id = ?3 ORDER BY f.revision DESC LIMIT 1),
                    changed_at = iif(state = 'stored', changed_at, ?4), state = 'stored', failures = 0, not_before = NULL,
                    reason = NULL, error = NULL, link = NULL, link_at = NULL, link_refused = NULL, wanted_at = NULL,
                    recheck = 0, rechecked_at = iif(recheck, ?4, rechecked_at), fetched_updated_at = ?5,
                    reissued_at = iif(reissued_at > active_since, reissued_at, NULL),
                    partial_etag = NULL, active_since = NULL, intent = NULL
                 WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND active_since IS NOT NULL",
            ),
            |q| q.bind(rfc3339(now)).bind(remote_updated_at),
        )
        .await
    }

    /// The published revisions of a task, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn files_of(&self, key: &TaskKey) -> Result<Vec<FileRow>, StoreError> {
        sqlx::query_as(
            "SELECT id, account, export, task_id, revision, path, bytes, sha256, crc64, etag, verified_by, remote_updated_at,
                    stored_at
             FROM files WHERE account = ?1 AND export = ?2 AND task_id = ?3 ORDER BY revision",
        )
        .bind(key.listing.account.as_str())
        .bind(key.listing.export.as_str())
        .bind(key.id.as_str())
        .fetch_all(&self.readers)
        .await
        .map_err(self.sql("read the files of a task"))
    }

    /// The attempts that were under way when the last process ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cut_off(&self) -> Result<Vec<CutOff>, StoreError> {
        let failed = || self.sql("read the attempts that were cut off");
        let rows = sqlx::query(
            "SELECT d.account, d.export, d.task_id, d.attempt - 1 AS attempt, d.failures,
                    COALESCE(d.link, 'https://none.invalid/') AS link, d.link_at, d.link_refused, d.recheck,
                    d.partial_etag, d.active_since, d.intent, t.range_start, t.range_end, t.updated_at, NULL AS stored_etag, NULL AS stored_path, NULL AS stored_bytes
             FROM downloads AS d
             CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
             WHERE d.active_since IS NOT NULL",
        )
        .fetch_all(&self.readers)
        .await
        .map_err(failed())?;
        rows.iter()
            .map(|row| {
                let text_of = |column: &'static str| row.try_get::<Option<String>, _>(column).map_err(failed());
                let since = self.time("downloads.active_since", text_of("active_since")?.as_deref())?;
                let intent = text_of("intent")?
                    .map(|i| serde_json::from_str(&i).map_err(|e| self.inconsistent("downloads.intent", e)))
                    .transpose()?;
                Ok(CutOff { job: self.job(row, since.unwrap_or(Timestamp::UNIX_EPOCH))?, intent })
            })
            .collect()
    }
}
