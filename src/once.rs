//! One run of the whole job: sweep every listing, download what is ready, end when there is nothing left to try.
//!
//! ```text
//! sweeps, one task a listing ──> store <── queue, transfers
//!        ^                         │
//!        └── wanted links ─────────┘        the run ends when the sweeps have, and nothing waits
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering};

use jiff::Timestamp;
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{
    assembly::Assembly,
    cdn::CallError,
    clock, events,
    fetch::{Queue, QueueError},
    model::task::ListingKey,
    poll::{PollError, Poller, SweepReport},
    store::{Store, StoreError},
};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Each listing, in the order of the configuration.
    pub listings: Vec<Ended>,
    /// Whether there was too little space to go on.
    pub low_space: bool,
    /// Whether the run was cut off, by a signal or the time limit.
    pub cut_off: bool,
}

/// How the run ended for one listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub listing: ListingKey,
    /// How its sweep ended.
    pub sweep: ListingOutcome,
    /// Its tasks that are listed as success and not stored.
    pub undelivered: u64,
}

/// How one listing's sweep ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListingOutcome {
    /// It saw what there was to see.
    Swept(SweepReport),
    /// It failed; the text says why.
    Failed(String),
    /// The run ended first.
    CutOff,
}

impl Outcome {
    /// Whether nothing is left undone: every sweep was consistent, and every task that is listed as success is stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let consistent = |l: &ListingOutcome| matches!(l, ListingOutcome::Swept(report) if report.consistent);
        self.listings.iter().all(|l| l.undelivered == 0 && consistent(&l.sweep))
    }

    /// The listings whose sweeps saw what there was to see.
    #[must_use]
    pub fn swept(&self) -> Vec<ListingKey> {
        let swept = self.listings.iter().filter(|l| matches!(l.sweep, ListingOutcome::Swept(_)));
        swept.map(|l| l.listing.clone()).collect()
    }

    /// Tasks that are listed as success and not stored.
    #[must_use]
    pub fn undelivered(&self) -> u64 {
        self.listings.iter().map(|l| l.undelivered).sum()
    }
}

/// Runs the whole job once. Ends by itself, or soon after `cancel`.
///
/// # Errors
/// When the database fails.
pub async fn run(assembly: &Assembly, cancel: &CancellationToken) -> Result<Outcome, QueueError> {
    let queue = &assembly.queue;
    let all = &queue.settings().listings;
    // First of all: what is put into order here is owed its attempts, too.
    queue.recover(cancel).await?;
    queue.store.make_due(all).await?;
    let stop = cancel.child_token();
    // What is started here ends here: dropping a set ends its tasks.
    let mut listings = JoinSet::new();
    let swept = Swept::new(all.len());
    for (index, poller) in assembly.pollers().enumerate() {
        let (poller, queue, swept) = (poller.clone(), Arc::clone(queue), swept.clone());
        let run = ListingRun { index, poller, queue, began: clock::now(), swept };
        let stop = stop.clone();
        listings.spawn(async move { run.run(&stop).await });
    }
    let mut transfers = JoinSet::new();
    transfers.spawn({
        let (queue, stop) = (Arc::clone(queue), stop.clone());
        async move { queue.run(&stop).await }
    });
    let mut failure = None;
    while !transfers.is_empty() || !listings.is_empty() {
        // Registered before the store is asked, so that what ends in between is not missed.
        let ended = queue.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if !stop.is_cancelled()
            && swept.all()
            && (queue.low.load(Ordering::Relaxed) || is_settled(&queue.store, all, &swept).await?)
        {
            stop.cancel();
        }
        let done = tokio::select! {
            () = ended => continue,
            Some(joined) = transfers.join_next() => joined,
            Some(joined) = listings.join_next() => joined,
        };
        if let Err(e) = done.unwrap_or_else(|e| Err(QueueError::Died(e.to_string()))) {
            stop.cancel();
            failure.get_or_insert(e);
        }
    }
    if let Some(e) = failure {
        return Err(e);
    }
    let mut listings = Vec::new();
    for (listing, sweep) in all.iter().zip(swept.outcomes()) {
        let undelivered = queue.store.undelivered(std::slice::from_ref(listing)).await?;
        listings.push(Ended { listing: listing.clone(), sweep, undelivered });
    }
    Ok(Outcome { listings, low_space: queue.low.load(Ordering::Relaxed), cut_off: cancel.is_cancelled() })
}

