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
mod internal;
mod network;
mod policy;
mod proxy;
mod resolver;
mod trouble;

use std::{fmt, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};
use secrecy::ExposeSecret as _;
use url::Url;

use self::{network::Use, resolver::Resolver, trouble::chain};
pub use self::{
    network::{Authorities, Login, Network, Via},
    policy::{Policy, Refusal},
    trouble::{Trouble, describe},
};

/// How this program introduces itself.
const USER_AGENT: &str = concat!("cdn-usaged/", env!("CARGO_PKG_VERSION"));

/// Until a connection to a file's host stands, names and TLS included. The official OSS client waits as long.
const DOWNLOAD_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Idle connections are dropped after this long: below the idle limits that are usual for load balancers, so that a
/// request seldom meets a connection that the other side has just closed.
const POOL_IDLE: Duration = Duration::from_secs(50);

/// What a client takes from the machine that it runs on.
#[derive(Debug, Clone, PartialEq)]
pub enum Surroundings {
    /// The trust roots of the system, and what is configured beside them; proxies as configured.
    System(Box<Network>),
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
    /// The configured authorities.
    #[error("tls.ca_file: {} {what}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
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
pub fn api_client(connect_timeout: Duration, surroundings: &Surroundings) -> Result<Api, EgressError> {
    let builder = builder(surroundings, Use::Gateway)?.connect_timeout(connect_timeout);
    let client = builder.build().map_err(|e| EgressError::Client(describe(e)))?;
    Ok(Api { client, via: surroundings.via(Use::Gateway) })
}

/// The client for signed calls, which knows the way that it takes.
#[derive(Clone)]
pub struct Api {
    client: Client,
    via: Via,
}

impl Api {
    /// Says what a transport error of this client comes of, as [`describe`] does.
    #[must_use]
    pub fn describe(&self, error: reqwest::Error) -> Trouble {
        trouble::describe_via(error, &self.via, Use::Gateway)
    }
}

impl Deref for Api {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl From<Client> for Api {
    /// A client that takes the proxies of the environment, if any.
    fn from(client: Client) -> Self {
        Self { client, via: Via::Environment }
    }
}

impl fmt::Debug for Api {
    /// Without the client, which may know a proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("via", &self.via).finish_non_exhaustive()
    }
}

impl Surroundings {
    /// The proxies of the environment and the trust roots of the system, as without any configuration.
    #[must_use]
    pub fn system() -> Self {
        Self::System(Box::default())
    }

    fn via(&self, used: Use) -> Via {
        match self {
            Self::System(network) => network.via(used).clone(),
            Self::Loopback => Via::Direct,
        }
    }
}

/// The client for what hands out keys on this very machine: the metadata service and credentials URIs on loopback. It
/// never goes through a proxy, which would get to see the keys, and knows no roots, since it speaks plain http.
///
/// # Errors
/// When it cannot be built.
pub fn local_client(connect_timeout: Duration) -> Result<Api, EgressError> {
    let client = builder(&Surroundings::Loopback, Use::Gateway)?
        .connect_timeout(connect_timeout)
        // Asked once an hour: a connection that is kept is of no use.
        .pool_max_idle_per_host(0)
        .build()
        .map_err(|e| EgressError::Client(describe(e)))?;
    Ok(Api { client, via: Via::Direct })
}

#[expect(clippy::disallowed_methods, reason = "this is the door")]
fn builder(surroundings: &Surroundings, used: Use) -> Result<ClientBuilder, EgressError> {
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
        Surroundings::System(network) => on_its_way(builder, network, used),
        Surroundings::Loopback => Ok(builder.no_proxy().tls_certs_only([])),
    }
}

