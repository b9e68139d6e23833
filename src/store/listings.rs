//! What the polls of a listing found: one row a listing.

use jiff::{SignedDuration, Timestamp};
use sqlx::{Row as _, SqliteConnection};

use super::{Recorded, Store, StoreError, observe::json, signed, text, unsigned};
use crate::{
    clock::rfc3339,
    model::{
        health::Beat,
        observe::Kind,
        overview,
        sweep::{Missing, Total, Verdict, judge_missing, judge_total},
        task::{ListingKey, Status, TaskId},
    },
};

/// A listing's row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// As the service last counted.
    pub total: Option<u64>,
    /// The last poll that succeeded.
    pub last_poll_at: Option<Timestamp>,
    /// The last full sweep that ended.
    pub last_sweep_at: Option<Timestamp>,
    /// The last that was consistent.
    pub last_consistent_sweep_at: Option<Timestamp>,
    /// The last full sweep of the regular beat, which also brings abandoned downloads back.
    pub last_beat_at: Option<Timestamp>,
    /// Whether a quick poll found more than it reads, and no sweep has ended since.
    pub sweep_due: bool,
    /// Of the last poll, when it failed.
    pub error: Option<String>,
    /// Since when its total has been too low to be believed.
    pub suspect_since: Option<Timestamp>,
}

impl Listing {
    /// What of it tells whether it needs a person.
    #[must_use]
    pub fn overview(&self, key: &ListingKey, beat: Beat) -> overview::Listing {
        overview::Listing {
            key: key.clone(),
            last_poll_at: self.last_poll_at,
            last_consistent_sweep_at: self.last_consistent_sweep_at,
            is_failing: self.error.is_some(),
            is_suspect: self.suspect_since.is_some(),
            beat,
        }
    }
}

/// A task that every poll looks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which task.
    pub id: TaskId,
    /// Where it was last seen.
    pub page: Option<u32>,
}

/// What a finished sweep changed beyond its pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SweepEnd {
    /// Tasks that are unlisted from now on.
    pub unlisted: Vec<Recorded>,
    /// The total before, when the new one is suspect.
    pub suspect: Option<u64>,
}

// Read twice at every poll: through indexes that hold only what is not done.
pub(super) const WATCHED: &str = "SELECT task_id, page FROM tasks INDEXED BY tasks_unfinished
     WHERE account = ?1 AND export = ?2 AND last_seen_at >= ?3 AND unlisted_at IS NULL AND status NOT IN ('success', 'failed')
     UNION ALL
     SELECT t.task_id, t.page FROM downloads AS d INDEXED BY downloads_wanted
     CROSS JOIN tasks AS t ON t.account = d.account AND t.export = d.export AND t.task_id = d.task_id
     WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = ?1 AND d.export = ?2 AND d.wanted_at IS NOT NULL
        AND t.last_seen_at >= ?3 AND t.unlisted_at IS NULL";

