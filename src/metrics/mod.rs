//! What is counted, for Prometheus: text format 0.0.4.
//!
//! Only configured listings are counted. Their series are there from the start, at 0, because a counter that appears at
//! 1 hides its first increase; they go when a reload removes the listing, and what then still ends is not counted.

mod families;
mod process;
mod results;
mod series;
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
    words::{CODES, STATES, STATUSES, TRANSITIONS, known},
};
use crate::{
    clock,
    model::{
        download::{AttemptResult, Reason},
        outstanding::Outstanding,
        task::{AccountName, Counted, Export, ListingKey},
        window::{State, Summary},
    },
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
        let families = Families::new()?;
        families.machine.started_at.set(seconds(clock::now()));
        Ok(Self(Arc::new(Inner { families, listings: RwLock::default() })))
    }

    /// The configured listings, from now on: new ones begin at 0, others that were there go.
    pub fn set_listings(&self, listings: &[ListingKey]) {
        let new: BTreeSet<ListingKey> = listings.iter().cloned().collect();
        let mut current = self.0.listings.write().unwrap_or_else(PoisonError::into_inner);
        for gone in current.difference(&new) {
            self.0.families.remove(gone, new.iter().any(|l| l.account == gone.account));
        }
        for added in new.difference(&current) {
            self.0.families.begin(added);
        }
        *current = new;
    }

    /// An API call was sent and came to its end. `action` is the operation; `code` is `OK`, the service's code, or
    /// `transport`.
    pub fn api_request(&self, account: &AccountName, action: &str, code: &str, duration: Duration) {
        self.of_account(account, |families, [account]| {
            let action = known(&Export::ALL.map(Export::action), action);
            families.api.requests.with_label_values(&[account, action, known(&CODES, code)]).inc();
            families.api.duration.observe(duration.as_secs_f64());
        });
    }

    /// A call waited for its permit.
    pub fn permit_waited(&self, account: &AccountName, wait: Duration) {
        self.of_account(account, |f, labels| f.api.permit_wait.with_label_values(&labels).inc_by(wait.as_secs_f64()));
    }

    /// The service asked an account to make no calls for so much longer.
    pub fn throttled(&self, account: &AccountName, pause: Duration) {
        self.of_account(account, |f, labels| f.api.throttled.with_label_values(&labels).inc_by(pause.as_secs_f64()));
    }

    /// Whether the keys of an account are refused.
    pub fn credentials_rejected(&self, account: &AccountName, rejected: bool) {
        self.of_account(account, |f, labels| f.api.rejected.with_label_values(&labels).set(rejected.into()));
    }

    /// A poll ended.
    pub fn poll(&self, listing: &ListingKey, result: PollResult) {
        self.of(listing, |f, [account, export]| {
            f.polls.ended.with_label_values(&[account, export, result.as_str()]).inc();
        });
    }

    /// How long a poll took that succeeded: a full sweep, or a quick one.
    pub fn poll_took(&self, full: bool, duration: Duration) {
        let mode = if full { "full" } else { "quick" };
        self.0.families.polls.duration.with_label_values(&[mode]).observe(duration.as_secs_f64());
    }

    /// How far apart polls of a listing are from now on.
    pub fn poll_interval(&self, listing: &ListingKey, interval: Duration) {
        self.of(listing, |f, labels| f.polls.interval.with_label_values(&labels).set(interval.as_secs_f64()));
    }

    /// How far apart full sweeps are at most.
    pub fn full_sweep_interval(&self, interval: Duration) {
        self.0.families.polls.sweep_interval.set(interval.as_secs_f64());
    }

    /// When a poll last succeeded; also what the database says of it at the start.
    pub fn successful_poll_at(&self, listing: &ListingKey, at: Timestamp) {
        self.of(listing, |f, labels| f.polls.last.with_label_values(&labels).set(seconds(at)));
    }

    /// When a full sweep was last consistent; also what the database says of it at the start.
    pub fn consistent_sweep_at(&self, listing: &ListingKey, at: Timestamp) {
        self.of(listing, |f, labels| f.polls.last_sweep.with_label_values(&labels).set(seconds(at)));
    }

    /// A transition was committed. `to` is the status, or `unlisted`.
    pub fn transition(&self, listing: &ListingKey, to: &str) {
        self.of(listing, |f, [account, export]| {
            f.tasks.transitions.with_label_values(&[account, export, known(&TRANSITIONS, to)]).inc();
        });
    }

    /// An attempt at a download ended.
    pub fn download_attempt(&self, listing: &ListingKey, result: AttemptResult) {
        self.of(listing, |f, [account, export]| {
            f.downloads.attempts.with_label_values(&[account, export, result.as_str()]).inc();
        });
    }

    /// An attempt at a download failed, or the listing brought no link for one.
    pub fn download_failed(&self, listing: &ListingKey, reason: Reason) {
        self.of(listing, |f, [account, export]| {
            f.downloads.failures.with_label_values(&[account, export, reason.as_str()]).inc();
        });
    }

    /// So many transfers are under way, and have received so many bytes.
    pub fn in_progress(&self, transfers: u64, bytes: u64) {
        self.0.families.downloads.in_progress.set(gauge(transfers));
        self.0.families.downloads.in_progress_bytes.set(gauge(bytes));
    }

    /// So many bytes of a file were received.
    pub fn download_bytes(&self, listing: &ListingKey, bytes: u64) {
        self.of(listing, |f, labels| f.downloads.bytes.with_label_values(&labels).inc_by(bytes));
    }

    /// So many rows of a listing could not be read.
    pub fn row_rejected(&self, rows: u64) {
        self.0.families.polls.rows_rejected.inc_by(rows);
    }

    /// The database failed a statement.
    pub fn store_error(&self) {
        self.0.families.machine.store_errors.inc();
    }

    /// When the account's keys end; none for keys that last, which have no series.
    pub fn credentials_expire(&self, account: &AccountName, at: Option<Timestamp>) {
        let listings = self.listings();
        let family = &self.0.families.api.credentials_expiry;
        match at.filter(|_| listings.iter().any(|l| l.account == *account)) {
            Some(at) => family.with_label_values(&[account.as_str()]).set(seconds(at)),
            // That it was never there is no error.
            None => drop(family.remove_label_values(&[account.as_str()])),
        }
    }

    /// The account's keys could not be fetched.
    pub fn credentials_not_refreshed(&self, account: &AccountName) {
        if self.listings().iter().any(|l| l.account == *account) {
            self.0.families.api.credentials_failures.with_label_values(&[account.as_str()]).inc();
        }
    }

    /// How much a folder's file system has free.
    pub fn storage_free_bytes(&self, folder: Folder, bytes: u64) {
        self.0.families.machine.free.with_label_values(&[folder.as_str()]).set(gauge(bytes));
    }

    /// What downloads leave free.
    pub fn storage_min_free_bytes(&self, bytes: u64) {
        self.0.families.machine.min_free.set(gauge(bytes));
    }

    /// Whether downloads wait for space.
    pub fn storage_low(&self, low: bool) {
        self.0.families.machine.low.set(low.into());
    }

    /// A configuration was read and is in force since `at`; none when it was refused.
    pub fn config_reloaded(&self, at: Option<Timestamp>) {
        let machine = &self.0.families.machine;
        machine.reloaded.set(at.is_some().into());
        if let Some(at) = at {
            machine.reloaded_at.set(seconds(at));
        }
    }

    /// What is not done of a listing.
    pub fn outstanding(&self, known: &Outstanding) {
        let or_none = |at: Option<Timestamp>| at.map_or(0.0, seconds);
        self.of(&known.listing, |f, of @ [account, export]| {
            f.polls.listed.with_label_values(&of).set(gauge(known.total.unwrap_or(0)));
            f.polls.suspect.with_label_values(&of).set(known.is_suspect.into());
            for (state, count) in known.undelivered {
                f.tasks.undelivered.with_label_values(&[account, export, state.as_str()]).set(gauge(count));
            }
            f.tasks.oldest_undelivered.with_label_values(&of).set(or_none(known.undelivered_since));
            f.tasks.expiry.with_label_values(&of).set(or_none(known.expires_at()));
            f.tasks.lost.with_label_values(&of).set(gauge(known.lost));
        });
    }

    /// How the windows of each listing stand of which any are expected; of the others nothing is shown.
    pub fn windows(&self, summaries: &BTreeMap<ListingKey, Summary>) {
        let listings = self.listings();
        for listing in listings.iter() {
            let Some(summary) = summaries.get(listing) else {
                self.0.families.remove_windows(listing);
                continue;
            };
            let family = &self.0.families.windows;
            let of @ [account, export] = labels(listing);
            for state in State::ALL {
                let labels = [account, export, state.as_str()];
                family.counts.with_label_values(&labels).set(gauge(summary.count(state)));
            }
            for (family, at) in [
                (&family.overdue_since, summary.overdue_since),
                (&family.export_by, summary.export_by),
                (&family.deliver_by, summary.deliver_by),
            ] {
                family.with_label_values(&of).set(at.map_or(0.0, seconds));
            }
        }
    }

    /// How many tasks have which status: all of them. A status that is not counted is at 0.
    pub fn task_counts(&self, counts: &[Counted]) {
        self.counts(counts, &STATUSES, |f| &f.tasks.counts);
    }

    /// How many downloads are in which state: all of them. A state that is not counted is at 0.
    pub fn download_counts(&self, counts: &[Counted]) {
        self.counts(counts, &STATES, |f| &f.downloads.counts);
    }

    /// The text format 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.families.machine.look_at_process();
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

    fn of_account(&self, account: &AccountName, count: impl FnOnce(&Families, [&str; 1])) {
        let listings = self.listings();
        if listings.iter().any(|l| l.account == *account) {
            count(&self.0.families, [account.as_str()]);
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
