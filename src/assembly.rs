//! Puts the parts together for one configuration: who reads which listing, and who downloads.

use std::sync::{Arc, atomic::AtomicBool};

use tokio::sync::Notify;

use crate::{
    cdn::{Client, Permits},
    config::{Config, Environment},
    credentials::Provider,
    egress::{self, Downloads, EgressError, Policy, Surroundings},
    fetch::{Area, Board, Queue},
    model::task::ListingKey,
    poll::Poller,
    store::{Store, StoreError},
};

/// Everything that runs, before it runs.
#[derive(Debug)]
pub struct Assembly {
    /// One for each configured listing, in the order of the configuration.
    pub pollers: Vec<Poller>,
    /// Downloads for all of them.
    pub queue: Arc<Queue>,
}

/// Why the parts do not fit together.
#[derive(Debug, thiserror::Error)]
pub enum AssemblyError {
    /// No HTTP client.
    #[error(transparent)]
    Egress(#[from] EgressError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One client for each account: its listings share its rate.
///
/// # Errors
/// When no HTTP client can be built.
pub fn clients(
    config: &Config,
    environment: &Environment,
    surroundings: Surroundings,
) -> Result<Vec<Arc<Client>>, EgressError> {
    // A connection that takes as long as a whole call may take is no use to it.
    let http = egress::api_client(config.poll.request_timeout, surroundings)?;
    let client = |account: &crate::config::Account| {
        Arc::new(Client::new(
            account.name.clone(),
            account.endpoint.clone(),
            http.clone(),
            Provider::new(account.credentials.clone(), environment.clone()),
            Arc::new(Permits::new(&config.rate_limit)),
            config.retry.clone(),
            config.poll.request_timeout,
        ))
    };
    Ok(config.accounts.iter().map(client).collect())
}

impl Assembly {
    /// Wires pollers and queue to a store and a download folder, and makes sure that every listing has its row.
    ///
    /// # Errors
    /// When no HTTP client can be built, or the database fails.
    pub async fn new(
        config: &Config,
        environment: &Environment,
        surroundings: Surroundings,
        store: &Store,
        area: Area,
    ) -> Result<Self, AssemblyError> {
        let due = Arc::new(Notify::new());
        let mut pollers = Vec::new();
        for (account, client) in config.accounts.iter().zip(clients(config, environment, surroundings)?) {
            for &export in &account.exports {
                let listing = ListingKey { account: account.name.clone(), export };
                store.register_listing(&listing, account.endpoint.as_str()).await?;
                pollers.push(Poller {
                    listing,
                    client: Arc::clone(&client),
                    store: store.clone(),
                    config: config.poll.clone(),
                    due: Arc::clone(&due),
                });
            }
        }
        let queue = Arc::new(Queue {
            store: store.clone(),
            area,
            downloads: Downloads::new(Policy::new(&config.download), surroundings)?,
            config: config.download.clone(),
            retry: config.retry.clone(),
            min_free_bytes: config.storage.min_free_bytes,
            state_dir: config.storage.state_dir.clone(),
            listings: pollers.iter().map(|p| p.listing.clone()).collect(),
            due,
            ended: Arc::new(Notify::new()),
            board: Board::default(),
            low: AtomicBool::new(false),
        });
        Ok(Self { pollers, queue })
    }

    /// The configured listings.
    #[must_use]
    pub fn listings(&self) -> &[ListingKey] {
        &self.queue.listings
    }
}
