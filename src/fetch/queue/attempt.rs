//! One attempt at one download, from its claim to its record.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::{Mode, Queue, Settings, hosts::Cost};
use crate::{
    clock, events,
    fetch::{
        blocking,
        board::Place,
        publish::PlaceError,
        transfer::{Fetched, Limits, Outcome, Request, TransferError, transfer},
    },
    model::{
        age::age,
        backoff,
        download::{AfterFailure, AttemptResult, Reason, after_failure},
        filename::relative_path,
    },
    store::{Ended, Failure, Intent, Job, StoreError},
};

/// Revisions of one task that are tried for a free name. A name is taken only by a file that is not recorded, after a
/// lost or restored database; a thousand of them would be something else.
const REVISIONS_TRIED_MAX: u32 = 1_000;

/// A transfer that runs for longer than this has what it resumes from recorded, so that a crash does not cost it.
const NOTE_PARTIAL_EVERY: Duration = Duration::from_secs(1);

impl Queue {
    pub(super) async fn attempt(
        self: Arc<Self>,
        settings: Arc<Settings>,
        job: Job,
        cancel: CancellationToken,
    ) -> Result<(), StoreError> {
        let place = self.board.begin(&job.key);
        tracing::debug!(task = %job.key, attempt = job.attempt, "a transfer begins");
        // Only the transfer can be cut off; from here on an outcome is recorded.
        let outcome = self.transfer(&settings, &job, &place, &cancel).await;
        tracing::debug!(task = %job.key, attempt = job.attempt, "a transfer has ended");
        let host = job.link.host_and_port();
        match &outcome {
            None => self.hosts.undecided(&host),
            Some(Err(e)) if e.unreachable_host.is_some() => {}
            Some(_) => self.hosts.reached(&host),
        }
        let result = match outcome {
            None => {
                let ended = Ended {
                    to_byte: Some(place.progress.done_bytes()),
                    partial_etag: place.progress.etag(),
                    ..Ended::default()
                };
                self.store.attempt_interrupted(&job, &ended, clock::now()).await?;
                AttemptResult::Interrupted
            }
            Some(Ok(Outcome::Unchanged)) => {
                self.store.unchanged(&job, &Ended::default(), clock::now()).await?;
                AttemptResult::Unchanged
            }
            Some(Ok(Outcome::Fetched(fetched))) => self.publish(&settings, &job, fetched).await?,
            Some(Err(error)) => self.fail(&settings, &job, error).await?,
        };
        self.observer.attempted(&job.key.listing, result, place.progress.received_bytes());
        Ok(())
    }

    /// What came of the transfer; nothing when it was cut off.
    async fn transfer(
        self: &Arc<Self>,
        settings: &Settings,
        job: &Job,
        place: &Place,
        cancel: &CancellationToken,
    ) -> Option<Result<Outcome, TransferError>> {
        let partial = self.area.partial(&job.key);
        let (area, stored) = (self.area.clone(), job.stored_file.clone());
        let is_there = blocking(move || {
            area.make_incoming();
            // Only what is there may be unchanged: a file that was lost is fetched whole.
            stored.is_some_and(|(path, bytes)| area.size(&path).is_ok_and(|found| found == Some(bytes)))
        })
        .await;
        let if_none_match = job.stored_etag.as_deref().filter(|_| job.recheck && is_there);
        let request = Request {
            link: &job.link,
            partial: &partial,
            resume_etag: job.partial_etag.as_deref(),
            if_none_match,
            limits: Limits::from(&settings.config),
            progress: &place.progress,
            space: self.space_check(),
        };
        let transfer = transfer(&settings.downloads, &request);
        tokio::pin!(transfer);
        let mut noted = job.partial_etag.clone();
        let mut tick = interval(NOTE_PARTIAL_EVERY);
        tick.tick().await;
        loop {
            // What is cut off is the transfer and never the note: others may share its transaction.
            tokio::select! {
                biased;
                () = cancel.cancelled() => return None,
                outcome = &mut transfer => return Some(outcome),
                _ = tick.tick() => {
                    let etag = place.progress.etag();
                    if etag.is_some() && etag != noted {
                        if let Err(e) = self.store.note_partial(&job.key, etag.as_deref()).await {
                            // The transfer goes on: only a crash would miss the note.
                            events::store_failed(&e.to_string());
                        }
                        noted = etag;
                    }
                }
            }
        }
    }

