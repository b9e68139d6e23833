//! Looks at the windows that are expected, shows how they stand, and says what is new.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{sync::watch::Receiver, time::sleep};
use tokio_util::sync::CancellationToken;

use super::Watch;
use crate::{
    assembly, clock,
    completeness::{self, MaySay},
    config::Config,
    events,
    model::task::ListingKey,
    store::{Store, StoreError},
};

/// Windows end, and deadlines pass, while nothing else happens; and a command in another process may put a download back
/// into the queue. All of it is seen within this.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// A look is followed by a pause of so many times as long as it took: looking takes a fiftieth of a core at most, however
/// many windows there are and however often something changes.
const PAUSE_FOR_COST: u32 = 50;
/// The longest such pause, for a machine that was asleep in the middle of a look.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// The shortest: the changes of a page are seen by one look.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// The journal takes some thousand lines in half a minute: more is said by and by.
const SAY_ON_AFTER: Duration = Duration::from_secs(5);

/// What lacks is said when its listing was read since the start, or since it was configured, and what was found there is
/// fetched. That it is overdue is said no later than this after the start, or after a configuration came into force, since
/// an outage may last. Nothing is called beyond reach by that: it is said once and left, and a clock that is wrong, which
/// no service has agreed with yet, would make it false.
const SETTLES_WITHIN: Duration = Duration::from_secs(600);

/// The one that looks.
pub(super) struct Windows {
    pub store: Store,
    pub watch: Arc<Watch>,
    pub config: Receiver<Arc<Config>>,
}

impl Windows {
    /// Looks whenever something changed, and every minute, until it is cancelled. A look that fails is tried again then.
    pub(super) async fn run(mut self, stop: &CancellationToken) {
        let mut settles_at = clock::instant() + SETTLES_WITHIN;
        let mut is_failing = false;
        while !stop.is_cancelled() {
            if self.config.has_changed().unwrap_or(false) {
                settles_at = clock::instant() + SETTLES_WITHIN;
            }
            let config = Arc::clone(&self.config.borrow_and_update());
            let began = clock::instant();
            let looked = self.look(&config, began >= settles_at).await;
            if let Err(error) = &looked {
                self.failed(error, !is_failing);
            }
            is_failing = looked.is_err();
            let is_all = looked.unwrap_or(true);
            let cost = clock::instant().saturating_duration_since(began);
            let mut pause = cost.saturating_mul(PAUSE_FOR_COST).clamp(PAUSE_MIN, PAUSE_MAX);
            if !is_all {
                pause = pause.max(SAY_ON_AFTER);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(pause) => {}
            }
            if is_all {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.watch.changed.notified() => {}
                    _ = self.config.changed() => self.config.mark_changed(),
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        }
    }

    /// One look; whether all that is new was said.
    async fn look(&self, config: &Config, must_settle: bool) -> Result<bool, StoreError> {
        let now = clock::now();
        // Before the windows are read: what ends in between is seen there, and nothing is said to lack that has just come.
        let settled = self.settled(config).await?;
        let expected = completeness::read(&self.store, config, now).await?;
        self.watch.metrics().windows(&completeness::summaries(&expected));
        let may = |listing: &ListingKey| match must_settle {
            _ if settled.contains(listing) => MaySay::Everything,
            true => MaySay::Overdue,
            false => MaySay::Archived,
        };
        completeness::tell(&self.store, &expected, may, now).await
    }

    /// The listings of which what could be known and fetched by now is. Each by itself: one that cannot be read keeps
    /// nothing of the others unsaid.
    async fn settled(&self, config: &Config) -> Result<BTreeSet<ListingKey>, StoreError> {
        if config.accounts.iter().all(|account| account.expect.is_empty()) {
            return Ok(BTreeSet::new());
        }
        let mut read = assembly::listings(config);
        read.retain(|listing| self.watch.has_read(listing));
        let in_hand = self.store.in_hand(&read).await?;
        Ok(read.into_iter().filter(|listing| !in_hand.contains(listing)).collect())
    }

    /// A look failed: said at the onset, counted always.
    fn failed(&self, error: &StoreError, is_onset: bool) {
        self.watch.metrics().store_error();
        let error = format!("windows cannot be judged: {error}");
        if is_onset {
            events::store_failed(&error);
        } else {
            tracing::debug!(target: "cdn_usaged::window", error, "a look failed again");
        }
    }
}

#[cfg(test)]
mod tests;
