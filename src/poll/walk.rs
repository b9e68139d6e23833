//! Wanted links: a refused link is replaced through the listing, for every download that waits at once.

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use super::{PollError, Poller};
use crate::{
    clock, events,
    model::task::{TaskId, TaskKey},
};

/// What a walk came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Served {
    /// Whether there was anything to look for.
    pub looked: bool,
}

/// Pages that one walk reads before it sweeps: with rows moving a page or two between polls, the first few hold nearly
/// all of them.
const WALK_PAGES_MAX: usize = 20;

impl Poller {
    /// Looks for the wanted links of this listing; a download that the listing brings no link for has failed once more,
    /// and is given up after `failures_max` in a row.
    ///
    /// # Errors
    /// As a sweep.
    pub async fn serve_wanted(&self, failures_max: u32, stop: &CancellationToken) -> Result<Served, PollError> {
        let wanted = self.store.wanted(&self.listing).await?;
        if wanted.is_empty() {
            return Ok(Served { looked: false });
        }
        self.walk(&wanted, stop).await?;
        // What has begun to want a link meanwhile was not looked for.
        for (id, _) in wanted {
            let key = TaskKey { listing: self.listing.clone(), id };
            let Some(charged) = self.store.charge_wanted(&key, failures_max, clock::now()).await? else { continue };
            self.observer.download_failed(&self.listing, charged.reason);
            if charged.abandoned {
                events::download_abandoned(&key, charged.reason, &charged.error, charged.attempt);
            } else {
                let wait = self.walk_interval();
                events::download_retrying(&key, charged.reason, &charged.error, charged.attempt, wait);
            }
        }
        Ok(Served { looked: true })
    }

    /// Reads where the tasks were last seen, then beside it, then everything. Every page serves every wanted link. A task
    /// that was seen without another link is not looked for further.
    async fn walk(&self, wanted: &[(TaskId, Option<u32>)], stop: &CancellationToken) -> Result<(), PollError> {
        let mut lost: BTreeSet<TaskId> = wanted.iter().map(|(id, _)| id.clone()).collect();
        let known: BTreeSet<u32> = wanted.iter().map(|(_, page)| page.unwrap_or(1).max(1)).collect();
        let beside: BTreeSet<u32> =
            known.iter().flat_map(|&p| [p.saturating_sub(1).max(1), p.saturating_add(1)]).collect();
        let mut calls = 0;
        for number in known.iter().chain(beside.difference(&known)).take(WALK_PAGES_MAX) {
            let (number, page) = self.read(*number, stop).await?;
            calls += u64::from(page.calls);
            let applied = self.apply_some(number, &page).await?;
            self.log_refreshed(&applied.refreshed, calls);
            for row in &page.rows {
                lost.remove(&row.id);
            }
            if lost.is_empty() {
                return Ok(());
            }
        }
        self.full_sweep(None, stop).await?;
        Ok(())
    }

    /// Says which wanted links a page brought.
    pub(super) fn log_refreshed(&self, refreshed: &[TaskId], calls: u64) {
        for id in refreshed {
            events::link_refreshed(&TaskKey { listing: self.listing.clone(), id: id.clone() }, calls);
        }
    }
}
