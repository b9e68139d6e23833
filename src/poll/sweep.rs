//! A full sweep: every page, as the plan of `model::sweep` asks for them, several in flight.

use futures::{StreamExt as _, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::{PollError, Poller, facts};
use crate::{
    clock,
    events::{self, PollCompleted},
    model::sweep::{Next, Sweep},
};

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

impl Poller {
    /// Reads every page and records what they show; then what a consistent sweep lacks. Abandoned downloads come back
    /// that were given up before `revive_before`.
    ///
    /// # Errors
    /// When a call failed for good, the database did, or it was stopped. Pages that were applied until then stay applied.
    pub async fn full_sweep(
        &self,
        revive_before: Option<Timestamp>,
        stop: &CancellationToken,
    ) -> Result<SweepReport, PollError> {
        let (began, since) = (clock::now(), clock::instant());
        tracing::debug!(listing = %self.listing, "a full sweep begins");
        let mut plan = Sweep::new(self.config.page_size);
        let mut flight = FuturesUnordered::new();
        let (mut pages, mut calls, mut changed) = (0_u64, 0_u64, 0_u64);
        // Bounded by the plan: at most PASSES_MAX passes of at most PAGE_NUMBER_MAX pages, and far fewer as soon as
        // pages bring nothing new.
        loop {
            while flight.len() < self.config.concurrency
                && let Next::Read(number) = plan.next()
            {
                flight.push(self.read(number, stop));
            }
            let Some(answer) = flight.next().await else { break };
            let (number, page) = answer?;
            pages += 1;
            calls += u64::from(page.calls);
            let applied = self.apply(number, &page, revive_before).await?;
            changed += applied.recorded.len() as u64;
            self.log_refreshed(&applied.refreshed, calls);
            plan.answer(number, facts(&page));
        }
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
                pages,
                calls,
                tasks,
                total: verdict.total,
                consistent: Some(verdict.consistent),
                changed: changed + end.unlisted.len() as u64,
                duration: since.elapsed(),
            },
        );
        Ok(SweepReport { consistent: verdict.consistent, tasks, total: verdict.total })
    }
}
