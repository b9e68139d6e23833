//! Applying what a listing shows.

mod standing;
mod write;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

use self::{
    standing::Standing,
    write::{DownloadWrite, TaskWrite, TransitionWrite},
};
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

/// What is being done, for errors.
const APPLY: &str = "apply the pages of a listing";

/// A row that could not be read, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRow {
    /// Its text, without signatures.
    pub raw: String,
    /// What is wrong with it.
    pub error: String,
}

/// One page of a listing, as it is applied.
#[derive(Debug, Clone)]
pub struct PageRead<'p> {
    /// Its number, from 1.
    pub number: u32,
    /// Its rows.
    pub rows: &'p [TaskSnapshot],
    /// Its rows that could not be read.
    pub rejected: Vec<RawRow>,
    /// The service's id of the call.
    pub request_id: Option<&'p str>,
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

impl Applied {
    /// Whether the page showed an id that was not listed before.
    #[must_use]
    pub fn shows_new(&self) -> bool {
        self.recorded.iter().any(|r| matches!(r.kind, Kind::First | Kind::Relisted | Kind::Reissued))
    }
}

/// What the pages of one transaction change.
#[derive(Default)]
struct Batch {
    tasks: Vec<TaskWrite>,
    transitions: Vec<TransitionWrite>,
    downloads: Vec<DownloadWrite>,
    /// Where in `downloads` a task is.
    download_of: HashMap<String, usize>,
}

impl Store {
    /// Applies pages in one transaction: transitions, the projection, and what they mean for the queue. Nothing is
    /// written when nothing is new. Abandoned downloads come back that were given up before `revive_before`. Says what each
    /// page changed, in their order.
    ///
    /// # Errors
    /// When the database fails; then nothing of the pages is applied.
    pub async fn apply_pages(
        &self,
        listing: &ListingKey,
        pages: &[PageRead<'_>],
        revive_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Applied>, StoreError> {
        let mut tx = self.begin_pages().await?;
        let applied = self.apply(&mut tx, listing, pages, revive_before, now).await?;
        tx.commit().await.map_err(self.sql(APPLY))?;
        Ok(applied)
    }

    /// Applies one page of a poll that does not read them all, as [`Store::apply_pages`]. When it shows an id that was not
    /// listed, a sweep is due from then on, in the same transaction: the page will show the next poll nothing new, and what is
    /// behind it has not been read.
    ///
    /// # Errors
    /// As [`Store::apply_pages`].
    pub async fn apply_some_page(
        &self,
        listing: &ListingKey,
        page: PageRead<'_>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let mut tx = self.begin_pages().await?;
        let applied = self.apply(&mut tx, listing, &[page], None, now).await?.pop().unwrap_or_default();
        if applied.shows_new() {
            sqlx::query("UPDATE listings SET sweep_due = 1 WHERE account = ?1 AND export = ?2 AND sweep_due = 0")
                .bind(listing.account.as_str())
                .bind(listing.export.as_str())
                .execute(&mut *tx)
                .await
                .map_err(self.sql("note that a sweep is due"))?;
        }
        tx.commit().await.map_err(self.sql(APPLY))?;
        Ok(applied)
    }

    async fn begin_pages(&self) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(self.sql(APPLY))
    }

    /// What a sweep spends most of its time on. Twenty pages share the transaction, and a set of rows a statement: row by row costs
    /// nine times as much, since each statement crosses to SQLite's thread and back. Twenty pages without news take some 48
    /// million instructions, nearly all of them to read what is known; all of it new, 140 million, most of them in the trees of
    /// the tables and their indexes.
    async fn apply(
        &self,
        tx: &mut SqliteConnection,
        listing: &ListingKey,
        pages: &[PageRead<'_>],
        revive_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Vec<Applied>, StoreError> {
        let failed = || self.sql(APPLY);
        let ids: Vec<&str> = pages.iter().flat_map(|page| page.rows).map(|row| row.id.as_str()).collect();
        let mut standing = self.standing(tx, listing, &ids).await?;
        let (mut batch, mut applied) = (Batch::default(), Vec::with_capacity(pages.len()));
        for page in pages {
            let mut of_page = Applied::default();
            for seen in page.rows {
                // A row that is shown twice is judged against its first.
                let before = standing.get(seen.id.as_str());
                let after = judge(before, seen, page, revive_before, now, &mut batch, &mut of_page);
                if let Some(after) = after {
                    standing.insert(seen.id.as_str().to_owned(), after);
                }
            }
            applied.push(of_page);
        }
        self.write(tx, listing, &batch, now).await.map_err(failed())?;
        for (page, of_page) in pages.iter().zip(&mut applied) {
            of_page.new_raw_rows = self.write_rejected(tx, listing, page, now).await.map_err(failed())?;
        }
        Ok(applied)
    }
}

/// Judges one row; returns how the task stands after it, when that is not as before.
fn judge(
    before: Option<&Standing>,
    seen: &TaskSnapshot,
    page: &PageRead<'_>,
    revive_before: Option<Timestamp>,
    now: Timestamp,
    batch: &mut Batch,
    applied: &mut Applied,
) -> Option<Standing> {
    let mut seen = seen.clone();
    seen.name = seen.name.map(|n| clean(&n, NAME_MAX_CHARS));
    let id = seen.id.as_str();
    let observation = observe(before.map(|b| &b.known), &seen, now);
    let queued = before.and_then(|b| b.queued.as_ref());
    let change = on_listed(queued, observation.kind, &seen, revive_before, now);
    // Where a task was seen matters while it may still move, or its link may be wanted.
    let watched = !seen.status.is_finished() || queued.is_none_or(|q| q.state != DownloadState::Stored || q.recheck);
    let moved = watched && before.is_some_and(|b| b.page != Some(i64::from(page.number)));
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
            Some(page.number),
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
            page.request_id.map(str::to_owned),
        ));
        applied.recorded.push(recorded);
    }
    let refused = before.and_then(|b| b.link_refused.as_deref());
    let is_reissued = observation.kind == Some(Kind::Reissued);
    let queued = match change {
        Some(change) => Some(queue(change, is_reissued, queued, &seen, &next, refused, now, batch, applied)),
        None => queued.cloned(),
    };
    Some(Standing {
        known: next,
        page: Some(i64::from(page.number)),
        last_seen_at,
        queued,
        link_refused: refused.map(str::to_owned),
    })
}

