//! Puts the parts together for one configuration: who reads which listing, and who downloads.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    cdn::{Client, Permits, Told},
    config::{self, Config, Environment},
    credentials::{self, Change, Outside, Provider},
    egress::{self, Authorities, Downloads, EgressError, Network, Policy, Surroundings, Via},
    fetch::{Area, Mode, Queue, Settings},
    model::task::ListingKey,
    observer::Observer,
    poll::Poller,
    store::{Store, StoreError},
};

/// Everything that runs, before it runs.
pub struct Assembly {
    /// One for each configured account, in the order of the configuration.
    pub accounts: Vec<Account>,
    /// Downloads for all of them.
    pub queue: Arc<Queue>,
    /// Tells the queue that a download became due.
    pub due: Arc<Notify>,
}

/// An account, its client, and what reads its listings.
pub struct Account {
    /// As configured.
    pub config: config::Account,
    /// The rate that its listings share.
    pub permits: Arc<Permits>,
    /// Its keys.
    pub keys: Provider,
    /// One for each of its listings.
    pub pollers: Vec<Poller>,
}

/// What everything is put together in.
pub struct World<'a> {
    /// What is configured.
    pub config: &'a Config,
    /// Where keys may be looked up.
    pub environment: &'a Environment,
    /// What HTTP clients take from the machine.
    pub surroundings: Surroundings,
    /// Where everything is kept.
    pub store: &'a Store,
    /// Who is told.
    pub observer: &'a Arc<dyn Observer>,
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

/// The client of one account, and its keys. `permits` are those of an earlier client, when the rate goes on.
///
/// # Errors
/// When no HTTP client can be built.
pub fn client(
    config: &Config,
    account: &config::Account,
    environment: &Environment,
    surroundings: &Surroundings,
    observer: &Arc<dyn Observer>,
    permits: Arc<Permits>,
) -> Result<(Arc<Client>, Provider), EgressError> {
    // A connection that takes as long as a whole call may take is no use to it.
    let http = egress::api_client(config.poll.request_timeout, surroundings)?;
    let outside = Outside::new(http.clone(), account.sts_endpoint.clone())?;
    let (name, told) = (account.name.clone(), Arc::clone(observer));
    let keys = Provider::new(account.name.clone(), account.credentials.clone(), environment.clone(), outside).observed(
        Arc::new(move |change| match change {
            Change::Expires(at) => told.credentials_expire(&name, at),
            Change::Failed => told.credentials_not_refreshed(&name),
        }),
    );
    let (name, observer) = (account.name.clone(), Arc::clone(observer));
    let client = Client::new(
        account.name.clone(),
        account.endpoint.clone(),
        http,
        keys.clone(),
        permits,
        config.retry.clone(),
        config.poll.request_timeout,
    )
    .observed(Arc::new(move |told: &Told<'_>| match told {
        Told::Waited(wait) => observer.waited(&name, *wait),
        Told::Sent(a) => observer.called(&name, a.operation, a.code, a.duration),
        Told::Paused(pause) => observer.paused(&name, *pause),
    }));
    Ok((Arc::new(client), keys))
}

/// Proxies and authorities as configured, with what their files hold now.
///
/// # Errors
/// When a file cannot be used, or a secret is open to others: names key and file, and says how to mend it.
pub fn network(config: &Config, environment: &Environment) -> Result<Network, String> {
    let via = |section: &str, proxy: &config::Proxy| -> Result<Via, String> {
        match &proxy.choice {
            None => Ok(Via::Environment),
            Some(config::ProxyChoice::Direct) => Ok(Via::Direct),
            Some(config::ProxyChoice::Url(url)) => {
                let file = proxy.credentials_file.as_ref();
                let login = file.map(|file| credentials::proxy_login(file, environment)).transpose();
                let login = login.map_err(|e| format!("{section}.proxy_credentials_file: {e}"))?;
                Ok(Via::Proxy {
                    url: url.clone(),
                    login: login.map(|(user, password)| egress::Login { user, password }),
                })
            }
        }
    };
    let authorities = config.tls.ca_file.as_deref().map(Authorities::load).transpose().map_err(|e| e.to_string())?;
    Ok(Network {
        gateway: via("gateway", &config.gateway.proxy)?,
        download: via("download", &config.download.proxy)?,
        authorities: authorities.unwrap_or_default(),
    })
}

/// What the queue takes from the configuration.
///
/// # Errors
/// When no HTTP client can be built.
pub fn settings(config: &Config, surroundings: &Surroundings, mode: Mode) -> Result<Settings, EgressError> {
    Ok(Settings {
        downloads: Downloads::new(Policy::new(&config.download), surroundings)?,
        config: config.download.clone(),
        retry: config.retry.clone(),
        listings: listings(config),
        mode,
    })
}

/// Every configured listing, in the order of the configuration.
#[must_use]
pub fn listings(config: &Config) -> Vec<ListingKey> {
    let of = |a: &config::Account| {
        a.exports.iter().map(|&export| ListingKey { account: a.name.clone(), export }).collect::<Vec<_>>()
    };
    config.accounts.iter().flat_map(of).collect()
}

impl Assembly {
    /// Wires clients, pollers and queue to a store and a download folder, and makes sure that every listing has its row.
    ///
    /// # Errors
    /// When no HTTP client can be built, or the database fails.
    pub async fn new(world: &World<'_>, area: Area, mode: Mode) -> Result<Self, AssemblyError> {
        let due = Arc::new(Notify::new());
        let mut accounts = Vec::new();
        for account in &world.config.accounts {
            let permits = Arc::new(Permits::new(&world.config.rate_limit));
            accounts.push(Account::new(world, account, permits, &due).await?);
        }
        let settings = settings(world.config, &world.surroundings, mode)?;
        let observer = Arc::clone(world.observer);
        let queue = Queue::new(world.store.clone(), area, &world.config.storage, settings, Arc::clone(&due), observer);
        Ok(Self { accounts, queue: Arc::new(queue), due })
    }

    /// What reads the listings, in the order of the configuration.
    pub fn pollers(&self) -> impl Iterator<Item = &Poller> {
        self.accounts.iter().flat_map(|a| &a.pollers)
    }
}

impl Account {
    /// Wires one account.
    ///
    /// # Errors
    /// As [`Assembly::new`].
    pub async fn new(
        world: &World<'_>,
        account: &config::Account,
        permits: Arc<Permits>,
        due: &Arc<Notify>,
    ) -> Result<Self, AssemblyError> {
        let (client, keys) = client(
            world.config,
            account,
            world.environment,
            &world.surroundings,
            world.observer,
            Arc::clone(&permits),
        )?;
        let mut pollers = Vec::new();
        for &export in &account.exports {
            let listing = ListingKey { account: account.name.clone(), export };
            world.store.register_listing(&listing, account.endpoint.as_str()).await?;
            pollers.push(Poller {
                listing,
                client: Arc::clone(&client),
                store: world.store.clone(),
                config: world.config.poll.clone(),
                due: Arc::clone(due),
                observer: Arc::clone(world.observer),
            });
        }
        Ok(Self { config: account.clone(), permits, keys, pollers })
    }
}
