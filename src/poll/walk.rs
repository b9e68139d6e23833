//! Wanted links: a refused link is replaced through the listing, for every download that waits at once.

use std::collections::BTreeSet;

use super::{PollError, Poller};
use crate::{
    events,
    model::task::{TaskId, TaskKey},
};

/// What a walk brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalkReport {
    /// Tasks that still wait for a link.
    pub missing: Vec<TaskId>,
    /// Calls made.
    pub calls: u64,
}

/// Pages that one walk reads before it gives up and sweeps: with rows moving a page or two between polls, the first
/// few hold nearly all of them.
const WALK_PAGES_MAX: usize = 20;

impl Poller {
    /// Looks for the wanted links of this listing: where the tasks were last seen, then beside it, then everywhere.
    /// Every page serves every wanted link. Nothing is read when none is wanted.
    ///
    /// # Errors
    /// As a sweep.
    pub async fn walk(&self) -> Result<WalkReport, PollError> {
        let mut calls = 0;
        let wanted = self.store.wanted(&self.listing).await?;
        if wanted.is_empty() {
            return Ok(WalkReport { missing: Vec::new(), calls });
        }
        let seen: BTreeSet<u32> = wanted.iter().map(|(_, page)| page.unwrap_or(1).max(1)).collect();
        let beside: BTreeSet<u32> = seen.iter().flat_map(|&p| [p.saturating_sub(1).max(1), p + 1]).collect();
        for number in seen.iter().chain(beside.difference(&seen)).take(WALK_PAGES_MAX) {
            let (number, page) = self.read(*number).await?;
            calls += u64::from(page.calls);
            let applied = self.apply(number, &page, None).await?;
            self.log_refreshed(&applied.refreshed, calls);
            if self.store.wanted(&self.listing).await?.is_empty() {
                return Ok(WalkReport { missing: Vec::new(), calls });
            }
        }
        let before = self.client.calls();
        self.full_sweep(None).await?;
        calls += self.client.calls().saturating_sub(before);
        let missing: Vec<TaskId> = self.store.wanted(&self.listing).await?.into_iter().map(|(id, _)| id).collect();
        Ok(WalkReport { missing, calls })
    }

    /// Says which wanted links a page brought.
    pub(super) fn log_refreshed(&self, refreshed: &[TaskId], calls: u64) {
        for id in refreshed {
            events::link_refreshed(&TaskKey { listing: self.listing.clone(), id: id.clone() }, calls);
        }
    }
}
