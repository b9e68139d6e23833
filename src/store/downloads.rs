//! The queue: claiming due work, and how an attempt at it ends without a file.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{
    Store, StoreError,
    observe::{json, link_digest},
    signed, unsigned,
};
use crate::{
    clock::rfc3339,
    model::{
        download::{AfterFailure, AttemptResult, Reason},
        link::SignedUrl,
        task::{AccountName, Export, ListingKey, TaskId, TaskKey},
    },
};

/// What is being done, for errors.
const CLAIM: &str = "claim downloads";
const NOTE: &str = "note a partial file";

/// One attempt to make.
#[derive(Debug, Clone)]
pub struct Job {
    /// Which task.
    pub key: TaskKey,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Failures in a row before it.
    pub failures: u32,
    /// Where the file is.
    pub link: SignedUrl,
    /// When the link was first listed.
    pub link_at: Timestamp,
    /// Whether the listing gave it again after it was refused.
    pub link_was_refused: bool,
    /// Whether the task is stored already, and looked at again.
    pub recheck: bool,
    /// What the partial file is a prefix of.
    pub partial_etag: Option<String>,
    /// The newest published revision's change token.
    pub stored_etag: Option<String>,
    /// The newest published revision: where it is, and how large.
    pub stored_file: Option<(String, u64)>,
    /// Begin of the exported range.
    pub range_start: Option<Timestamp>,
    /// End of the exported range.
    pub range_end: Option<Timestamp>,
    /// The task's update time.
    pub remote_updated_at: Option<Timestamp>,
    /// When the attempt began.
    pub started_at: Timestamp,
}

/// What an attempt leaves in the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Where it began in the file.
    pub from_byte: Option<u64>,
    /// Where it stopped.
    pub to_byte: Option<u64>,
    /// The object store's id of the request.
    pub request_id: Option<String>,
    /// What a resume may rely on.
    pub partial_etag: Option<String>,
}

/// How a failed attempt is recorded.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub error: String,
    /// What it leads to.
    pub after: AfterFailure,
    /// Not again before.
    pub not_before: Timestamp,
}

/// What may be claimed.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Whose downloads, in turn: the first one gets the first slot.
    pub accounts: Vec<(AccountName, Vec<Export>)>,
    /// How many at most.
    pub slots: usize,
    /// Hosts and ports that nothing is claimed for.
    pub down: Vec<String>,
    /// Hosts and ports that one download may try.
    pub tried: Vec<String>,
    /// The time.
    pub now: Timestamp,
    /// What is to wait for longer than this is due, so that a clock that was set back cannot freeze the queue.
    pub horizon: SignedDuration,
}