/// Whether nothing is left to try: no download that has a link waits, and none that could still get one.
async fn is_settled(store: &Store, all: &[ListingKey], swept: &Swept) -> Result<bool, StoreError> {
    // The cheap question first: it is asked after every attempt, and counting reads the whole queue.
    if store.has_linked(all).await? {
        return Ok(false);
    }
    let now = clock::now();
    // A listing that cannot be read brings no link: what waits for one there stays undelivered.
    let readable: Vec<ListingKey> = all
        .iter()
        .enumerate()
        .filter(|(index, _)| swept.is_readable(*index))
        .map(|(_, listing)| listing.clone())
        .collect();
    if store.waiting(all, now).await?.with_link > 0 {
        return Ok(false);
    }
    // Both counts of one look: a walk may have turned a wanted link into a waiting download since the one above.
    let left = store.waiting(&readable, now).await?;
    Ok(left.with_link == 0 && left.wanted == 0)
}

/// How the sweeps went so far, in the order of the listings.
#[derive(Debug, Clone)]
struct Swept(Arc<Mutex<Vec<Option<ListingOutcome>>>>);

impl Swept {
    fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(vec![None; count])))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<ListingOutcome>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, index: usize, outcome: ListingOutcome) {
        if let Some(slot) = self.lock().get_mut(index) {
            *slot = Some(outcome);
        }
    }

    fn all(&self) -> bool {
        self.lock().iter().all(Option::is_some)
    }

    fn is_readable(&self, index: usize) -> bool {
        matches!(self.lock().get(index), Some(Some(ListingOutcome::Swept(_))))
    }

    fn outcomes(&self) -> Vec<ListingOutcome> {
        self.lock().iter().map(|o| o.clone().unwrap_or(ListingOutcome::CutOff)).collect()
    }
}

/// What one listing's task does: its sweep, then the links that its downloads ask for.
struct ListingRun {
    index: usize,
    poller: Poller,
    queue: Arc<Queue>,
    began: Timestamp,
    swept: Swept,
}

impl ListingRun {
    async fn run(self, stop: &CancellationToken) -> Result<(), QueueError> {
        let outcome = match self.poller.full_sweep(Some(self.began), stop).await {
            Ok(report) => ListingOutcome::Swept(report),
            Err(PollError::Stopped) => ListingOutcome::CutOff,
            Err(PollError::Store(e)) => return Err(e.into()),
            Err(PollError::Call(e)) => self.poll_failed(&e).await?,
        };
        let mut readable = matches!(outcome, ListingOutcome::Swept(_));
        self.tell(outcome);
        // Walks the listing for wanted links: the first at once, the next a minute, or one interval, later.
        let mut not_before = clock::instant();
        while readable && !stop.is_cancelled() {
            let ended = self.queue.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.queue.store.wanted(&self.poller.listing).await?.is_empty() {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = ended => {}
                }
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => continue,
                () = sleep_until(not_before) => {}
            }
            match self.poller.serve_wanted(self.queue.settings().config.max_attempts, stop).await {
                Ok(_) | Err(PollError::Stopped) => {}
                Err(PollError::Store(e)) => return Err(e.into()),
                Err(PollError::Call(e)) => {
                    readable = false;
                    let failed = self.poll_failed(&e).await?;
                    self.swept.set(self.index, failed);
                }
            }
            not_before = clock::instant() + self.poller.walk_interval();
            self.queue.ended.notify_waiters();
        }
        Ok(())
    }

    fn tell(&self, outcome: ListingOutcome) {
        self.swept.set(self.index, outcome);
        self.queue.ended.notify_waiters();
    }

    async fn poll_failed(&self, error: &CallError) -> Result<ListingOutcome, QueueError> {
        let (listing, text) = (&self.poller.listing, error.to_string());
        events::poll_failed(listing, 1, &text, error.code.as_deref(), error.request_id.as_deref(), None);
        self.queue.store.poll_failed(listing, &text).await?;
        Ok(ListingOutcome::Failed(text))
    }
}
