//! Who wants to know what happens, to count it: called where it happens, with words of the model alone.

use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    download::{AttemptResult, Reason},
    task::{AccountName, ListingKey},
};

/// How a poll went.
#[derive(Debug, Clone, Copy)]
pub struct Turn<'a> {
    /// What went wrong; none when the poll succeeded.
    pub error: Option<&'a str>,
    /// For a sweep, whether it was consistent.
    pub consistent: Option<bool>,
    /// The pause until the next.
    pub interval: Duration,
    /// How long it took.
    pub duration: Duration,
    /// Whether it failed because the account's keys are refused, or cannot be read.
    pub rejected: bool,
}

/// Told of what happens. Each method does nothing unless it is given something to do.
pub trait Observer: Send + Sync {
    /// A call was answered, or was not: `code` is `OK`, the service's code, or `transport`.
    fn called(&self, account: &AccountName, action: &str, code: &str, duration: Duration) {
        let _ = (account, action, code, duration);
    }

    /// A call waited for its permit.
    fn waited(&self, account: &AccountName, wait: Duration) {
        let _ = (account, wait);
    }

    /// The service throttles: the account makes no calls for so much longer.
    fn paused(&self, account: &AccountName, pause: Duration) {
        let _ = (account, pause);
    }

    /// The account's keys end then; none for keys whose end nobody knows.
    fn credentials_expire(&self, account: &AccountName, at: Option<Timestamp>) {
        let _ = (account, at);
    }

    /// The account's keys were to be replaced ahead of their end, or fetched, and could not be.
    fn credentials_not_refreshed(&self, account: &AccountName) {
        let _ = account;
    }

    /// The first poll of a listing is still to come: polls of it are this far apart meanwhile.
    fn waits(&self, listing: &ListingKey, interval: Duration) {
        let _ = (listing, interval);
    }

    /// A poll ended.
    fn polled(&self, listing: &ListingKey, turn: Turn<'_>) {
        let _ = (listing, turn);
    }

    /// A transition was committed; `to` is the status, or `unlisted`.
    fn changed(&self, listing: &ListingKey, to: &str) {
        let _ = (listing, to);
    }

    /// A row of a listing could not be read.
    fn row_rejected(&self) {}

    /// An attempt at a download ended, and brought so many bytes.
    fn attempted(&self, listing: &ListingKey, result: AttemptResult, bytes: u64) {
        let _ = (listing, result, bytes);
    }

    /// An attempt at a download failed, or the listing brought no link for one.
    fn download_failed(&self, listing: &ListingKey, reason: Reason) {
        let _ = (listing, reason);
    }

    /// The database failed.
    fn store_failed(&self) {}
}

/// Nobody wants to know.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Observer for Nobody {}
