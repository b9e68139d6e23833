//! What is counted, for Prometheus: text format 0.0.4.
//!
//! Only configured listings are counted. Their series are there from the start, at 0, because a counter that appears at
//! 1 hides its first increase; they go when a reload removes the listing, and what then still ends is not counted.

mod families;
mod results;
#[cfg(test)]
mod tests;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use jiff::Timestamp;
use prometheus::TextEncoder;

pub use self::results::{Folder, PollResult};
use self::{
    families::Families,
    words::{CODES, OTHER, STATES, STATUSES, TRANSITIONS, known},
};
use crate::model::{
    download::AttemptResult,
    task::{AccountName, Counted, Export, ListingKey},
};

/// What goes in the header `Content-Type` of what [`Metrics::render`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics could not be set up: two have one name, or a name is none. A bug.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the metrics: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// Everything that is counted. Clones share it; no method fails.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    families: Families,
    /// Held for reading while something is counted, so that nothing is counted for a listing after it went.
    listings: RwLock<BTreeSet<ListingKey>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// Metrics of no listing yet.
    ///
    /// # Errors
    /// When a name is wrong, which is a bug.
    pub fn new() -> Result<Self, MetricsError> {
        Ok(Self(Arc::new(Inner { families: Families::new()?, listings: RwLock::default() })))
    }

    /// The configured listings, from now on: new ones begin at 0, others that were there go.
    pub fn set_listings(&self, listings: &[ListingKey]) {
        let new: BTreeSet<ListingKey> = listings.iter().cloned().collect();
        let mut current = self.0.listings.write().unwrap_or_else(PoisonError::into_inner);
        for gone in current.difference(&new) {
            self.remove(gone, new.iter().any(|l| l.account == gone.account));
        }
        for added in new.difference(&current) {
            self.begin(added);
        }
        *current = new;
    }

    /// An API call was sent and came to its end. `action` is the operation; `code` is `OK`, the service's code, or
    /// `transport`.
    pub fn api_request(&self, account: &AccountName, action: &str, code: &str, duration: Duration) {
        let listings = self.listings();
        if listings.iter().any(|l| l.account == *account) {
            let action = known(&Export::ALL.map(Export::action), action);
            let families = &self.0.families;
            families.api_requests.with_label_values(&[account.as_str(), action, known(&CODES, code)]).inc();
            families.api_duration.observe(duration.as_secs_f64());
        }
    }

    /// A poll ended.
    pub fn poll(&self, listing: &ListingKey, result: PollResult) {
        self.of(listing, |f, [account, export]| {
            f.polls.with_label_values(&[account, export, result.as_str()]).inc();
        });
    }

    /// When a poll last succeeded; also what the database says of it at the start.
    pub fn successful_poll_at(&self, listing: &ListingKey, at: Timestamp) {
        self.of(listing, |f, labels| f.last_poll.with_label_values(&labels).set(seconds(at)));
    }

    /// When a full sweep was last consistent; also what the database says of it at the start.
    pub fn consistent_sweep_at(&self, listing: &ListingKey, at: Timestamp) {
        self.of(listing, |f, labels| f.last_sweep.with_label_values(&labels).set(seconds(at)));
    }

    /// A transition was committed. `to` is the status, or `unlisted`.
    pub fn transition(&self, listing: &ListingKey, to: &str) {
        self.of(listing, |f, [account, export]| {
            f.transitions.with_label_values(&[account, export, known(&TRANSITIONS, to)]).inc();
        });
    }

    /// An attempt at a download ended.
    pub fn download_attempt(&self, listing: &ListingKey, result: AttemptResult) {
        self.of(listing, |f, [account, export]| {
            f.attempts.with_label_values(&[account, export, result.as_str()]).inc();
        });
    }

    /// So many bytes of a file were received.
    pub fn download_bytes(&self, listing: &ListingKey, bytes: u64) {
        self.of(listing, |f, labels| f.bytes.with_label_values(&labels).inc_by(bytes));
    }

    /// So many rows of a listing could not be read.
    pub fn row_rejected(&self, rows: u64) {
        self.0.families.rows_rejected.inc_by(rows);
    }

    /// The database failed a statement.
    pub fn store_error(&self) {
        self.0.families.store_errors.inc();
    }

    /// How much a folder's file system has free.
    pub fn storage_free_bytes(&self, folder: Folder, bytes: u64) {
        self.0.families.free.with_label_values(&[folder.as_str()]).set(gauge(bytes));
    }

    /// How many tasks have which status: all of them. A status that is not counted is at 0.
    pub fn task_counts(&self, counts: &[Counted]) {
        self.counts(counts, &STATUSES, |f| &f.tasks);
    }

    /// How many downloads are in which state: all of them. A state that is not counted is at 0.
    pub fn download_counts(&self, counts: &[Counted]) {
        self.counts(counts, &STATES, |f| &f.downloads);
    }

    /// The text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // A family without series is not gathered, and that is all that could be wrong with one.
        let _ = TextEncoder::new().encode_utf8(&self.0.families.registry.gather(), &mut text);
        text
    }

    /// The configured listings, as they are now.
    pub(crate) fn configured(&self) -> Vec<ListingKey> {
        self.listings().iter().cloned().collect()
    }

    fn listings(&self) -> RwLockReadGuard<'_, BTreeSet<ListingKey>> {
        self.0.listings.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn of(&self, listing: &ListingKey, count: impl FnOnce(&Families, [&str; 2])) {
        let listings = self.listings();
        if listings.contains(listing) {
            count(&self.0.families, labels(listing));
        }
    }

    fn counts(
        &self,
        counts: &[Counted],
        words: &[&'static str],
        family: impl FnOnce(&Families) -> &prometheus::IntGaugeVec,
    ) {
        let mut sums: BTreeMap<(&ListingKey, &str), u64> = BTreeMap::new();
        for counted in counts {
            *sums.entry((&counted.listing, known(words, &counted.word))).or_default() += counted.count;
        }
        let family = family(&self.0.families);
        for listing in self.listings().iter() {
            let [account, export] = labels(listing);
            for &word in words {
                // Set once each: a scrape in between sees no gauge at 0 that is not.
                let sum = sums.get(&(listing, word)).copied().unwrap_or(0);
                family.with_label_values(&[account, export, word]).set(gauge(sum));
            }
        }
    }

    fn begin(&self, listing: &ListingKey) {
        let f = &self.0.families;
        let [account, export] = labels(listing);
        f.api_requests.with_label_values(&[account, listing.export.action(), "OK"]);
        for result in PollResult::ALL {
            f.polls.with_label_values(&[account, export, result.as_str()]);
        }
        for to in TRANSITIONS {
            f.transitions.with_label_values(&[account, export, to]);
        }
        for result in AttemptResult::ALL {
            f.attempts.with_label_values(&[account, export, result.as_str()]);
        }
        f.bytes.with_label_values(&[account, export]);
        f.last_poll.with_label_values(&[account, export]);
        f.last_sweep.with_label_values(&[account, export]);
    }

    /// Removes what there is; that a series was never there is no error. `account_stays` with another listing.
    fn remove(&self, listing: &ListingKey, account_stays: bool) {
        let f = &self.0.families;
        let [account, export] = labels(listing);
        // The last listing takes every call with it, also one of a listing that went before and ended after that.
        let actions = Export::ALL.map(Export::action).into_iter().chain([OTHER]);
        for action in actions.filter(|a| !account_stays || *a == listing.export.action()) {
            for code in CODES {
                let _ = f.api_requests.remove_label_values(&[account, action, code]);
            }
        }
        for result in PollResult::ALL {
            let _ = f.polls.remove_label_values(&[account, export, result.as_str()]);
        }
        for to in TRANSITIONS {
            let _ = f.transitions.remove_label_values(&[account, export, to]);
        }
        for result in AttemptResult::ALL {
            let _ = f.attempts.remove_label_values(&[account, export, result.as_str()]);
        }
        for status in STATUSES {
            let _ = f.tasks.remove_label_values(&[account, export, status]);
        }
        for state in STATES {
            let _ = f.downloads.remove_label_values(&[account, export, state]);
        }
        let _ = f.bytes.remove_label_values(&[account, export]);
        let _ = f.last_poll.remove_label_values(&[account, export]);
        let _ = f.last_sweep.remove_label_values(&[account, export]);
    }
}

fn labels(listing: &ListingKey) -> [&str; 2] {
    [listing.account.as_str(), listing.export.as_str()]
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of any year to come fit 53 bits")]
fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

fn gauge(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
