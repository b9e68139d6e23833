//! Reading listings: what one poll of a listing does. When it is done is decided by whoever runs it.

mod listing_loop;
mod quick;
mod sweep;
mod walk;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::debug;

pub use self::{
    listing_loop::{AccountGate, ListingLoop},
    sweep::SweepReport,
    walk::Served,
};
use crate::{
    cdn::{CallError, Client, Disposition, Page},
    clock, config, events,
    model::{
        observe::Kind,
        sweep::{PageFacts, id_key},
        task::{ListingKey, Status, TaskKey},
    },
    observer::Observer,
    store::{Applied, PageRead, RawRow, Recorded, Store, StoreError},
};

/// Reads one listing and applies what it shows.
#[derive(Clone)]
pub struct Poller {
    /// Which listing.
    pub listing: ListingKey,
    /// The account's client, shared by its listings.
    pub client: Arc<Client>,
    /// Where everything is kept.
    pub store: Store,
    /// `[poll]`.
    pub config: config::Poll,
    /// Told when a download became due.
    pub due: Arc<Notify>,
    /// Told of what is found.
    pub observer: Arc<dyn Observer>,
}

/// Why a poll failed.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// A call of it, after all of its attempts.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It was told to stop, between two pages.
    #[error("stopped")]
    Stopped,
}

impl Poller {
    /// A minute, or one interval, if shorter: the pause between two walks for wanted links, and how far apart two
    /// consistent sweeps must begin to make a task unlisted that both lack.
    #[must_use]
    pub fn walk_interval(&self) -> Duration {
        self.config.interval.min(Duration::from_secs(60))
    }

    fn apart(&self) -> SignedDuration {
        SignedDuration::try_from(self.walk_interval()).unwrap_or(SignedDuration::from_mins(1))
    }

    /// Reads a page. The wait for it is where a poll can be stopped; what a page changes is applied whole.
    ///
    /// What a service says of a page beyond its last is documented nowhere. One that it refuses has no rows: what is wrong
    /// with every call is said of the first page.
    async fn read(&self, number: u32, stop: &CancellationToken) -> Result<(u32, Page), PollError> {
        let page = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(PollError::Stopped),
            page = self.client.page(self.listing.export, number, self.config.page_size) => page,
        };
        match page {
            Err(e) if number > 1 && e.disposition == Disposition::Fatal && e.code.is_some() => {
                debug!(target: "cdn_usaged::poll", page = number, error = %e, "a page that is refused counts as empty");
                Ok((number, Page { calls: e.attempts, ..Page::default() }))
            }
            page => Ok((number, page?)),
        }
    }

    /// Applies pages of a sweep together and says what they changed: nothing is logged that is not committed.
    async fn apply(&self, pages: &[(u32, Page)], revive_before: Option<Timestamp>) -> Result<Vec<Applied>, PollError> {
        let read: Vec<_> = pages.iter().map(|(number, page)| page_read(*number, page)).collect();
        let applied = self.store.apply_pages(&self.listing, &read, revive_before, clock::now()).await?;
        for ((number, page), applied) in pages.iter().zip(&applied) {
            self.applied(*number, page, applied);
        }
        Ok(applied)
    }

    /// Applies a page by itself when others are not read: one that shows something new makes a sweep due.
    async fn apply_some(&self, number: u32, page: &Page) -> Result<Applied, PollError> {
        let applied = self.store.apply_some_page(&self.listing, page_read(number, page), clock::now()).await?;
        self.applied(number, page, &applied);
        Ok(applied)
    }

    fn applied(&self, number: u32, page: &Page, applied: &Applied) {
        let request_id = page.request_id.as_deref();
        tracing::debug!(listing = %self.listing, page = number, changed = applied.recorded.len(), "a page is applied");
        for recorded in &applied.recorded {
            self.tell(recorded, request_id);
        }
        for (row, is_new) in page.rejected.iter().zip(&applied.new_raw_rows) {
            self.observer.row_rejected();
            // One that is kept already has been said; it comes with every poll.
            if *is_new {
                events::row_rejected(&self.listing, row.id.as_ref().map(|id| id.as_str()), &row.error);
            }
        }
        if applied.queued {
            self.due.notify_one();
        }
    }

    /// Says what has been committed.
    fn tell(&self, recorded: &Recorded, request_id: Option<&str>) {
        let task = TaskKey { listing: self.listing.clone(), id: recorded.id.clone() };
        let remote_updated_at = recorded.remote_updated_at.map(clock::rfc3339);
        let is_gone = recorded.kind == Kind::Unlisted;
        events::task_transition(
            &task,
            &events::Transition {
                kind: recorded.kind.as_str(),
                name: recorded.name.as_deref(),
                from: recorded.from.as_ref().map(|s| s.as_str()),
                to: recorded.to.as_str(),
                remote_updated_at: remote_updated_at.as_deref(),
                request_id,
                notable: is_gone || recorded.to == Status::Failed || !recorded.to.is_known(),
            },
        );
        self.observer.changed(&self.listing, if is_gone { "unlisted" } else { recorded.to.as_str() });
    }
}

fn page_read(number: u32, page: &Page) -> PageRead<'_> {
    let rejected = page.rejected.iter().map(|r| RawRow { raw: r.raw.clone(), error: r.error.clone() }).collect();
    PageRead { number, rows: &page.rows, rejected, request_id: page.request_id.as_deref() }
}

/// What matters of a page to the plan of a sweep. A row that cannot be read counts as one id: its own, or its text
/// behind a NUL, with which no id begins: the whole row may be a number or a word that is another task's id.
fn facts(page: &Page) -> PageFacts {
    let good = page.rows.iter().map(|row| id_key(row.id.as_str()));
    let bad = page
        .rejected
        .iter()
        .map(|row| row.id.as_ref().map_or_else(|| id_key(&format!("\0{}", row.raw)), |id| id_key(id.as_str())));
    PageFacts {
        total: page.total,
        size: page.size,
        keys: good.chain(bad).collect(),
        has_unreadable: !page.rejected.is_empty(),
    }
}