/// Sends a client the way that is configured.
fn on_its_way(builder: ClientBuilder, network: &Network, used: Use) -> Result<ClientBuilder, EgressError> {
    let failed = |e: reqwest::Error| EgressError::Client(describe(e));
    let builder = builder.tls_certs_merge(network.authorities.certificates().map_err(failed)?);
    match network.via(used) {
        Via::Environment => proxy::check_environment().map(|()| builder),
        Via::Direct => Ok(builder.no_proxy()),
        Via::Proxy { url, login } => {
            let mut proxy = reqwest::Proxy::all(url.clone()).map_err(failed)?;
            if let Some(Login { user, password }) = login {
                proxy = proxy.basic_auth(user, password.expose_secret());
            }
            Ok(builder.proxy(proxy))
        }
    }
}

/// The client for files, inseparable from its policy.
#[derive(Clone)]
pub struct Downloads {
    client: Client,
    policy: Arc<Policy>,
    via: Via,
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
    pub fn new(policy: Policy, surroundings: &Surroundings) -> Result<Self, EgressError> {
        let via = surroundings.via(Use::Download);
        let proxies = via.hosts();
        let policy = Arc::new(policy.with_proxies(&proxies));
        let client = builder(surroundings, Use::Download)?
            .connect_timeout(DOWNLOAD_CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(Resolver::new(policy.clone(), proxies)))
            .build()
            .map_err(|e| EgressError::Client(describe(e)))?;
        Ok(Self { client, policy, via })
    }

    /// A GET of `url`, if it may be reached; of its internal twin, where that is configured. An address that its name turns out to have is judged when the request is
    /// sent; [`refusal`] finds that verdict in the error.
    ///
    /// # Errors
    /// When the policy refuses the link.
    pub fn get(&self, url: &Url) -> Result<RequestBuilder, Refusal> {
        Ok(self.client.get(self.policy.target(url)?))
    }

    /// The host that is asked for the file of a link, for people.
    #[must_use]
    pub fn asked_host(&self, url: &Url) -> String {
        let host = url.host_str().unwrap_or("");
        match self.policy.twin(url) {
            Some(twin) => format!("{twin} (download.internal_endpoint)"),
            None => host.to_owned(),
        }
    }

    /// Says what a transport error of this client comes of, as [`describe`] does.
    #[must_use]
    pub fn describe(&self, error: reqwest::Error) -> Trouble {
        trouble::describe_via(error, &self.via, Use::Download)
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
    use super::{resolver::ProxyHosts, *};
    use crate::config;

    fn downloads(networks: &[&str]) -> Downloads {
        by_endpoint(networks, false)
    }

    fn by_endpoint(networks: &[&str], internal_endpoint: bool) -> Downloads {
        let config = config::Download {
            concurrency: 1,
            max_attempts: 1,
            idle_timeout: Duration::from_secs(5),
            min_rate_bytes: 1,
            max_size_bytes: 1,
            allowed_hosts: Vec::new(),
            allowed_networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
            allow_http: true,
            proxy: config::Proxy::default(),
            internal_endpoint,
        };
        Downloads::new(Policy::new(&config), &Surroundings::Loopback).unwrap()
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_refused_address_is_a_recognisable_refusal() {
        let policy = Arc::new(downloads(&[]).policy().clone());
        let client = builder(&Surroundings::Loopback, Use::Download)
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
    fn people_are_told_which_host_is_asked_and_by_which_policy() {
        let link = Url::parse("https://bucket.oss-cn-hangzhou.aliyuncs.com/x?Signature=MARK").unwrap();
        assert_eq!(downloads(&[]).asked_host(&link), "bucket.oss-cn-hangzhou.aliyuncs.com");
        assert_eq!(
            by_endpoint(&[], true).asked_host(&link),
            "bucket.oss-cn-hangzhou-internal.aliyuncs.com (download.internal_endpoint)"
        );
        assert!(format!("{:?}", downloads(&[])).starts_with("Downloads { policy: Policy { "));
    }

    #[test]
    fn clients_are_built_without_anything_of_the_system() {
        let api = api_client(Duration::from_secs(1), &Surroundings::Loopback).unwrap();
        assert_eq!(format!("{api:?}"), "Api { via: Direct, .. }");
        install_crypto();
        install_crypto();
    }
}
