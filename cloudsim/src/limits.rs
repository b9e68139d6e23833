//! What is counted over several calls: nonces and calls in a second.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};

use crate::{lock, settings::Knobs};

/// How long a nonce is remembered: twice the window in which a date is accepted.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(30);

#[derive(Debug, Default)]
pub(crate) struct Limits {
    nonces: Mutex<Nonces>,
    arrivals: Mutex<HashMap<usize, VecDeque<Instant>>>,
    calls: AtomicU64,
}

#[derive(Debug, Default)]
struct Nonces {
    seen: HashSet<String>,
    order: VecDeque<(Timestamp, String)>,
}

impl Limits {
    /// Whether a nonce is new; it is not from now on.
    pub(crate) fn nonce_is_new(&self, access_key_id: &str, nonce: &str, now: Timestamp) -> bool {
        let mut nonces = lock(&self.nonces);
        let oldest = now.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        while nonces.order.front().is_some_and(|(at, _)| *at < oldest) {
            if let Some((_, old)) = nonces.order.pop_front() {
                nonces.seen.remove(&old);
            }
        }
        let name = format!("{access_key_id} {nonce}");
        let new = nonces.seen.insert(name.clone());
        if new {
            nonces.order.push_back((now, name));
        }
        new
    }

    /// Whether this call is one too many: of its account in this second, or the n-th of all.
    pub(crate) fn over_quota(&self, account: usize, at: Instant, knobs: &Knobs) -> bool {
        let n = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        if knobs.throttle_every.is_some_and(|every| every > 0 && n.is_multiple_of(u64::from(every))) {
            return true;
        }
        let Some(quota) = knobs.quota_per_second else { return false };
        let mut arrivals = lock(&self.arrivals);
        let recent = arrivals.entry(account).or_default();
        while recent.front().is_some_and(|first| at.saturating_duration_since(*first) >= Duration::from_secs(1)) {
            recent.pop_front();
        }
        recent.push_back(at);
        recent.len() > quota
    }
}
