//! Whether every window that is expected is there: what is configured and what the store knows, held against each other.
//!
//! The one way to ask: commands, metrics, log lines and the status page all go through [`read`], so that they say the same.

mod tell;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    config::Config,
    model::{
        task::ListingKey,
        window::{Assessed, Expectation, Horizon, Summary, assess},
    },
    store::{Store, StoreError},
};

pub use self::tell::tell;

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
    let expectations = config.accounts.iter().flat_map(|account| {
        let of = |export| ListingKey { account: account.name.clone(), export };
        account.expect.iter().map(move |expectation| (of(expectation.export), expectation))
    });
    let mut of: BTreeMap<ListingKey, Vec<(usize, &Expectation)>> = BTreeMap::new();
    for (place, (listing, expectation)) in expectations.enumerate() {
        of.entry(listing).or_default().push((place, expectation));
    }
    let mut all = Vec::new();
    for (listing, expectations) in of {
        let begins = expectations.iter().map(|(_, e)| e.begins_at().unwrap_or(Timestamp::MIN));
        let since = begins.min().unwrap_or(Timestamp::MIN);
        // What is known of one listing is forgotten before the next is read: there may be many, with many tasks.
        let tasks = store.window_facts(&listing, since).await?;
        all.extend(expectations.into_iter().map(|(place, expectation)| {
            let assessed = assess(expectation, &tasks, now, &Horizon::DOCUMENTED);
            (place, Expected { listing: listing.clone(), expectation: expectation.clone(), assessed })
        }));
    }
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, expected)| expected).collect())
}

/// The windows of each listing of which any are expected, in a few numbers.
#[must_use]
pub fn summaries(expected: &[Expected]) -> BTreeMap<ListingKey, Summary> {
    let mut summaries: BTreeMap<ListingKey, Summary> = BTreeMap::new();
    for Expected { listing, assessed, .. } in expected {
        let summary = summaries.entry(listing.clone()).or_default();
        assessed.windows.iter().for_each(|window| summary.add(window));
    }
    summaries
}