    /// Commits the intent, makes the file durable, moves it to its name, and records it: in this order, so that a crash
    /// at any point leaves enough to go on.
    async fn publish(&self, settings: &Settings, job: &Job, fetched: Fetched) -> Result<AttemptResult, StoreError> {
        let newest = self.store.files_of(&job.key).await?.pop();
        let sha256 = hex::encode(fetched.sha256);
        let name = |revision| {
            relative_path(&job.key.listing, &job.key.id, job.range_start, job.range_end, revision, fetched.kind)
        };
        let returning = newest.as_ref().filter(|f| f.sha256 == sha256);
        let revision = newest.as_ref().map_or(1, |f| returning.map_or(f.revision + 1, |same| same.revision));
        let mut intent = Intent {
            path: returning.map_or_else(|| name(revision), |f| f.path.clone()),
            revision,
            returns: returning.is_some(),
            bytes: fetched.bytes,
            sha256,
            crc64: fetched.crc64.to_string(),
            etag: fetched.etag.clone(),
            verified_by: fetched.verified_by.as_str().to_owned(),
            remote_updated_at: job.remote_updated_at.map(clock::rfc3339),
            attempt: job.attempt,
            started_at: clock::rfc3339(job.started_at),
            resumed_bytes: fetched.resumed_bytes,
            request_id: fetched.request_id.clone(),
        };
        for _ in 0..REVISIONS_TRIED_MAX {
            self.store.intend(&job.key, &intent).await?;
            match self.put_in_place(job, &intent).await {
                Ok(Placed::Done { was_there }) => return self.record(job, &intent, was_there).await,
                Ok(Placed::Taken) if intent.returns => {
                    // By what was once these bytes: it is damaged, and makes way for them.
                    let (area, path) = (self.area.clone(), intent.path.clone());
                    if let Err(e) = blocking(move || area.move_damaged(&path)).await {
                        let text = format!("move the damaged {} away: {e}", intent.path);
                        return self.fail(settings, job, TransferError::disk(text, fetched.bytes)).await;
                    }
                }
                Ok(Placed::Taken) => {
                    // By other bytes: they stay, and these come beside them.
                    intent.revision += 1;
                    intent.path = name(intent.revision);
                }
                Err(text) => return self.fail(settings, job, TransferError::disk(text, fetched.bytes)).await,
            }
        }
        let text = format!("{REVISIONS_TRIED_MAX} names for the file of task {} are taken; look at them", job.key);
        self.fail(settings, job, TransferError::disk(text, fetched.bytes)).await
    }

    async fn put_in_place(&self, job: &Job, intent: &Intent) -> Result<Placed, String> {
        let (area, partial, path) = (self.area.clone(), self.area.partial(&job.key), intent.path.clone());
        let expected = (intent.bytes, intent.sha256.clone());
        blocking(move || {
            area.seal(&partial).map_err(|e| format!("flush {}: {e}", partial.display()))?;
            match area.place(&partial, &path) {
                Ok(()) => Ok(Placed::Done { was_there: false }),
                Err(PlaceError::Exists { .. }) => {
                    let there = area.hash(&path).map_err(|e| format!("read {path}: {e}"))?;
                    if there.is_some_and(|d| (d.bytes, hex::encode(d.sha256)) == expected) {
                        area.adopt(&path, &partial).map_err(|e| format!("adopt {path}: {e}"))?;
                        Ok(Placed::Done { was_there: true })
                    } else {
                        Ok(Placed::Taken)
                    }
                }
                Err(e) => Err(e.to_string()),
            }
        })
        .await
    }

