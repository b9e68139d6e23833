//! The series of one listing: all there from its beginning, none left after its end.

use super::{
    families::Families,
    labels,
    results::PollResult,
    words::{CODES, OTHER, STATES, STATUSES, TRANSITIONS, UNDELIVERED},
};
use crate::model::{
    download::{AttemptResult, Reason},
    task::{Export, ListingKey},
    window::State,
};

impl Families {
    /// Begins at 0 what will be counted, and what a rule or a person may look for before it is known.
    pub(super) fn begin(&self, listing: &ListingKey) {
        let [account, export] = labels(listing);
        self.api.requests.with_label_values(&[account, listing.export.action(), "OK"]);
        for family in [&self.api.permit_wait, &self.api.throttled] {
            family.with_label_values(&[account]);
        }
        self.api.rejected.with_label_values(&[account]);
        self.api.credentials_failures.with_label_values(&[account]);
        for result in PollResult::ALL {
            self.polls.ended.with_label_values(&[account, export, result.as_str()]);
        }
        for to in TRANSITIONS {
            self.tasks.transitions.with_label_values(&[account, export, to]);
        }
        for result in AttemptResult::ALL {
            self.downloads.attempts.with_label_values(&[account, export, result.as_str()]);
        }
        for reason in Reason::ALL {
            self.downloads.failures.with_label_values(&[account, export, reason.as_str()]);
        }
        self.downloads.bytes.with_label_values(&[account, export]);
        for family in [&self.polls.last, &self.polls.last_sweep, &self.polls.interval] {
            family.with_label_values(&[account, export]);
        }
    }

    /// Removes what there is; that a series was never there is no error. `account_stays` with another listing.
    pub(super) fn remove(&self, listing: &ListingKey, account_stays: bool) {
        let [account, export] = labels(listing);
        // The last listing takes every call with it, also one of a listing that went before and ended after that.
        let actions = Export::ALL.map(Export::action).into_iter().chain([OTHER]);
        for action in actions.filter(|a| !account_stays || *a == listing.export.action()) {
            for code in CODES {
                let _ = self.api.requests.remove_label_values(&[account, action, code]);
            }
        }
        if !account_stays {
            let _ = self.api.permit_wait.remove_label_values(&[account]);
            let _ = self.api.throttled.remove_label_values(&[account]);
            let _ = self.api.rejected.remove_label_values(&[account]);
            let _ = self.api.credentials_expiry.remove_label_values(&[account]);
            let _ = self.api.credentials_failures.remove_label_values(&[account]);
        }
        for result in PollResult::ALL {
            let _ = self.polls.ended.remove_label_values(&[account, export, result.as_str()]);
        }
        for to in TRANSITIONS {
            let _ = self.tasks.transitions.remove_label_values(&[account, export, to]);
        }
        for result in AttemptResult::ALL {
            let _ = self.downloads.attempts.remove_label_values(&[account, export, result.as_str()]);
        }
        for reason in Reason::ALL {
            let _ = self.downloads.failures.remove_label_values(&[account, export, reason.as_str()]);
        }
        for status in STATUSES {
            let _ = self.tasks.counts.remove_label_values(&[account, export, status]);
        }
        for state in STATES {
            let _ = self.downloads.counts.remove_label_values(&[account, export, state]);
        }
        self.remove_windows(listing);
        for state in UNDELIVERED {
            let _ = self.tasks.undelivered.remove_label_values(&[account, export, state.as_str()]);
        }
        let _ = self.downloads.bytes.remove_label_values(&[account, export]);
        for family in [&self.polls.last, &self.polls.last_sweep, &self.polls.interval] {
            let _ = family.remove_label_values(&[account, export]);
        }
        for family in [&self.tasks.oldest_undelivered, &self.tasks.expiry] {
            let _ = family.remove_label_values(&[account, export]);
        }
        for family in [&self.polls.listed, &self.polls.suspect, &self.tasks.lost] {
            let _ = family.remove_label_values(&[account, export]);
        }
    }

    /// Removes what is shown of the windows of a listing.
    pub(super) fn remove_windows(&self, listing: &ListingKey) {
        let [account, export] = labels(listing);
        for state in State::ALL {
            let _ = self.windows.counts.remove_label_values(&[account, export, state.as_str()]);
        }
        for family in [&self.windows.overdue_since, &self.windows.export_by, &self.windows.deliver_by] {
            let _ = family.remove_label_values(&[account, export]);
        }
    }
}
