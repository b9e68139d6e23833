//! Pages of tasks.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use url::Url;

use super::{
    error::CallError,
    permits::Permits,
    transport::{Observer, Transport, Unreadable},
    wire::{self, AnswerError, Page},
};
use crate::{
    config,
    credentials::Provider,
    egress::Api,
    model::task::{AccountName, Export},
};

/// The listings of one account. All of its calls go through here, so that they share one rate.
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client that has called nobody yet. `http` must neither retry nor follow redirects by itself: both send the
    /// same nonce twice, which the gateway refuses.
    #[must_use]
    pub fn new(
        account: AccountName,
        endpoint: Url,
        http: impl Into<Api>,
        credentials: Provider,
        permits: Arc<Permits>,
        retry: config::Retry,
        request_timeout: Duration,
    ) -> Self {
        Self {
            transport: Transport {
                account,
                endpoint,
                http: http.into(),
                credentials,
                permits,
                retry,
                request_timeout,
                observer: None,
                sent: AtomicU64::new(0),
                rejected: Mutex::new(None),
            },
        }
    }

    /// Has `observer` told of every attempt and every wait.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.transport.observer = Some(observer);
        self
    }

    /// Reads a page: `number` from 1, `size` rows from 1 to 50.
    ///
    /// # Errors
    /// When the call failed in a way that another attempt cannot mend, or as often as it may be tried.
    pub async fn page(&self, export: Export, number: u32, size: u32) -> Result<Page, CallError> {
        let (number, size) = (number.to_string(), size.to_string());
        let query = [("PageNumber", number.as_str()), ("PageSize", size.as_str())];
        let read = |body: &[u8]| {
            wire::page(body).map(|page| Page { bytes: body.len(), ..page }).map_err(|error| match error {
                AnswerError::Refusal => Unreadable::Refusal,
                AnswerError::Malformed(_) => Unreadable::Other(error.to_string()),
            })
        };
        let (mut page, calls) = self.transport.call(export.action(), &query, read).await?;
        page.calls = calls;
        Ok(page)
    }

    /// Attempts sent since the start, over all listings of the account.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.transport.sent.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("account", &self.transport.account)
            .field("endpoint", &self.transport.endpoint.as_str())
            .finish_non_exhaustive()
    }
}