    async fn record(&self, job: &Job, intent: &Intent, was_there: bool) -> Result<AttemptResult, StoreError> {
        let now = clock::now();
        if job.recheck && intent.returns && was_there {
            let ended =
                Ended { to_byte: Some(intent.bytes), request_id: intent.request_id.clone(), ..Ended::default() };
            self.store.unchanged(job, &ended, now).await?;
            return Ok(AttemptResult::Unchanged);
        }
        self.store_file(job, intent, now).await?;
        Ok(AttemptResult::Stored)
    }

    /// Records a file that is in its place, and then says so.
    pub(super) async fn store_file(&self, job: &Job, intent: &Intent, now: Timestamp) -> Result<(), StoreError> {
        self.store.stored(job, intent, now).await?;
        events::download_stored(
            &job.key,
            &events::Stored {
                path: &intent.path,
                bytes: intent.bytes,
                sha256: &intent.sha256,
                revision: intent.revision,
                verified_by: intent.verified_by(),
                attempt: job.attempt,
                resumed_bytes: intent.resumed_bytes,
                duration: Duration::from_millis(clock::millis_between(job.started_at, now)),
            },
        );
        Ok(())
    }

    async fn fail(&self, settings: &Settings, job: &Job, error: TransferError) -> Result<AttemptResult, StoreError> {
        let now = clock::now();
        let link_age = age(job.link_at, now);
        let retry = &settings.retry;
        let host_pause = |failures| backoff::delay(retry.base, retry.max, failures, None, rand::random());
        let paid_by_another = settings.mode == Mode::Daemon
            && error.unreachable_host.is_some()
            && self.hosts.unreachable(&job.link.host_and_port(), clock::instant(), host_pause) == Cost::Nothing;
        let after = if error.is_out_of_space || paid_by_another {
            // Nobody's failure: it waits until there is room, or until its host is back.
            AfterFailure { failures: job.failures, abandoned: false, wants_link: false }
        } else {
            after_failure(job.failures, settings.config.max_attempts, error.reason, link_age, job.link_was_refused)
        };
        let delay = if error.is_out_of_space {
            self.note_shortage();
            retry.max
        } else {
            backoff::delay(retry.base, retry.max, after.failures.max(1), error.retry_after, rand::random())
        };
        let not_before = now.saturating_add(SignedDuration::try_from(delay).unwrap_or_default()).unwrap_or(now);
        let ended = Ended {
            from_byte: Some(error.from_byte),
            to_byte: Some(error.to_byte),
            request_id: error.request_id.clone(),
            partial_etag: error.etag.clone(),
        };
        let failure = Failure { reason: error.reason, error: error.text.clone(), after, not_before };
        if after.abandoned {
            let (area, key) = (self.area.clone(), job.key.clone());
            // What is given up leaves nothing behind; a later revival starts over.
            if let Err(e) = blocking(move || area.remove_partial(&key)).await {
                tracing::debug!("the unfinished file of task {} stays: {e}", job.key);
            }
        }
        self.store.attempt_failed(job, &failure, &ended, now).await?;
        self.observer.download_failed(&job.key.listing, error.reason);
        if after.abandoned {
            events::download_abandoned(&job.key, error.reason, &error.text, job.attempt);
        } else {
            events::download_retrying(&job.key, error.reason, &error.text, job.attempt, delay);
        }
        Ok(if after.abandoned { AttemptResult::Abandoned } else { AttemptResult::Failed })
    }
}

/// What became of an attempt to take a name.
enum Placed {
    /// The name holds these bytes, durably.
    Done {
        /// They were there before.
        was_there: bool,
    },
    /// The name holds other bytes.
    Taken,
}

impl TransferError {
    /// A whole file that could not be published; the next attempt fetches it again.
    const fn disk(text: String, bytes: u64) -> Self {
        Self {
            reason: Reason::Disk,
            text,
            from_byte: 0,
            to_byte: bytes,
            etag: None,
            request_id: None,
            retry_after: None,
            keep_partial: false,
            unreachable_host: None,
            is_out_of_space: false,
        }
    }
}
