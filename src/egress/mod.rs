//! Which hosts and addresses may be reached, proxies, roots: builds every HTTP client there is.
//!
//! Three clients, three attitudes. The gateway's address comes from the operator, so [`api_client`] goes where it is told.
//! A download's address comes from the network, so [`Downloads`] goes nowhere that its [`Policy`] does not allow:
//! literals are judged on the parsed link, names when they are connected to, both again at every redirect. What hands
//! out keys on this machine is asked by [`local_client`], which knows no proxy.
//!
//! Behind a proxy the proxy resolves the names. Then only names and literals can be judged here; what a name means
//! is the proxy's business.

mod address;
mod policy;
mod proxy;
mod resolver;
mod trouble;

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};
use url::Url;

pub use self::{
    policy::{Policy, Refusal},
    trouble::{Trouble, describe},
};
use self::{
    resolver::{ProxyHosts, Resolver},
    trouble::chain,
};

/// How this program introduces itself.
const USER_AGENT: &str = concat!("cdn-usaged/", env!("CARGO_PKG_VERSION"));

/// Until a connection to a file's host stands, names and TLS included. The official OSS client waits as long.
const DOWNLOAD_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are dropped after this long: below the idle limits that are usual for load balancers, so that a
/// request seldom meets a connection that the other side has just closed.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a client takes from the machine that it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Surroundings {
    /// The proxies of the environment and the trust roots of the system.
    System,
    /// Neither, for a cloud that is simulated on loopback: works on a machine without roots, and ignores proxies.
    Loopback,
}

/// A client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum EgressError {
    /// Mostly no roots.
    #[error(
        "build the HTTP client: {0}; check the system's CA certificates (package ca-certificates, or SSL_CERT_FILE)"
    )]
    Client(Trouble),
    /// A proxy that would be passed over. Its value may hold a password.
    #[error(
        "the environment's {name} names no proxy that can be used: it must look like http://[USER:PASSWORD@]HOST:PORT, \
         with a percent sign and hex digits for what is special in them, or be unset"
    )]
    Proxy {
        /// The variable.
        name: String,
    },
}

/// Makes ring the process's cryptography. May be called any number of times.
pub fn install_crypto() {
    // An error only says that a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client for signed calls. It never follows a redirect and never sends a request again by itself: each attempt is
/// signed anew.
///
/// # Errors
/// When the system has no usable trust roots, or the environment names a proxy that cannot be used.
pub fn api_client(connect_timeout: Duration, surroundings: Surroundings) -> Result<Client, EgressError> {
    builder(surroundings)?.connect_timeout(connect_timeout).build().map_err(|e| EgressError::Client(describe(e)))
}

/// The client for what hands out keys on this very machine: the metadata service and credentials URIs on loopback. It
/// never goes through a proxy, which would get to see the keys, and knows no roots, since it speaks plain http.
///
/// # Errors
/// When it cannot be built.
pub fn local_client(connect_timeout: Duration) -> Result<Client, EgressError> {
    builder(Surroundings::Loopback)?
        .connect_timeout(connect_timeout)
        // Asked once an hour: a connection that is kept is of no use.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|e| EgressError::Client(describe(e)))
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn builder(surroundings: Surroundings) -> Result<ClientBuilder, EgressError> {
    install_crypto();
    let builder = Client::builder()
        .user_agent(USER_AGENT)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(4)
        .tcp_nodelay(true);
    match surroundings {
        Surroundings::System => proxy::check_environment().map(|()| builder),
        Surroundings::Loopback => Ok(builder.no_proxy().tls_certs_only([])),
    }
}

/// The client for files, inseparable from its policy.
#[derive(Clone)]
pub struct Downloads {
    client: Client,
    policy: Arc<Policy>,
}

impl fmt::Debug for Downloads {
    /// Without the client, which may know a proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloads").field("policy", &self.policy).finish_non_exhaustive()
    }
}

impl Downloads {
    /// Builds the client around the policy.
    ///
    /// # Errors
    /// When the system has no usable trust roots, or the environment names a proxy that cannot be used.
    pub fn new(policy: Policy, surroundings: Surroundings) -> Result<Self, EgressError> {
        let proxies = match surroundings {
            Surroundings::System => ProxyHosts::from_environment(),
            Surroundings::Loopback => ProxyHosts::none(),
        };
        let policy = Arc::new(policy.with_proxies(&proxies));
        let client = builder(surroundings)?
            .connect_timeout(DOWNLOAD_CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(Resolver::new(policy.clone(), proxies)))
            .build()
            .map_err(|e| EgressError::Client(describe(e)))?;
        Ok(Self { client, policy })
    }

    /// A GET of `url`, if it may be reached. An address that its name turns out to have is judged when the request is
    /// sent; [`refusal`] finds that verdict in the error.
    ///
    /// # Errors
    /// When the policy refuses the link.
    pub fn get(&self, url: &Url) -> Result<RequestBuilder, Refusal> {
        self.policy.check(url)?;
        Ok(self.client.get(url.clone()))
    }

    /// The policy.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

/// The verdict of the policy inside a transport error, if that is what it is.
#[must_use]
pub fn refusal(error: &reqwest::Error) -> Option<&Refusal> {
    chain(error).find_map(|e| e.downcast_ref::<Refusal>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn downloads(networks: &[&str]) -> Downloads {
        let config = config::Download {
            concurrency: 1,
            max_attempts: 1,
            idle_timeout: Duration::from_secs(5),
            min_rate_bytes: 1,
            max_size_bytes: 1,
            allowed_hosts: Vec::new(),
            allowed_networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
            allow_http: true,
        };
        Downloads::new(Policy::new(&config), Surroundings::Loopback).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_refused_address_is_a_recognisable_refusal() {
        let policy = Arc::new(downloads(&[]).policy().clone());
        let client = builder(Surroundings::Loopback)
            .unwrap()
            .dns_resolver(Arc::new(Resolver::new(policy, ProxyHosts::none())))
            .build()
            .unwrap();
        let error = client.get("http://localhost:9/x?Signature=MARK").send().await.unwrap_err();
        assert!(matches!(refusal(&error), Some(Refusal::Name { .. })), "{error:?}");
        let text = describe(error).to_string();
        assert!(!text.contains("MARK") && text.contains("localhost"), "{text}");
    }

    #[tokio::test]
    async fn an_error_text_has_its_causes_and_no_link() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let url = Url::parse(&format!("http://127.0.0.1:{port}/x?Signature=MARK")).unwrap();
        let error = downloads(&["127.0.0.0/8"]).get(&url).unwrap().send().await.unwrap_err();
        assert!(refusal(&error).is_none());
        let text = describe(error).to_string();
        assert!(!text.contains("MARK") && text.contains("refused"), "{text}");
    }

    #[test]
    fn clients_are_built_without_anything_of_the_system() {
        api_client(Duration::from_secs(1), Surroundings::Loopback).unwrap();
        install_crypto();
        install_crypto();
    }
}
