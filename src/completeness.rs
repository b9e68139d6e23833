//! Whether every window that is expected is there: what is configured and what the store knows, held against each other.
//!
//! The one way to ask: commands, metrics, log lines and the status page all go through [`read`], so that they say the same.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    config::Config,
    model::{
        task::ListingKey,
        window::{Assessed, Expectation, Horizon, assess},
    },
    store::{Store, StoreError},
};

/// An expectation with all of its windows.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Of which listing.
    pub listing: ListingKey,
    /// As configured.
    pub expectation: Expectation,
    /// How it stands with each window.
    pub assessed: Assessed,
}

/// Every expectation, in the order of the configuration. Each listing is read once, whatever is expected of it.
///
/// # Errors
/// When the database fails.
pub async fn read(store: &Store, config: &Config, now: Timestamp) -> Result<Vec<Expected>, StoreError> {
    let expectations = || {
        config.accounts.iter().flat_map(|account| {
            let of = |export| ListingKey { account: account.name.clone(), export };
            account.expect.iter().map(move |expectation| (of(expectation.export), expectation))
        })
    };
    let mut since: BTreeMap<ListingKey, Timestamp> = BTreeMap::new();
    for (listing, expectation) in expectations() {
        let begin = expectation.begins_at().unwrap_or(Timestamp::MIN);
        since.entry(listing).and_modify(|at| *at = begin.min(*at)).or_insert(begin);
    }
    let mut facts = BTreeMap::new();
    for (listing, since) in since {
        let tasks = store.window_facts(&listing, since).await?;
        facts.insert(listing, tasks);
    }
    let judge = |(listing, expectation): (ListingKey, &Expectation)| {
        let tasks = facts.get(&listing).map_or(&[][..], Vec::as_slice);
        let assessed = assess(expectation, tasks, now, &Horizon::DOCUMENTED);
        Expected { listing, expectation: expectation.clone(), assessed }
    };
    Ok(expectations().map(judge).collect())
}