impl Store {
    /// Claims due downloads for the free slots, one for each account in turn, each the oldest of its account: they are active
    /// from now on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(&self, claim: Claim) -> Result<Vec<Job>, StoreError> {
        let store = self.clone();
        self.together(CLAIM, |db| Box::pin(async move { store.claim_in_turn(db, claim).await })).await
    }

    async fn claim_in_turn(&self, db: &mut SqliteConnection, mut claim: Claim) -> Result<Vec<Job>, StoreError> {
        let mut jobs = Vec::new();
        let mut accounts: VecDeque<_> = std::mem::take(&mut claim.accounts).into();
        // Ends: every turn fills a slot or loses an account.
        while jobs.len() < claim.slots
            && let Some((account, exports)) = accounts.pop_front()
        {
            let job = match self.claim_one(db, &account, &exports, &claim).await {
                Ok(Some(job)) => job,
                Ok(None) => continue,
                Err(e) if jobs.is_empty() => return Err(e),
                // A row that cannot be read takes nothing away from others: it is said when its account comes first.
                Err(_) => break,
            };
            let host = job.link.host_and_port();
            if claim.tried.contains(&host) {
                claim.down.push(host);
            }
            jobs.push(job);
            accounts.push_back((account, exports));
        }
        Ok(jobs)
    }

    async fn claim_one(
        &self,
        db: &mut SqliteConnection,
        account: &AccountName,
        exports: &[Export],
        claim: &Claim,
    ) -> Result<Option<Job>, StoreError> {
        let now = claim.now;
        let exports: Vec<&str> = exports.iter().map(|e| e.as_str()).collect();
        let row = sqlx::query(
            "SELECT d.account, d.export, d.task_id, d.attempt, d.failures, d.link, d.link_at, d.link_refused, d.recheck,
                    d.partial_etag, d.path AS stored_path, d.bytes AS stored_bytes, t.range_start, t.range_end, t.updated_at,
                    (SELECT f.etag FROM files AS f WHERE f.account = d.account AND f.export = d.export
                        AND f.task_id = d.task_id ORDER BY f.revision DESC LIMIT 1) AS stored_etag
             FROM downloads AS d
             CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
             WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = ?1 AND d.active_since IS NULL
                AND d.link IS NOT NULL AND (d.not_before IS NULL OR d.not_before <= ?2 OR d.not_before > ?3)
                AND d.export IN (SELECT value FROM json_each(?4)) AND d.link_host NOT IN (SELECT value FROM json_each(?5))
             ORDER BY d.queued_for, d.task_id LIMIT 1",
        )
        .bind(account.as_str())
        .bind(rfc3339(now))
        .bind(rfc3339(now.saturating_add(claim.horizon).unwrap_or(now)))
        .bind(json(&exports))
        .bind(json(&claim.down))
        .fetch_optional(&mut *db)
        .await
        .map_err(self.sql(CLAIM))?;
        let Some(row) = row else { return Ok(None) };
        let job = self.job(&row, now)?;
        self.step(
            db,
            &job.key,
            "begin an attempt",
            sqlx::query(
                // A time ahead is of a clock that has been set back: what was noted then came before this attempt.
                "UPDATE downloads SET attempt = attempt + 1, active_since = ?4, reissued_at = min(reissued_at, ?4),
                        changed_at = iif(state = 'pending', ?4, changed_at), state = iif(state = 'pending', 'active', state)
                 WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND active_since IS NULL",
            ),
            |q| q.bind(rfc3339(now)),
        )
        .await?;
        Ok(Some(job))
    }

    pub(super) fn job(&self, row: &SqliteRow, now: Timestamp) -> Result<Job, StoreError> {
        let failed = || self.sql("read a download");
        let text_of =
            |column: &'static str| -> Result<Option<String>, StoreError> { row.try_get(column).map_err(failed()) };
        let link = text_of("link")?.unwrap_or_default();
        let link_was_refused = text_of("link_refused")? == Some(link_digest(&link));
        Ok(Job {
            key: self.key(row)?,
            attempt: row.try_get::<u32, _>("attempt").map_err(failed())?.saturating_add(1),
            failures: row.try_get("failures").map_err(failed())?,
            link: self.word("downloads.link", SignedUrl::parse(&link))?,
            link_at: self.time("downloads.link_at", text_of("link_at")?.as_deref())?.unwrap_or(now),
            link_was_refused,
            recheck: row.try_get("recheck").map_err(failed())?,
            partial_etag: text_of("partial_etag")?,
            stored_etag: text_of("stored_etag")?,
            stored_file: text_of("stored_path")?
                .zip(row.try_get::<Option<i64>, _>("stored_bytes").map_err(failed())?.map(unsigned)),
            range_start: self.time("tasks.range_start", text_of("range_start")?.as_deref())?,
            range_end: self.time("tasks.range_end", text_of("range_end")?.as_deref())?,
            remote_updated_at: self.time("tasks.updated_at", text_of("updated_at")?.as_deref())?,
            started_at: now,
        })
    }

    /// Reads account, export and task id of a row.
    pub(super) fn key(&self, row: &SqliteRow) -> Result<TaskKey, StoreError> {
        let column = |name: &'static str| row.try_get::<String, _>(name).map_err(self.sql("read a task's key"));
        Ok(TaskKey {
            listing: ListingKey {
                account: self.word("account", AccountName::parse(&column("account")?))?,
                export: self.word("export", Export::parse(&column("export")?))?,
            },
            id: self.word("task_id", TaskId::parse(&column("task_id")?))?,
        })
    }

    /// Runs an update of one download that must change exactly its row: anything else is a step that the state
    /// machine does not have. `?1` to `?3` are the key.
    pub(super) async fn step<'q>(
        &self,
        db: &mut SqliteConnection,
        key: &TaskKey,
        step: &'static str,
        query: sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
        bind: impl FnOnce(
            sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
        ) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<(), StoreError> {
        let query = query
            .bind(key.listing.account.as_str().to_owned())
            .bind(key.listing.export.as_str())
            .bind(key.id.as_str().to_owned());
        let done = bind(query).execute(db).await.map_err(self.sql(step))?;
        if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Illegal { task: key.to_string(), step }) }
    }

    /// Appends to the record of attempts.
    pub(super) async fn record_attempt(
        &self,
        db: &mut SqliteConnection,
        job: &Job,
        result: AttemptResult,
        failure: Option<(Reason, &str)>,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO attempts (account, export, task_id, attempt, started_at, ended_at, result, reason, error,
                                   from_byte, to_byte, request_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .bind(job.key.listing.account.as_str())
        .bind(job.key.listing.export.as_str())
        .bind(job.key.id.as_str())
        .bind(job.attempt)
        .bind(rfc3339(job.started_at))
        .bind(rfc3339(now))
        .bind(result.as_str())
        .bind(failure.map(|(reason, _)| reason.as_str()))
        .bind(failure.map(|(_, error)| error))
        .bind(ended.from_byte.map(signed))
        .bind(ended.to_byte.map(signed))
        .bind(ended.request_id.as_deref())
        .execute(db)
        .await
        .map_err(self.sql("record an attempt"))?;
        Ok(())
    }

    /// Ends an attempt that failed: back to pending or abandoned; a stored task stays stored. A refused link is
    /// forgotten, unless the listing has brought another one meanwhile.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempt_failed(
        &self,
        job: &Job,
        failure: &Failure,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (store, job, failure, ended) = (self.clone(), job.clone(), failure.clone(), ended.clone());
        self.together("record a failed attempt", move |db| {
            Box::pin(async move { store.write_failed(db, &job, &failure, &ended, now).await })
        })
        .await
    }

    async fn write_failed(
        &self,
        db: &mut SqliteConnection,
        job: &Job,
        failure: &Failure,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let result = if failure.after.abandoned { AttemptResult::Abandoned } else { AttemptResult::Failed };
        let link = job.link.expose().as_str();
        self.record_attempt(db, job, result, Some((failure.reason, &failure.error)), ended, now).await?;
        self.step(
            db,
            &job.key,
            "fail an attempt",
            sqlx::query(
                "UPDATE downloads SET
                    state = CASE WHEN state <> 'active' THEN state WHEN ?4 THEN 'abandoned' ELSE 'pending' END,
                    changed_at = iif(state = 'active', ?5, changed_at),
                    recheck = iif(?4, 0, recheck), rechecked_at = iif(?4 AND recheck, ?5, rechecked_at),
                    failures = ?6, not_before = iif(?7 AND link IS NOT ?8, NULL, ?9),
                    reason = ?10, error = ?11, partial_etag = ?12, active_since = NULL, intent = NULL,
                    wanted_at = CASE WHEN ?4 THEN NULL WHEN ?7 AND link IS ?8 THEN ?5 ELSE wanted_at END,
                    link_refused = iif(?7, ?13, link_refused),
                    link = CASE WHEN ?4 THEN NULL WHEN ?7 AND link IS ?8 THEN NULL ELSE link END
                 WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND active_since IS NOT NULL",
            ),
            |q| {
                q.bind(failure.after.abandoned)
                    .bind(rfc3339(now))
                    .bind(failure.after.failures)
                    .bind(failure.after.wants_link)
                    .bind(link.to_owned())
                    .bind(rfc3339(failure.not_before))
                    .bind(failure.reason.as_str())
                    .bind(failure.error.clone())
                    .bind(ended.partial_etag.clone())
                    .bind(link_digest(link))
            },
        )
        .await
    }

    /// Ends an attempt that a stop or a crash cut off: it counts for nothing and is due at once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn attempt_interrupted(&self, job: &Job, ended: &Ended, now: Timestamp) -> Result<(), StoreError> {
        let (store, job, ended) = (self.clone(), job.clone(), ended.clone());
        self.together("record an interrupted attempt", move |db| {
            Box::pin(async move {
                store.record_attempt(db, &job, AttemptResult::Interrupted, None, &ended, now).await?;
                let update = sqlx::query(
                    "UPDATE downloads SET state = iif(state = 'active', 'pending', state),
                            changed_at = iif(state = 'active', ?4, changed_at), partial_etag = COALESCE(?5, partial_etag),
                            active_since = NULL, intent = NULL
                     WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND active_since IS NOT NULL",
                );
                let etag = ended.partial_etag;
                store.step(db, &job.key, "interrupt an attempt", update, |q| q.bind(rfc3339(now)).bind(etag)).await
            })
        })
        .await
    }

    /// Notes what the partial of a running attempt is a prefix of, so that a crash does not lose it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_partial(&self, key: &TaskKey, etag: Option<&str>) -> Result<(), StoreError> {
        let (store, key, etag) = (self.clone(), key.clone(), etag.map(str::to_owned));
        self.together(NOTE, |db| {
            Box::pin(async move {
                let update = sqlx::query(
                    "UPDATE downloads SET partial_etag = ?4
                     WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND active_since IS NOT NULL",
                );
                store.step(db, &key, NOTE, update, |q| q.bind(etag)).await
            })
        })
        .await
    }

    /// Costs a download an attempt for which a walk over its listing found no link. None when it wants none any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn charge_wanted(
        &self,
        key: &TaskKey,
        failures_max: u32,
        now: Timestamp,
    ) -> Result<Option<Charged>, StoreError> {
        let failed = || self.sql("record a missing link");
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
        let row = sqlx::query(
            "SELECT d.account, d.export, d.task_id, d.attempt, d.failures, 'https://none.invalid/' AS link, d.link_at,
                    d.link_refused, d.recheck, d.partial_etag, t.range_start, t.range_end, t.updated_at, NULL AS stored_etag, NULL AS stored_path, NULL AS stored_bytes
             FROM downloads AS d
             CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
             WHERE d.account = ?1 AND d.export = ?2 AND d.task_id = ?3 AND d.wanted_at IS NOT NULL AND d.active_since IS NULL",
        )
        .bind(key.listing.account.as_str())
        .bind(key.listing.export.as_str())
        .bind(key.id.as_str())
        .fetch_optional(&mut *tx)
        .await
        .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let refused = row.try_get::<Option<String>, _>("link_refused").map_err(failed())?.is_some();
        let job = self.job(&row, now)?;
        let (reason, error) = if refused {
            (Reason::Expired, "the link was refused, and the listing brings no other".to_owned())
        } else {
            (Reason::NoLink, "the task is listed as success without a link".to_owned())
        };
        let failures = job.failures.saturating_add(1);
        let abandoned = failures >= failures_max;
        let result = if abandoned { AttemptResult::Abandoned } else { AttemptResult::Failed };
        self.record_attempt(&mut tx, &job, result, Some((reason, &error)), &Ended::default(), now).await?;
        let (attempt, words) = (job.attempt, error.clone());
        self.step(
            &mut tx,
            key,
            "do without a link",
            sqlx::query(
                "UPDATE downloads SET attempt = ?4, failures = ?5, reason = ?6, error = ?7,
                    changed_at = iif(?8 AND state = 'pending', ?9, changed_at),
                    state = iif(?8 AND state = 'pending', 'abandoned', state), recheck = iif(?8, 0, recheck),
                    rechecked_at = iif(?8 AND recheck, ?9, rechecked_at),
                    wanted_at = iif(?8, NULL, wanted_at)
                 WHERE account = ?1 AND export = ?2 AND task_id = ?3 AND wanted_at IS NOT NULL AND active_since IS NULL",
            ),
            |q| q.bind(attempt).bind(failures).bind(reason.as_str()).bind(words).bind(abandoned).bind(rfc3339(now)),
        )
        .await?;
        tx.commit().await.map_err(failed())?;
        Ok(Some(Charged { attempt, abandoned, reason, error }))
    }
}

/// A failure for want of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charged {
    /// Number of the attempt that it cost.
    pub attempt: u32,
    /// Whether that was the last.
    pub abandoned: bool,
    /// What the link was wanted for.
    pub reason: Reason,
    /// In words.
    pub error: String,
}
