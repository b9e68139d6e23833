//! Whether every window that is expected is there: what is configured and what the store knows, held against each other.
//!
//! The one way to ask: commands, metrics, log lines and the status page all go through [`Reading`], so that they say the same.

mod tell;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    config::Config,
    model::{
        task::ListingKey,
        window::{Assessed, Expectation, Horizon, State, Summary, assess},
    },
    store::{Store, StoreError},
};

pub use self::tell::{MaySay, tell};

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

/// Reads what is expected, a listing at a time. What is known of one is forgotten before the next is read: there may be many,
/// with many tasks and many windows.
pub struct Reading<'a> {
    store: &'a Store,
    now: Timestamp,
    listings: std::vec::IntoIter<(ListingKey, Vec<&'a Expectation>)>,
}

impl<'a> Reading<'a> {
    /// Of all that is expected.
    #[must_use]
    pub fn new(store: &'a Store, config: &'a Config, now: Timestamp) -> Self {
        let mut listings: Vec<(ListingKey, Vec<&Expectation>)> = Vec::new();
        for account in &config.accounts {
            let of_account = listings.len();
            for expectation in &account.expect {
                let listing = ListingKey { account: account.name.clone(), export: expectation.export };
                match listings[of_account..].iter_mut().find(|(known, _)| *known == listing) {
                    Some((_, expectations)) => expectations.push(expectation),
                    None => listings.push((listing, vec![expectation])),
                }
            }
        }
        Self { store, now, listings: listings.into_iter() }
    }

    /// What is expected of the next listing; nothing after the last.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn next(&mut self) -> Result<Option<Vec<Expected>>, StoreError> {
        let Some((listing, expectations)) = self.listings.next() else { return Ok(None) };
        let begins = expectations.iter().map(|e| e.begins_at().unwrap_or(Timestamp::MIN));
        let since = begins.min().unwrap_or(Timestamp::MIN);
        let tasks = self.store.window_facts(&listing, since).await?;
        let expected = expectations.into_iter().map(|expectation| Expected {
            listing: listing.clone(),
            expectation: expectation.clone(),
            assessed: assess(expectation, &tasks, self.now, &Horizon::DOCUMENTED),
        });
        Ok(Some(expected.collect()))
    }
}

/// All of it at once.
///
/// # Errors
/// When the database fails.
pub async fn read(store: &Store, config: &Config, now: Timestamp) -> Result<Vec<Expected>, StoreError> {
    let mut reading = Reading::new(store, config, now);
    let mut all = Vec::new();
    while let Some(expected) = reading.next().await? {
        all.extend(expected);
    }
    Ok(all)
}

/// The windows of each listing of which any are expected, in a few numbers.
#[must_use]
pub fn summaries(expected: &[Expected]) -> BTreeMap<ListingKey, Summary> {
    let mut summaries: BTreeMap<ListingKey, Summary> = BTreeMap::new();
    for Expected { listing, assessed, .. } in expected {
        summaries.entry(listing.clone()).or_default().extend(&assessed.windows);
    }
    summaries
}

/// How many of the windows are overdue.
#[must_use]
pub fn overdue(expected: &[Expected]) -> u64 {
    expected.iter().flat_map(|e| &e.assessed.windows).filter(|window| window.state == State::Overdue).count() as u64
}
