//! A quick poll: the few pages where something is likely to be new. A wrong guess costs delay, never loss: full sweeps
//! see everything.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{PollError, Poller};
use crate::{
    clock,
    events::{self, PollCompleted},
    model::{schedule::WATCHED_FOR, task::TaskId},
    store::Watched,
};

/// Pages of one quick poll at most; beyond that a sweep is the cheaper answer.
pub const QUICK_PAGES_MAX: u64 = 20;

/// One quick poll under way.
struct Quick<'a> {
    poller: &'a Poller,
    stop: &'a CancellationToken,
    read: BTreeSet<u32>,
    seen: BTreeSet<TaskId>,
    total: Option<u64>,
    last_page: u32,
    calls: u64,
    changed: u64,
    found_new: bool,
}

impl Poller {
    /// Reads page 1, the last page if the total moved, and the pages where unfinished tasks were last seen; new ids are
    /// followed inwards until a page shows none. When more may be new than was read, also because the poll failed, a
    /// sweep is due from then on.
    ///
    /// # Errors
    /// As a sweep.
    pub async fn quick_poll(&self, stop: &CancellationToken) -> Result<(), PollError> {
        let since = clock::instant();
        let known_total = self.store.listing(&self.listing).await?.and_then(|l| l.total);
        let watched = self.watched().await?;
        let mut quick = Quick {
            poller: self,
            stop,
            read: BTreeSet::new(),
            seen: BTreeSet::new(),
            total: None,
            last_page: 1,
            calls: 0,
            changed: 0,
            found_new: false,
        };
        let whole = quick.read_pages(known_total, &watched).await?;
        self.store.poll_succeeded(&self.listing, quick.total, !whole, clock::now()).await?;
        events::poll_completed(
            &self.listing,
            &PollCompleted {
                mode: "quick",
                pages: quick.read.len() as u64,
                calls: quick.calls,
                tasks: quick.seen.len() as u64,
                total: quick.total,
                consistent: None,
                changed: quick.changed,
                duration: since.elapsed(),
            },
        );
        Ok(())
    }

    /// The tasks that polls look for, and where.
    async fn watched(&self) -> Result<Vec<Watched>, PollError> {
        let since = clock::now().saturating_sub(WATCHED_FOR).unwrap_or_default();
        Ok(self.store.watched(&self.listing, since).await?)
    }

    /// The pause until the next poll: short while any task is unfinished, or a sweep is due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn interval(&self) -> Result<Duration, PollError> {
        let sweep_due = self.store.listing(&self.listing).await?.is_some_and(|l| l.sweep_due);
        Ok(if sweep_due || !self.watched().await?.is_empty() {
            self.config.interval
        } else {
            self.config.idle_interval
        })
    }
}

impl Quick<'_> {
    /// Reads what a poll reads; false when there may be more that is new.
    async fn read_pages(&mut self, known_total: Option<u64>, watched: &[Watched]) -> Result<bool, PollError> {
        let mut whole = self.follow_inwards(1, 1).await?;
        if self.total != known_total && self.last_page > 1 {
            whole &= self.follow_inwards(self.last_page, -1).await?;
        }
        whole &= self.look_for(watched).await?;
        // How far there was to follow is known by the total alone.
        let is_counted = self.total.is_some_and(|total| total >= self.seen.len() as u64);
        Ok(whole && (is_counted || !self.found_new))
    }

    /// Reads a page once; says whether it showed an id that was not known.
    async fn page(&mut self, number: u32) -> Result<bool, PollError> {
        if !self.read.insert(number) {
            return Ok(false);
        }
        let (number, page) = self.poller.read(number, self.stop).await?;
        self.calls += u64::from(page.calls);
        let applied = self.poller.apply_some(number, &page).await?;
        self.poller.log_refreshed(&applied.refreshed, self.calls);
        self.changed += applied.recorded.len() as u64;
        self.total = page.total.or(self.total);
        let size =
            page.size.filter(|&s| s > 0).unwrap_or(self.poller.config.page_size).min(self.poller.config.page_size);
        let pages = self.total.unwrap_or(0).div_ceil(u64::from(size)).max(1);
        self.last_page = u32::try_from(pages).unwrap_or(u32::MAX);
        self.seen.extend(page.rows.iter().map(|row| row.id.clone()));
        self.found_new |= applied.shows_new();
        Ok(applied.shows_new())
    }

    fn may_read(&self) -> bool {
        (self.read.len() as u64) < QUICK_PAGES_MAX
    }

    /// Reads from one end until a page shows nothing new; false when there may be more than one poll reads.
    async fn follow_inwards(&mut self, from: u32, step: i8) -> Result<bool, PollError> {
        let mut number = from;
        // Ends: no page is read twice, and there are QUICK_PAGES_MAX of them.
        while self.may_read() {
            if self.read.contains(&number) || !self.page(number).await? {
                return Ok(true);
            }
            let next = if step > 0 { number.checked_add(1) } else { number.checked_sub(1) };
            match next.filter(|&n| n >= 1 && n <= self.last_page) {
                Some(next) => number = next,
                None => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Reads where the watched tasks were last seen, then beside it, as far as one poll goes; false when these pages showed
    /// something new, which is not followed.
    async fn look_for(&mut self, watched: &[Watched]) -> Result<bool, PollError> {
        let (mut beside, mut shows_new) = (VecDeque::new(), false);
        for task in watched {
            let page = task.page.unwrap_or(1).max(1);
            if !self.seen.contains(&task.id) && self.may_read() {
                shows_new |= self.page(page).await?;
                beside.push_back((task, page));
            }
        }
        for (task, page) in beside {
            for number in [page.saturating_add(1), page.saturating_sub(1)] {
                let there = number >= 1 && number <= self.last_page;
                if !self.seen.contains(&task.id) && there && self.may_read() {
                    shows_new |= self.page(number).await?;
                }
            }
        }
        Ok(!shows_new)
    }
}
