//! One call of the API: permit, credentials, signature, sending, judging, waiting, and again.

mod answer;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep, timeout};
use url::Url;

pub(super) use self::answer::Unreadable;
use super::{
    error::{CallError, Disposition, Failure},
    permits::Permits,
};
use crate::{
    clock, config,
    credentials::{Credentials, Kind, Provider},
    egress::Api,
    events,
    model::{backoff, task::AccountName},
    rpc,
    text::redact,
};

/// The version of the API that all operations belong to.
const API_VERSION: &str = "2018-05-10";

/// While credentials keep being refused, this often it is said again.
const REJECTED_AGAIN: Duration = Duration::from_secs(3600);

/// How one attempt went, for counting.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The API operation.
    pub operation: &'static str,
    /// `OK`, the service's code, or `transport`.
    pub code: &'a str,
    /// From sending to the last byte.
    pub duration: Duration,
}

/// What there is to be counted.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// A call got its permit after so long.
    Waited(Duration),
    /// An attempt was sent, and came to its end.
    Sent(Attempt<'a>),
    /// The service throttles: the account makes no calls for so much longer.
    Paused(Duration),
}

/// Told of everything that there is to be counted.
pub type Observer = Arc<dyn Fn(&Told<'_>) + Send + Sync>;

/// Everything that the calls of one account share.
pub(super) struct Transport {
    pub account: AccountName,
    pub endpoint: Url,
    pub http: Api,
    pub credentials: Provider,
    pub permits: Arc<Permits>,
    pub retry: config::Retry,
    pub request_timeout: Duration,
    pub observer: Option<Observer>,
    pub sent: AtomicU64,
    /// When `credentials.rejected` was last said; none while they work.
    pub rejected: Mutex<Option<Instant>>,
}

impl Transport {
    /// Makes a call until it succeeds, cannot, or has had its attempts. `read` turns a body into what is wanted; a
    /// body that it cannot turn is judged like any other failure. Returns with it how many attempts were sent.
    pub(super) async fn call<T: Send>(
        &self,
        operation: &'static str,
        query: &[(&str, &str)],
        read: impl Fn(&[u8]) -> Result<T, Unreadable> + Sync,
    ) -> Result<(T, u32), CallError> {
        // Keys that are known to be refused are tried once a call, not twice.
        let (mut attempt, mut refreshed) = (0, self.is_rejected());
        // Ends: each turn is an attempt, there are `call_attempts` of them, and one more to try fresh credentials.
        loop {
            attempt += 1;
            let failure = match self.attempt(operation, query, &read).await {
                Ok(value) => {
                    self.permits.succeeded();
                    self.set_rejected(None);
                    return Ok((value, attempt));
                }
                Err(failure) => failure,
            };
            let last = attempt >= self.retry.call_attempts;
            let wait = backoff::delay(self.retry.base, self.retry.max, attempt, failure.hint, rand::random());
            match failure.disposition {
                Disposition::Throttled => {
                    // The other calls of the account wait too, also when this one gives up.
                    self.tell(&Told::Paused(self.permits.throttled(wait)));
                    let code = failure.code.as_deref().unwrap_or("429");
                    events::api_throttled(&self.account, code, wait);
                    if !last {
                        continue;
                    }
                }
                Disposition::Retry if !last => {
                    sleep(wait).await;
                    continue;
                }
                Disposition::RetryNow if !last => continue,
                // They are read anew for every attempt; somebody may just have replaced them.
                Disposition::RefreshCredentials if !refreshed && failure.status.is_some() => {
                    refreshed = true;
                    continue;
                }
                _ => {}
            }
            let error = failure.into_error(operation, attempt);
            if error.disposition == Disposition::RefreshCredentials {
                self.credentials_rejected(&error);
            }
            return Err(error);
        }
    }

    async fn attempt<T>(
        &self,
        operation: &'static str,
        query: &[(&str, &str)],
        read: &(impl Fn(&[u8]) -> Result<T, Unreadable> + Sync),
    ) -> Result<T, Failure> {
        // Held until the answer is read: the gateway counts this call within that time.
        let since = clock::instant();
        let _permit = self.permits.acquire().await;
        self.tell(&Told::Waited(clock::instant().saturating_duration_since(since)));
        let credentials = timeout(self.request_timeout, self.credentials.get())
            .await
            .map_err(|_| {
                // Nor is one that answers late.
                let advice = Some("; see poll.request_timeout");
                Failure::local(Disposition::Retry, "reading the credentials takes too long", advice)
            })?
            .map_err(|e| {
                // A source that does not answer is no wrong key: another attempt may find it.
                let away = e.kind() == Kind::Unreachable;
                let disposition = if away { Disposition::Retry } else { Disposition::RefreshCredentials };
                let what = format!("there are no credentials: {}", redact(&e.to_string()));
                Failure::local(disposition, what, Some(""))
            })?;
        let request = self.request(operation, query, &credentials)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        let begin = clock::instant();
        let result = match timeout(self.request_timeout, answer::exchange(&self.http, request)).await {
            Ok(result) => result.and_then(|answer| answer.judge(&credentials.access_key_id, read)),
            Err(_) => Err(Failure::local(
                Disposition::Retry,
                format!("no complete answer within {} s", self.request_timeout.as_secs_f64()),
                Some("; see poll.request_timeout"),
            )),
        };
        let code = match &result {
            Ok(_) => "OK",
            Err(failure) => failure.code.as_deref().unwrap_or("transport"),
        };
        let duration = clock::instant().saturating_duration_since(begin);
        self.tell(&Told::Sent(Attempt { operation, code, duration }));
        // Where they came from is what a person must look at.
        result.map_err(|mut failure| {
            if failure.disposition == Disposition::RefreshCredentials {
                // Those that are kept for a while must not be handed out again as if nothing had been.
                self.credentials.doubt(&credentials);
                failure.what = format!("{} (the credentials are those of {})", failure.what, credentials.origin);
            }
            failure
        })
    }

    /// A request that has never been sent.
    fn request(
        &self,
        operation: &str,
        query: &[(&str, &str)],
        credentials: &Credentials,
    ) -> Result<reqwest::Request, Failure> {
        let call = rpc::Call { endpoint: &self.endpoint, action: operation, version: API_VERSION, query };
        rpc::signed(&call, &credentials.keys())
            .map_err(|e| Failure::local(Disposition::RefreshCredentials, e.to_string(), None))
    }

    fn tell(&self, told: &Told<'_>) {
        if let Some(observer) = &self.observer {
            observer(told);
        }
    }

    fn is_rejected(&self) -> bool {
        self.rejected.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn set_rejected(&self, at: Option<Instant>) {
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }

    /// Says it at the onset and then hourly, however many calls fail of it.
    fn credentials_rejected(&self, error: &CallError) {
        let now = clock::instant();
        {
            let mut said = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
            if said.is_some_and(|at| now.saturating_duration_since(at) < REJECTED_AGAIN) {
                return;
            }
            *said = Some(now);
        }
        events::credentials_rejected(
            &self.account,
            &error.to_string(),
            error.code.as_deref(),
            error.request_id.as_deref(),
        );
    }
}

#[cfg(test)]
mod tests;
