//! Names become addresses here, and only allowed ones come out, so that no name can rebind to a forbidden address
//! between the check and the connection.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{
    policy::{Policy, Refusal},
    proxy,
};

/// The names of the proxies that the environment sets. The operator chose them, so their addresses are not judged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProxyHosts(BTreeSet<String>);

impl ProxyHosts {
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// From the variables that the HTTP library reads.
    pub(super) fn from_environment() -> Self {
        Self::from_values(proxy::variables().filter_map(|name| std::env::var(name).ok()))
    }

    fn from_values(values: impl Iterator<Item = String>) -> Self {
        let host = |value: String| {
            let value = value.trim();
            let with_scheme = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
            match Url::parse(&with_scheme).ok()?.host()? {
                Host::Domain(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
                // A literal is never resolved.
                Host::Ipv4(_) | Host::Ipv6(_) => None,
            }
        };
        Self(values.filter_map(host).collect())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains(name.trim_end_matches('.').to_ascii_lowercase().as_str())
    }
}

/// Resolves through the system and keeps what the policy allows.
pub(super) struct Resolver {
    policy: Arc<Policy>,
    proxies: ProxyHosts,
}

impl Resolver {
    pub(super) fn new(policy: Arc<Policy>, proxies: ProxyHosts) -> Self {
        Self { policy, proxies }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        let is_proxy = self.proxies.contains(name.as_str());
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> =
                if is_proxy { found.collect() } else { allowed(&policy, name.as_str(), found)? };
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// The addresses that may be connected to, in their order. A name without any address yields none, which the
/// connector reports.
fn allowed(policy: &Policy, host: &str, found: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Refusal> {
    let mut refused: Option<IpAddr> = None;
    let mut kept = Vec::new();
    for address in found {
        if policy.check_ip(address.ip()).is_ok() {
            kept.push(address);
        } else {
            refused.get_or_insert(address.ip());
        }
    }
    match refused {
        Some(address) if kept.is_empty() => Err(Refusal::Name { host: host.to_owned(), address }),
        _ => Ok(kept),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(networks: &[&str]) -> Policy {
        crate::egress::policy::tests::policy(&[], networks, true)
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|t| SocketAddr::new(t.parse().unwrap(), 0)).collect()
    }

    #[tokio::test]
    async fn a_loopback_name_is_refused_unless_its_network_is_allowed() {
        let closed = Resolver::new(Arc::new(policy(&[])), ProxyHosts::none());
        let Err(error) = closed.resolve("localhost".parse().unwrap()).await else {
            panic!("localhost was let through")
        };
        assert!(matches!(error.downcast_ref::<Refusal>(), Some(Refusal::Name { .. })), "{error:?}");

        let open = Resolver::new(Arc::new(policy(&["127.0.0.0/8", "::1/128"])), ProxyHosts::none());
        let Ok(found) = open.resolve("localhost".parse().unwrap()).await else { panic!("localhost was refused") };
        let found: Vec<_> = found.collect();
        assert!(!found.is_empty() && found.iter().all(|a| a.ip().is_loopback()), "{found:?}");
    }

    #[tokio::test]
    async fn the_proxy_of_the_environment_may_have_any_address() {
        let proxies = ProxyHosts::from_values(["http://u:p@localhost:3128".to_owned()].into_iter());
        let resolver = Resolver::new(Arc::new(policy(&[])), proxies);
        assert!(resolver.resolve("localhost".parse().unwrap()).await.is_ok());
    }

    #[test]
    fn of_a_name_with_both_kinds_only_the_allowed_addresses_remain() {
        let found = addresses(&["10.0.0.1", "8.8.8.8", "::1", "2400:3200::1"]);
        let kept = allowed(&policy(&[]), "x", found.into_iter()).unwrap();
        assert_eq!(kept, addresses(&["8.8.8.8", "2400:3200::1"]));
    }

    #[test]
    fn a_name_with_nothing_allowed_names_its_first_address() {
        let found = addresses(&["169.254.169.254", "10.0.0.1"]);
        let refusal = allowed(&policy(&["0.0.0.0/8"]), "x.example", found.into_iter()).unwrap_err();
        let text = refusal.to_string();
        assert!(text.contains("x.example") && text.contains("169.254.169.254") && text.contains("metadata"), "{text}");
        assert_eq!(allowed(&policy(&[]), "x", std::iter::empty()).unwrap(), Vec::new());
    }

    #[test]
    fn proxy_variables_are_read_with_and_without_a_scheme() {
        let values = ["http://Proxy.corp.:3128", "other:8080", "10.0.0.1:3128", "", "http://[::1]:1"];
        let hosts = ProxyHosts::from_values(values.into_iter().map(str::to_owned));
        assert!(hosts.contains("proxy.corp") && hosts.contains("PROXY.corp.") && hosts.contains("other"));
        assert_eq!(hosts.0.len(), 2, "{hosts:?}");
    }
}
