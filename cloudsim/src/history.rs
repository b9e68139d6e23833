//! What came in, for tests to look at.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{lock, task::Export};

/// How many calls are remembered: the sweeps of a long benchmark, at a few dozen MiB.
const KEPT: usize = 200_000;

/// A call of the gateway.
#[derive(Debug, Clone)]
pub struct GatewayCall {
    /// When it came.
    pub at: Instant,
    /// The simulated time.
    pub sim_time: Timestamp,
    /// The access key id it named; empty when it named none.
    pub access_key_id: String,
    /// The method.
    pub method: String,
    /// The operation; empty when it named none.
    pub action: String,
    /// The family of the operation.
    pub export: Option<Export>,
    /// The page asked for.
    pub page: Option<u64>,
    /// The page size asked for.
    pub page_size: Option<u64>,
    /// `OK`, the error's code, or the name of a fault without one.
    pub outcome: String,
    /// The HTTP status; 0 when there was none.
    pub status: u16,
    /// The nonce.
    pub nonce: String,
    /// Whether it was signed with V3 (ACS3-HMAC-SHA256).
    pub v3: bool,
    /// The security token it brought.
    pub security_token: Option<String>,
    /// The request id of the answer.
    pub request_id: String,
}

impl GatewayCall {
    /// The product that its operation belongs to, as RAM calls it.
    pub(crate) fn product(&self) -> &'static str {
        if self.export.is_some() { "cdn" } else { "sts" }
    }
}

/// A request to the object store.
#[derive(Debug, Clone)]
pub struct OssCall {
    /// When it came.
    pub at: Instant,
    /// The simulated time.
    pub sim_time: Timestamp,
    /// The method.
    pub method: String,
    /// `bucket/key`.
    pub key: String,
    /// The task whose file it is.
    pub task_id: Option<String>,
    /// The `Range` header.
    pub range: Option<String>,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<String>,
    /// The `Accept-Encoding` header.
    pub accept_encoding: Option<String>,
    /// The HTTP status; 0 when there was none.
    pub status: u16,
    /// The error's code, if the answer is an error.
    pub code: Option<String>,
    /// Bytes of the body that were sent so far.
    pub sent: u64,
}

#[derive(Debug, Default)]
pub(crate) struct History {
    gateway: Mutex<VecDeque<GatewayCall>>,
    oss: Mutex<VecDeque<(OssCall, Arc<AtomicU64>)>>,
    gateway_total: AtomicU64,
    oss_total: AtomicU64,
}

impl History {
    pub(crate) fn gateway(&self, call: GatewayCall) {
        self.gateway_total.fetch_add(1, Ordering::Relaxed);
        push(&mut lock(&self.gateway), call);
    }

    pub(crate) fn oss(&self, call: OssCall, sent: Arc<AtomicU64>) {
        push(&mut lock(&self.oss), (call, sent));
    }

    /// The number of the next request to the object store, from 1.
    pub(crate) fn next_oss(&self) -> u64 {
        self.oss_total.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn gateway_calls(&self) -> Vec<GatewayCall> {
        lock(&self.gateway).iter().cloned().collect()
    }

    pub(crate) fn gateway_count(&self) -> u64 {
        self.gateway_total.load(Ordering::Relaxed)
    }

    pub(crate) fn oss_calls(&self) -> Vec<OssCall> {
        let with_count = |(call, sent): &(OssCall, Arc<AtomicU64>)| {
            let mut call = call.clone();
            call.sent = sent.load(Ordering::Relaxed);
            call
        };
        lock(&self.oss).iter().map(with_count).collect()
    }

    pub(crate) fn clear(&self) {
        lock(&self.gateway).clear();
        lock(&self.oss).clear();
    }

    /// The largest number of arrivals in any half-open second.
    pub(crate) fn max_in_a_second(&self, access_key_id: &str) -> usize {
        let calls = lock(&self.gateway);
        let mut times: Vec<_> =
            calls.iter().filter(|call| call.access_key_id == access_key_id).map(|call| call.at).collect();
        drop(calls);
        times.sort();
        let mut first = 0;
        let mut most = 0;
        for (n, at) in times.iter().enumerate() {
            while at.duration_since(times[first]) >= Duration::from_secs(1) {
                first += 1;
            }
            most = most.max(n - first + 1);
        }
        most
    }
}

fn push<T>(calls: &mut VecDeque<T>, call: T) {
    if calls.len() == KEPT {
        calls.pop_front();
    }
    calls.push_back(call);
}
