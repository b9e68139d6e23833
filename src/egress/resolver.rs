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

    pub(super) fn from_values(values: impl Iterator<Item = String>) -> Self {
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

/// Asks the system.
struct System;

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(found.collect::<Vec<_>>().into_iter()) as Addrs)
        })
    }
}

/// Asks for the addresses of a name and keeps what the policy allows. What it gives is what is connected to: nobody asks
/// again in between.
pub(super) struct Resolver {
    names: Arc<dyn Resolve>,
    policy: Arc<Policy>,
    proxies: ProxyHosts,
}

impl Resolver {
    pub(super) fn new(policy: Arc<Policy>, proxies: ProxyHosts) -> Self {
        Self { names: Arc::new(System), policy, proxies }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        if self.proxies.contains(name.as_str()) {
            return self.names.resolve(name);
        }
        let (policy, host) = (self.policy.clone(), name.as_str().to_owned());
        let found = self.names.resolve(name);
        Box::pin(async move {
            let kept = allowed(&policy, &host, found.await?)?;
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
        if policy.check_address_of(host, address.ip()).is_ok() {
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
    use std::{
        collections::VecDeque,
        io::{self, ErrorKind},
        net::TcpListener,
        sync::{Mutex, PoisonError},
        time::Duration,
    };

    use reqwest::Client;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpSocket,
    };

    use super::*;
    use crate::egress::{Surroundings, builder, network::Use, refusal};

    /// Whoever is let through to a service inside waits no longer than this.
    const DEADLINE: Duration = Duration::from_secs(5);

    /// Names whose owner says something else each time.
    struct Fickle(Mutex<VecDeque<Vec<SocketAddr>>>);

    impl Resolve for Fickle {
        fn resolve(&self, _: Name) -> Resolving {
            let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().expect("one answer more");
            Box::pin(async move { Ok(Box::new(answer.into_iter()) as Addrs) })
        }
    }

    /// A client that may reach only 127.0.0.1 of all that is inside, and asks for names where they lie.
    fn client(answers: &[&[&str]]) -> Client {
        let answers = answers.iter().map(|texts| addresses(texts)).collect();
        let names = Arc::new(Fickle(Mutex::new(answers)));
        let policy = Arc::new(policy(&["127.0.0.1/32"]));
        let resolver = Resolver { names, policy, proxies: ProxyHosts::none() };
        builder(&Surroundings::Loopback, Use::Download)
            .unwrap()
            .pool_max_idle_per_host(0)
            .timeout(DEADLINE)
            .dns_resolver(Arc::new(resolver))
            .build()
            .unwrap()
    }

    /// Something on the allowed address, and a service inside on the same port.
    fn neighbours<T>(bind: impl Fn(SocketAddr) -> io::Result<T>) -> (T, TcpListener, u16) {
        // A port that is free on one address may be taken on the other.
        for _ in 0..100 {
            let inside = TcpListener::bind("127.0.0.2:0").unwrap();
            let port = inside.local_addr().unwrap().port();
            if let Ok(allowed) = bind(([127, 0, 0, 1], port).into()) {
                inside.set_nonblocking(true).unwrap();
                return (allowed, inside, port);
            }
        }
        panic!("no port is free on both addresses");
    }

    #[track_caller]
    fn assert_untouched(listener: &TcpListener) {
        assert_eq!(listener.accept().map(|_| ()).map_err(|e| e.kind()), Err(ErrorKind::WouldBlock));
    }

    #[tokio::test]
    async fn a_name_that_means_another_address_the_second_time_is_judged_again() {
        let (allowed, inside, port) = neighbours(TcpListener::bind);
        allowed.set_nonblocking(true).unwrap();
        let url = format!("http://fickle.example:{port}/x");
        let client = client(&[&["127.0.0.1"], &["127.0.0.2"], &["169.254.169.254"]]);
        let answer = async {
            let listener = tokio::net::TcpListener::from_std(allowed).unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let head = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
            stream.write_all(head).await.unwrap();
        };
        // One answer was asked for, and the connection went to it: a second would have been the other.
        let (response, ()) = tokio::join!(client.get(&url).send(), answer);
        assert_eq!(response.unwrap().status(), 204);
        for _ in 0..2 {
            let error = client.get(&url).send().await.unwrap_err();
            assert!(matches!(refusal(&error), Some(Refusal::Name { .. })), "{error:?}");
        }
        assert_untouched(&inside);
    }

    #[tokio::test]
    async fn of_a_name_with_an_inside_address_too_only_the_allowed_one_is_tried() {
        // Taken and deaf: what is left is not a way round.
        let (_allowed, inside, port) = neighbours(|address| {
            let socket = TcpSocket::new_v4()?;
            socket.bind(address).map(|()| socket)
        });
        let client = client(&[&["127.0.0.2", "127.0.0.1", "::ffff:127.0.0.2"]]);
        let error = client.get(format!("http://fickle.example:{port}/x")).send().await.unwrap_err();
        assert!(error.is_connect() && refusal(&error).is_none(), "{error:?}");
        assert_untouched(&inside);
    }

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

    #[tokio::test]
    async fn a_name_outside_does_not_lead_in_although_internal_endpoints_are_open() {
        let answers = [&["100.64.0.1"][..]].into_iter().map(addresses).collect();
        let (names, policy) = (Arc::new(Fickle(Mutex::new(answers))), Arc::new(internal_policy()));
        let resolver = Resolver { names, policy, proxies: ProxyHosts::none() };
        let Err(error) = resolver.resolve("b.oss-cn-beijing.aliyuncs.com".parse().unwrap()).await else {
            panic!("an address inside was let through")
        };
        assert!(matches!(error.downcast_ref::<Refusal>(), Some(Refusal::Name { .. })), "{error:?}");
    }

    #[test]
    fn an_internal_endpoint_leads_to_its_own_network_and_never_to_metadata() {
        let host = "b.oss-cn-beijing-internal.aliyuncs.com";
        let found = addresses(&["100.118.28.7", "100.100.100.200", "10.0.0.1", "8.8.8.8"]);
        let kept = allowed(&internal_policy(), host, found.clone().into_iter()).unwrap();
        assert_eq!(kept, addresses(&["100.118.28.7", "8.8.8.8"]));
        // Not without the key.
        assert_eq!(allowed(&policy(&[]), host, found.into_iter()).unwrap(), addresses(&["8.8.8.8"]));
    }

    fn internal_policy() -> Policy {
        crate::egress::policy::tests::internal_policy(&[])
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
