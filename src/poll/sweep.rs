//! A full sweep: every page, as the plan of `model::sweep` asks for them, several in flight, and several applied
//! together.

use std::time::Duration;

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{PollError, Poller, facts};
use crate::{
    cdn::Page,
    clock,
    events::{self, PollCompleted},
    model::sweep::{Next, Sweep},
};

/// Pages that share a transaction. Most of what one costs is its commit and a walk to SQLite's thread for each of its
/// statements: twenty pages make that a tenth of the whole, and more of them gain nothing that can be measured.
const GROUP_PAGES_MAX: usize = 20;

/// Answers that are kept until they are applied, in bytes: twenty usual pages are some 400 KiB.
const GROUP_BYTES_MAX: usize = 1024 * 1024;

/// The longest that a page waits for others: what it shows is to be downloaded.
const GROUP_WAIT_MAX: Duration = Duration::from_secs(1);

/// How a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepReport {
    /// Whether it saw all of an unchanging listing.
    pub consistent: bool,
    /// Distinct tasks seen.
    pub tasks: u64,
    /// What the service counts, when its pages agreed.
    pub total: Option<u64>,
}

/// Pages that have been read and not yet applied.
#[derive(Default)]
struct Group {
    pages: Vec<(u32, Page)>,
    bytes: usize,
    /// When the oldest has waited long enough.
    due_at: Option<Instant>,
}

impl Group {
    fn push(&mut self, number: u32, page: Page) {
        self.due_at.get_or_insert_with(|| clock::instant() + GROUP_WAIT_MAX);
        self.bytes += page.bytes;
        self.pages.push((number, page));
    }

    const fn is_full(&self) -> bool {
        self.pages.len() >= GROUP_PAGES_MAX || self.bytes >= GROUP_BYTES_MAX
    }
}

/// What the pages of a sweep came to.
#[derive(Default)]
struct Tally {
    pages: u64,
    calls: u64,
    changed: u64,
}

impl Poller {
    /// Reads every page and records what they show; then what a consistent sweep lacks. Abandoned downloads come back
    /// that were given up before `revive_before`.
    ///
    /// # Errors
    /// When a call failed for good, the database did, or it was stopped. Pages that were read until then are applied.
    pub async fn full_sweep(
        &self,
        revive_before: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<SweepReport, PollError> {
        let (began, since) = (clock::now(), clock::instant());
        tracing::debug!(listing = %self.listing, "a full sweep begins");
        let mut plan = Sweep::new(self.config.page_size);
        let tally = self.read_all(&mut plan, revive_before, stop).await?;
        let verdict = plan.verdict();
        let beat = revive_before.is_some();
        let end = self.store.finish_sweep(&self.listing, &verdict, began, self.apart(), beat, clock::now()).await?;
        for recorded in &end.unlisted {
            self.tell(recorded, None);
        }
        if let Some(previous) = end.suspect {
            events::poll_suspect(&self.listing, verdict.total.unwrap_or(0), previous);
        }
        let tasks = verdict.seen.len() as u64;
        events::poll_completed(
            &self.listing,
            &PollCompleted {
                mode: "full",
                pages: tally.pages,
                calls: tally.calls,
                tasks,
                total: verdict.total,
                consistent: Some(verdict.consistent),
                changed: tally.changed + end.unlisted.len() as u64,
                duration: since.elapsed(),
            },
        );
        Ok(SweepReport { consistent: verdict.consistent, tasks, total: verdict.total })
    }

    /// Reads what the plan asks for and applies it in groups.
    async fn read_all(
        &self,
        plan: &mut Sweep,
        revive_before: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<Tally, PollError> {
        let (mut tally, mut group) = (Tally::default(), Group::default());
        let mut flight = FuturesUnordered::new();
        // Bounded by the plan: at most PASSES_MAX passes of at most PAGE_NUMBER_MAX pages, and far fewer as soon as
        // pages bring nothing new; a turn that ends without a page empties the group.
        loop {
            while flight.len() < self.config.concurrency
                && let Next::Read(number) = plan.next()
            {
                flight.push(self.read(number, stop));
            }
            let answer = match group.due_at {
                None => flight.next().await,
                Some(at) => match timeout_at(at, flight.next()).await {
                    Ok(answer) => answer,
                    Err(_) => {
                        self.apply_group(&mut group, &mut tally, revive_before).await?;
                        continue;
                    }
                },
            };
            let (number, page) = match answer {
                Some(Ok(read)) => read,
                // What was read until then was so, whatever became of the next page.
                Some(Err(e)) => {
                    self.apply_group(&mut group, &mut tally, revive_before).await?;
                    return Err(e);
                }
                None => break,
            };
            tally.pages += 1;
            tally.calls += u64::from(page.calls);
            plan.answer(number, facts(&page));
            group.push(number, page);
            if group.is_full() {
                self.apply_group(&mut group, &mut tally, revive_before).await?;
            }
        }
        self.apply_group(&mut group, &mut tally, revive_before).await?;
        Ok(tally)
    }

    async fn apply_group(
        &self,
        group: &mut Group,
        tally: &mut Tally,
        revive_before: Option<Timestamp>,
    ) -> Result<(), PollError> {
        let pages = std::mem::take(group).pages;
        if pages.is_empty() {
            return Ok(());
        }
        for applied in self.apply(&pages, revive_before).await? {
            tally.changed += applied.recorded.len() as u64;
            self.log_refreshed(&applied.refreshed, tally.calls);
        }
        Ok(())
    }
}
