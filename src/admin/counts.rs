//! Counting the rows of the store for the metrics, no more often than is worth it.

use std::time::Duration;

use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};

use crate::{
    clock,
    metrics::Metrics,
    store::{Store, StoreError},
};

/// Counts are kept for at most this long: a scraper comes every 15 s or so and finds them new, and any number of
/// scrapers cost no more than one count of 300,000 tasks, some 0.2 s, in this time.
const KEPT_MAX: Duration = Duration::from_secs(10);
/// Counts are kept for so many times as long as they took: counting takes a fiftieth of a core at most, and a small
/// store is always shown as it is.
const KEPT_FOR_COST: u32 = 50;
/// A scrape waits for new counts for this long and then shows the old ones: scrapers give up after 10 s, and a cold
/// store of millions of tasks may take longer.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// When to count. One task counts; scrapes ask it to.
#[derive(Debug, Default)]
pub(super) struct Counts {
    asked: Notify,
    fresh_until: watch::Sender<Option<Instant>>,
}

impl Counts {
    /// Returns when the counts in the metrics are fresh, or it takes too long.
    pub(super) async fn refresh(&self) {
        let mut counted = self.fresh_until.subscribe();
        if !self.is_fresh() {
            self.asked.notify_one();
            let _ = timeout(WAIT_MAX, counted.changed()).await;
        }
    }

    /// Counts whenever it is asked to. Never ends: whoever started it ends it.
    pub(super) async fn run(&self, store: &Store, metrics: &Metrics) {
        loop {
            self.asked.notified().await;
            // Whoever asked during the last count has been told of its end.
            if self.is_fresh() {
                continue;
            }
            let began = clock::instant();
            if let Err(error) = count(store, metrics).await {
                // The old counts stay; the counter of errors says that something is wrong.
                metrics.store_error();
                tracing::debug!(target: "cdn_usaged::admin", %error, "cannot count for the metrics");
            }
            let now = clock::instant();
            let kept = now.saturating_duration_since(began).saturating_mul(KEPT_FOR_COST).min(KEPT_MAX);
            self.fresh_until.send_replace(now.checked_add(kept));
        }
    }

    fn is_fresh(&self) -> bool {
        self.fresh_until.borrow().is_some_and(|until| clock::instant() < until)
    }
}

async fn count(store: &Store, metrics: &Metrics) -> Result<(), StoreError> {
    let listings = metrics.configured();
    // One after the other: the queue reads through the other of two connections meanwhile.
    metrics.task_counts(&store.task_counts(&listings).await?);
    metrics.download_counts(&store.download_counts(&listings).await?);
    for listing in &listings {
        metrics.outstanding(&store.outstanding(listing, clock::now()).await?);
    }
    Ok(())
}