#[expect(clippy::too_many_arguments, reason = "the pieces of one row, from one call site")]
fn queue(
    change: Change,
    is_reissued: bool,
    queued: Option<&Queued>,
    seen: &TaskSnapshot,
    next: &Known,
    refused: Option<&str>,
    now: Timestamp,
    batch: &mut Batch,
    applied: &mut Applied,
) -> Queued {
    // A withdrawn download loses its link, and a note leaves it as it is.
    let link = seen.link.as_ref().filter(|_| !matches!(change, Change::Withdraw | Change::Note));
    let text = link.map(|l| l.expose().as_str().to_owned());
    let same_as_refused = refused.zip(text.as_deref()).is_some_and(|(refused, link)| refused == link_digest(link));
    if queued.is_some_and(|q| q.wanted) && text.is_some() && !same_as_refused {
        applied.refreshed.push(seen.id.clone());
    }
    applied.queued |= text.is_some();
    batch.push(DownloadWrite {
        task_id: seen.id.as_str().to_owned(),
        change: word(change),
        link: text,
        queued_for: rfc3339(next.created_at.unwrap_or(now)),
        same_as_refused,
        host: link.map(SignedUrl::host_and_port),
        is_reissued,
    });
    let base = queued.cloned().unwrap_or(Queued {
        state: DownloadState::Pending,
        link: None,
        wanted: false,
        recheck: false,
        reissued_at: None,
        rechecked_at: None,
        fetched_updated_at: None,
        changed_at: now,
    });
    let restarted = change == Change::Restart;
    let kept = base.link.filter(|_| !restarted && change != Change::Withdraw);
    let link = link.cloned().or(kept);
    let waits = base.wanted || matches!(change, Change::Create | Change::Restart | Change::Want);
    Queued {
        state: if restarted { DownloadState::Pending } else { base.state },
        wanted: waits && change != Change::Withdraw && link.is_none(),
        recheck: change == Change::Recheck || (base.recheck && change != Change::Withdraw && !restarted),
        reissued_at: if is_reissued { Some(now) } else { base.reissued_at },
        link,
        changed_at: if restarted { now } else { base.changed_at },
        ..base
    }
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Create => write::CREATE,
        Change::Link => "link",
        Change::Restart => "restart",
        Change::Recheck => "recheck",
        Change::Want => "want",
        Change::Withdraw => "withdraw",
        Change::Note => "note",
    }
}

impl Batch {
    /// Adds what changes in a download. The statement sees the row as it was before the pages, so of one task that they
    /// show twice there is one write: what came first, with the newer link.
    fn push(&mut self, write: DownloadWrite) {
        let at = *self.download_of.entry(write.task_id.clone()).or_insert(self.downloads.len());
        match self.downloads.get_mut(at) {
            None => self.downloads.push(write),
            Some(earlier) if matches!(write.change, "link" | "want" | "note") => {
                earlier.is_reissued |= write.is_reissued;
                if write.link.is_some() {
                    (earlier.link, earlier.host) = (write.link, write.host);
                    earlier.same_as_refused = write.same_as_refused;
                }
            }
            Some(earlier) => {
                *earlier = DownloadWrite { is_reissued: earlier.is_reissued || write.is_reissued, ..write }
            }
        }
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