impl Store {
    /// Makes sure that a configured listing has its row, and notes its endpoint.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn register_listing(&self, listing: &ListingKey, endpoint: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO listings (account, export, endpoint) VALUES (?1, ?2, ?3)
             ON CONFLICT (account, export) DO UPDATE SET endpoint = excluded.endpoint WHERE endpoint <> excluded.endpoint",
        )
        .bind(listing.account.as_str())
        .bind(listing.export.as_str())
        .bind(endpoint)
        .execute(&self.writer)
        .await
        .map_err(self.sql("register a listing"))?;
        Ok(())
    }

    /// A listing's row; none when it was never configured.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn listing(&self, listing: &ListingKey) -> Result<Option<Listing>, StoreError> {
        let failed = || self.sql("read a listing");
        let row = sqlx::query(
            "SELECT total, last_poll_at, last_sweep_at, last_consistent_sweep_at, last_beat_at, sweep_due,
                    error, suspect_since
             FROM listings WHERE account = ?1 AND export = ?2",
        )
        .bind(listing.account.as_str())
        .bind(listing.export.as_str())
        .fetch_optional(&self.readers)
        .await
        .map_err(failed())?;
        let Some(row) = row else { return Ok(None) };
        let time_of = |column: &'static str| self.time(column, row.try_get(column).map_err(failed())?);
        Ok(Some(Listing {
            total: row.try_get::<Option<i64>, _>("total").map_err(failed())?.map(unsigned),
            last_poll_at: time_of("last_poll_at")?,
            last_sweep_at: time_of("last_sweep_at")?,
            last_consistent_sweep_at: time_of("last_consistent_sweep_at")?,
            last_beat_at: time_of("last_beat_at")?,
            sweep_due: row.try_get("sweep_due").map_err(failed())?,
            error: row.try_get("error").map_err(failed())?,
            suspect_since: time_of("suspect_since")?,
        }))
    }

    /// Notes that a quick poll succeeded, and whether it left more to be read than it reads. Only that has to outlive a power
    /// cut: the rest is what the next poll finds as well, and a flush would be all that a poll without news costs the disk.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn poll_succeeded(
        &self,
        listing: &ListingKey,
        total: Option<u64>,
        sweep_due: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let failed = || self.sql("record a poll");
        let mut writer = self.writer.acquire().await.map_err(failed())?;
        if !sweep_due {
            self.unhurried.begin(&mut writer).await.map_err(failed())?;
        }
        sqlx::query(
            "UPDATE listings SET total = COALESCE(?3, total), last_poll_at = ?4, sweep_due = ?5, error = NULL
             WHERE account = ?1 AND export = ?2",
        )
        .bind(listing.account.as_str())
        .bind(listing.export.as_str())
        .bind(total.map(signed))
        .bind(rfc3339(now))
        .bind(sweep_due)
        .execute(&mut *writer)
        .await
        .map_err(failed())?;
        Ok(())
    }

    /// The tasks that every poll looks for: listed, unfinished or without their link, and changed since then.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn watched(&self, listing: &ListingKey, since: Timestamp) -> Result<Vec<Watched>, StoreError> {
        let failed = || self.sql("read the unfinished tasks");
        let rows = sqlx::query(WATCHED)
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(rfc3339(since))
            .fetch_all(&self.readers)
            .await
            .map_err(failed())?;
        rows.iter()
            .map(|row| {
                let id: String = row.try_get(0).map_err(failed())?;
                Ok(Watched {
                    id: self.word("tasks.task_id", TaskId::parse(&id))?,
                    page: row.try_get(1).map_err(failed())?,
                })
            })
            .collect()
    }

    /// Notes that a poll failed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn poll_failed(&self, listing: &ListingKey, error: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE listings SET error = ?3 WHERE account = ?1 AND export = ?2")
            .bind(listing.account.as_str())
            .bind(listing.export.as_str())
            .bind(error)
            .execute(&self.writer)
            .await
            .map_err(self.sql("record a failed poll"))?;
        Ok(())
    }

    /// Ends a sweep that began at `began`: the listing's row, and for a consistent one the tasks that it lacks. Two
    /// consistent sweeps count when they began at least `apart` from each other. One of the regular `beat` keeps its
    /// own time: those that come between must not put off what only it does.
    ///
    /// # Errors
    /// When the database fails; then nothing is changed.
    pub async fn finish_sweep(
        &self,
        listing: &ListingKey,
        verdict: &Verdict,
        began: Timestamp,
        apart: SignedDuration,
        beat: bool,
        now: Timestamp,
    ) -> Result<SweepEnd, StoreError> {
        let failed = || self.sql("finish a sweep");
        let (account, export) = (listing.account.as_str(), listing.export.as_str());
        let mut tx = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
        let row =
            sqlx::query("SELECT consistent_total, suspect_since FROM listings WHERE account = ?1 AND export = ?2")
                .bind(account)
                .bind(export)
                .fetch_one(&mut *tx)
                .await
                .map_err(failed())?;
        let previous = row.try_get::<Option<i64>, _>(0).map_err(failed())?.map(unsigned);
        let since = self.time("listings.suspect_since", row.try_get(1).map_err(failed())?)?;
        let mut end = SweepEnd::default();
        let (mut baseline, mut suspect_since) = (previous, since);
        if let (true, Some(total)) = (verdict.consistent, verdict.total) {
            match judge_total(total, previous, since, now) {
                Total::Suspect { previous, since } => {
                    end.suspect = Some(previous);
                    suspect_since = Some(since);
                }
                Total::Plausible => {
                    (baseline, suspect_since) = (Some(total), None);
                    end.unlisted = self.mark_missing(&mut tx, listing, verdict, began, apart, now).await?;
                }
            }
        }
        sqlx::query(
            "UPDATE listings SET total = COALESCE(?3, total), last_poll_at = ?4, last_sweep_at = ?4,
                    last_consistent_sweep_at = iif(?5, ?4, last_consistent_sweep_at), error = NULL,
                    consistent_total = ?6, suspect_since = ?7, last_beat_at = iif(?8, ?4, last_beat_at), sweep_due = 0
             WHERE account = ?1 AND export = ?2",
        )
        .bind(account)
        .bind(export)
        .bind(verdict.total.map(signed))
        .bind(rfc3339(now))
        .bind(verdict.consistent)
        .bind(baseline.map(signed))
        .bind(text(suspect_since))
        .bind(beat)
        .execute(&mut *tx)
        .await
        .map_err(failed())?;
        tx.commit().await.map_err(failed())?;
        Ok(end)
    }

    async fn mark_missing(
        &self,
        db: &mut SqliteConnection,
        listing: &ListingKey,
        verdict: &Verdict,
        began: Timestamp,
        apart: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, StoreError> {
        let failed = || self.sql("look for tasks that a sweep lacked");
        let (account, export) = (listing.account.as_str(), listing.export.as_str());
        // The key alone is counted, in its index, and what is gone taken off: 5 ms for 100,000 tasks. A look at each row took 200.
        let listed: i64 = sqlx::query_scalar(
            "SELECT (SELECT count(*) FROM tasks WHERE account = ?1 AND export = ?2)
                  - (SELECT count(*) FROM tasks WHERE account = ?1 AND export = ?2 AND unlisted_at IS NOT NULL)",
        )
        .bind(account)
        .bind(export)
        .fetch_one(&mut *db)
        .await
        .map_err(failed())?;
        // Every row of the sweep has been applied, so what was seen is listed: equal counts are equal sets. One that could
        // not be read was not applied.
        if !verdict.has_unreadable && unsigned(listed) == verdict.seen.len() as u64 {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT task_id, name, status, updated_at, missed_at FROM tasks
             WHERE account = ?1 AND export = ?2 AND unlisted_at IS NULL",
        )
        .bind(account)
        .bind(export)
        .fetch_all(&mut *db)
        .await
        .map_err(failed())?;
        let (mut missed, mut gone, mut recorded) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            let id: String = row.try_get(0).map_err(failed())?;
            if verdict.seen.contains(&id) {
                continue;
            }
            let missed_at = self.time("tasks.missed_at", row.try_get(4).map_err(failed())?)?;
            match judge_missing(missed_at, began, apart) {
                Missing::TooSoon => {}
                Missing::Remember => missed.push(id),
                Missing::Unlist => {
                    let status: String = row.try_get(2).map_err(failed())?;
                    let status = self.word("tasks.status", Status::parse(&status))?;
                    recorded.push(Recorded {
                        id: self.word("tasks.task_id", TaskId::parse(&id))?,
                        kind: Kind::Unlisted,
                        name: row.try_get(1).map_err(failed())?,
                        from: Some(status.clone()),
                        to: status,
                        remote_updated_at: self.time("tasks.updated_at", row.try_get(3).map_err(failed())?)?,
                    });
                    gone.push(id);
                }
            }
        }
        // The row of a task that may not be listed any more keeps everything else that is known of it.
        let remember = sqlx::query(
            "UPDATE tasks SET missed_at = ?4 WHERE account = ?2 AND export = ?3
                    AND task_id IN (SELECT value FROM json_each(?1))",
        );
        let record = sqlx::query(
            "INSERT INTO transitions (account, export, task_id, kind, from_status, to_status, remote_updated_at, observed_at)
             SELECT t.account, t.export, t.task_id, 'unlisted', t.status, t.status, t.updated_at, ?4
             FROM json_each(?1) AS j CROSS JOIN tasks AS t ON t.account = ?2 AND t.export = ?3 AND t.task_id = j.value
             ORDER BY j.key",
        );
        let unlist = sqlx::query(
            "UPDATE tasks SET unlisted_at = ?4 WHERE account = ?2 AND export = ?3
                    AND task_id IN (SELECT value FROM json_each(?1))",
        );
        for (statement, ids, at) in [(remember, &missed, began), (record, &gone, now), (unlist, &gone, now)] {
            statement
                .bind(json(ids))
                .bind(account)
                .bind(export)
                .bind(rfc3339(at))
                .execute(&mut *db)
                .await
                .map_err(failed())?;
        }
        Ok(recorded)
    }
}
