//! Where a download may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use url::{Host, Url};

use super::{
    address::{METADATA, canonical, embedded_v4, is_global_unicast},
    internal,
    resolver::ProxyHosts,
};
use crate::config::{Download, HostRule};

/// A link, or an address that its host has, may not be reached. The text names host or address and the key that would
/// allow it, never the link.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Plain http.
    #[error("the link to {host} is plain http, which download.allow_http = true would allow")]
    PlainHttp {
        /// The link's host.
        host: String,
    },
    /// Neither http nor https.
    #[error("the link's scheme is {scheme:?}, not https")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A user name or a password in the link, which would become a header that the link was not signed with.
    #[error("the link to {host} carries a user name or a password")]
    UserInfo {
        /// The link's host.
        host: String,
    },
    /// Not among `download.allowed_hosts`.
    #[error("host {host} is not in download.allowed_hosts")]
    Host {
        /// The link's host.
        host: String,
    },
    /// An address outside public address space, or one that is never reached.
    #[error("address {address} is not public, and not in download.allowed_networks")]
    Address {
        /// The address.
        address: IpAddr,
    },
    /// A metadata service.
    #[error("address {address} is a metadata service, which is never reached")]
    Metadata {
        /// The address.
        address: IpAddr,
    },
    /// No address of a name is allowed.
    #[error("host {host} has no address that may be reached; the first is {address}: {}", why(*address))]
    Name {
        /// The name.
        host: String,
        /// The first refused address.
        address: IpAddr,
    },
    /// The link leads to the proxy itself.
    #[error("host {host} is the proxy")]
    Proxy {
        /// The link's host.
        host: String,
    },
}

fn why(address: IpAddr) -> &'static str {
    if is_metadata(address) {
        "a metadata service, which is never reached"
    } else {
        "not public, and not in download.allowed_networks"
    }
}

/// `[download]`'s rules on hosts and addresses.
#[derive(Debug, Clone)]
pub struct Policy {
    hosts: Vec<HostRule>,
    networks: Vec<IpNet>,
    allow_http: bool,
    use_internal: bool,
    proxies: ProxyHosts,
}

impl Policy {
    /// Takes the rules from the configuration.
    #[must_use]
    pub fn new(config: &Download) -> Self {
        Self {
            hosts: config.allowed_hosts.clone(),
            networks: config.allowed_networks.clone(),
            allow_http: config.allow_http,
            use_internal: config.internal_endpoint,
            proxies: ProxyHosts::none(),
        }
    }

    /// Keeps links away from the proxies, whose names are resolved without being judged.
    pub(super) fn with_proxies(mut self, proxies: &ProxyHosts) -> Self {
        self.proxies = proxies.clone();
        self
    }

    /// The host of the internal endpoint that a link is taken from instead of its own, where that is configured.
    pub(super) fn twin(&self, url: &Url) -> Option<String> {
        if self.use_internal { internal::twin(url) } else { None }
    }

    /// What is asked for a link: its internal twin where there is one, else itself.
    ///
    /// # Errors
    /// As [`Policy::check`].
    pub(super) fn target(&self, url: &Url) -> Result<Url, Refusal> {
        self.check(url)?;
        let mut target = url.clone();
        if let Some(twin) = self.twin(url) {
            target.set_host(Some(&twin)).map_err(|_| Refusal::Host { host: twin })?;
        }
        Ok(target)
    }

    /// Whether a link may be followed, as far as it can be told without resolving its name. The first link and every
    /// redirect come through here.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        let host_text = || url.host_str().unwrap_or("").to_owned();
        match url.scheme() {
            "https" => {}
            "http" if self.allow_http => {}
            "http" => return Err(Refusal::PlainHttp { host: host_text() }),
            scheme => return Err(Refusal::Scheme { scheme: scheme.to_owned() }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo { host: host_text() });
        }
        let Some(host) = url.host() else { return Err(Refusal::Host { host: String::new() }) };
        // Twins are one bucket under two names: whichever of them the operator wrote down is meant.
        let is_twin_listed = || self.twin(url).is_some_and(|twin| self.is_listed(&Host::Domain(&*twin)));
        if !self.is_listed(&host) && !is_twin_listed() {
            return Err(Refusal::Host { host: host_text() });
        }
        match host {
            Host::Ipv4(ip) => self.check_ip(ip.into()),
            Host::Ipv6(ip) => self.check_ip(ip.into()),
            Host::Domain(name) => self.check_name(name),
        }
    }

    /// Whether an address may be connected to: a public one, or one in `download.allowed_networks`; a metadata address
    /// never.
    ///
    /// # Errors
    /// Why not.
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Refusal> {
        if is_metadata(ip) {
            return Err(Refusal::Metadata { address: ip });
        }
        let plain = canonical(ip);
        if is_global_unicast(plain) || self.networks.iter().any(|n| n.contains(&plain) || n.contains(&ip)) {
            return Ok(());
        }
        Err(Refusal::Address { address: ip })
    }

    /// Whether an address that a name has may be connected to: as [`Policy::check_ip`], and the addresses of internal
    /// endpoints for the names of internal endpoints, where these are used.
    pub(super) fn check_address_of(&self, host: &str, ip: IpAddr) -> Result<(), Refusal> {
        let is_endpoint = self.use_internal && !is_metadata(ip) && internal::leads_to(host, ip);
        if is_endpoint { Ok(()) } else { self.check_ip(ip) }
    }

    /// A name is judged by its addresses when it is connected to. `localhost` is known beforehand, which counts where a
    /// proxy resolves the names.
    fn check_name(&self, name: &str) -> Result<(), Refusal> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if self.proxies.contains(name) {
            return Err(Refusal::Proxy { host: name.to_owned() });
        }
        if name == "localhost" || name.ends_with(".localhost") {
            return self
                .check_ip(Ipv4Addr::LOCALHOST.into())
                .or_else(|refusal| self.check_ip(Ipv6Addr::LOCALHOST.into()).map_err(|_| refusal));
        }
        Ok(())
    }

    fn is_listed(&self, host: &Host<&str>) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let text = match host {
            Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        };
        self.hosts.iter().any(|rule| match rule {
            HostRule::Exact(exact) => exact.trim_start_matches('[').trim_end_matches(']') == text,
            HostRule::Suffix(suffix) => {
                matches!(host, Host::Domain(_)) && text.len() > suffix.len() && text.ends_with(suffix.as_str())
            }
        })
    }
}

/// Whether an address is, or leads on to, a metadata service.
fn is_metadata(ip: IpAddr) -> bool {
    METADATA.contains(&ip)
        || matches!(ip, IpAddr::V6(v6) if embedded_v4(v6).is_some_and(|v4| METADATA.contains(&v4.into())))
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Proxy;

    pub(in crate::egress) fn policy(hosts: &[HostRule], networks: &[&str], allow_http: bool) -> Policy {
        Policy::new(&download(hosts, networks, allow_http))
    }

    /// One that takes links to the object store from inside.
    pub(in crate::egress) fn internal_policy(hosts: &[HostRule]) -> Policy {
        Policy::new(&Download { internal_endpoint: true, ..download(hosts, &[], false) })
    }

    fn download(hosts: &[HostRule], networks: &[&str], allow_http: bool) -> Download {
        Download {
            concurrency: 1,
            max_attempts: 1,
            idle_timeout: Duration::from_secs(1),
            min_rate_bytes: 1,
            max_size_bytes: 1,
            allowed_hosts: hosts.to_vec(),
            allowed_networks: networks.iter().map(|n| n.parse().unwrap()).collect(),
            allow_http,
            proxy: Proxy::default(),
            internal_endpoint: false,
        }
    }

    fn check(policy: &Policy, url: &str) -> Result<(), Refusal> {
        policy.check(&Url::parse(url).unwrap())
    }

    #[test]
    fn any_public_host_may_be_reached_over_https() {
        let p = policy(&[], &[], false);
        for url in
            ["https://b.oss-cn-beijing.aliyuncs.com/x?Signature=1", "https://8.8.8.8/", "https://[2400:3200::1]/"]
        {
            check(&p, url).unwrap();
        }
        assert!(matches!(check(&p, "http://example.com/"), Err(Refusal::PlainHttp { .. })));
        assert!(matches!(check(&p, "ftp://example.com/"), Err(Refusal::Scheme { .. })));
        check(&policy(&[], &[], true), "http://example.com/").unwrap();
    }

    #[test]
    fn a_private_address_is_refused_however_it_is_spelled() {
        let p = policy(&[], &[], true);
        for host in [
            "127.0.0.1",
            "127.0.0.1.",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "①②⑦.0.0.1",
            "%31%32%37.0.0.1",
            "0",
            "10.1.2.3",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::10.0.0.1]",
            "[2002:a00:1::]",
            "[fe80::1]",
            "[fd00::1]",
        ] {
            for scheme in ["http", "https"] {
                let verdict = check(&p, &format!("{scheme}://{host}/x"));
                assert!(matches!(verdict, Err(Refusal::Address { .. })), "{host}: {verdict:?}");
            }
        }
    }

    #[test]
    fn an_allowed_network_opens_exactly_itself() {
        let p = policy(&[], &["10.0.0.0/8", "fd00::/8"], false);
        for host in ["10.1.2.3", "[::ffff:10.1.2.3]", "[fd12::1]"] {
            check(&p, &format!("https://{host}/")).unwrap();
        }
        for host in ["11.0.0.1", "8.8.8.8"] {
            check(&p, &format!("https://{host}/")).unwrap();
        }
        for host in ["127.0.0.1", "192.168.0.1", "[fe80::1]", "[64:ff9b::10.1.2.3]"] {
            assert!(check(&p, &format!("https://{host}/")).is_err(), "{host}");
        }
    }

    #[test]
    fn a_metadata_address_is_refused_although_a_network_covers_it() {
        let p = policy(&[], &["0.0.0.0/0", "::/0"], true);
        check(&p, "http://127.0.0.1/").unwrap();
        for host in [
            "100.100.100.200",
            "169.254.169.254",
            "169.254.169.254.",
            "0xa9fea9fe",
            "2852039166",
            "0251.0376.0251.0376",
            "0x64.0144.25800",
            "１６９.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "169.254.0.23",
            "192.0.0.192",
            "168.63.129.16",
            "[::ffff:169.254.169.254]",
            "[::ffff:100.100.100.200]",
            "[::100.100.100.200]",
            "[64:ff9b::100.100.100.200]",
            "[64:ff9b:1::100.100.100.200]",
            "[2002:a9fe:a9fe::]",
            "[2001:0:808:808:0:0:9b9b:9b37]",
            "[::ffff:0:169.254.169.254]",
            "[fd00:ec2::254]",
            "[fd00:ec2::23]",
            "[fd20:ce::254]",
        ] {
            let verdict = check(&p, &format!("http://{host}/latest/meta-data/"));
            assert!(matches!(verdict, Err(Refusal::Metadata { .. })), "{host}: {verdict:?}");
        }
    }

    #[test]
    fn a_list_of_hosts_lets_in_only_what_it_names_and_opens_no_address() {
        let rules = [
            HostRule::Exact("files.example.com".to_owned()),
            HostRule::Suffix(".aliyuncs.com".to_owned()),
            HostRule::Exact("10.0.0.1".to_owned()),
            HostRule::Exact("8.8.8.8".to_owned()),
        ];
        let p = policy(&rules, &[], false);
        for host in ["files.example.com", "FILES.example.com.", "a.b.aliyuncs.com", "8.8.8.8"] {
            check(&p, &format!("https://{host}/")).unwrap();
        }
        for host in
            ["example.com", "x.files.example.com", "aliyuncs.com", "notaliyuncs.com", "aliyuncs.com.evil.example"]
        {
            assert!(matches!(check(&p, &format!("https://{host}/")), Err(Refusal::Host { .. })), "{host}");
        }
        assert!(matches!(check(&p, "https://10.0.0.1/"), Err(Refusal::Address { .. })));
        assert!(matches!(check(&p, "https://1.1.1.1/"), Err(Refusal::Host { .. })));
    }

    #[test]
    fn a_link_to_the_object_store_is_taken_from_inside_only_where_that_is_configured() {
        let link = Url::parse("https://b.oss-cn-beijing.aliyuncs.com:444/x%2Fy?Expires=1&Signature=a%2Bb").unwrap();
        assert_eq!(policy(&[], &[], false).target(&link).unwrap(), link);
        let target = internal_policy(&[]).target(&link).unwrap();
        assert_eq!(
            target.as_str(),
            "https://b.oss-cn-beijing-internal.aliyuncs.com:444/x%2Fy?Expires=1&Signature=a%2Bb"
        );
        // What is no endpoint of the object store stays where it is, and no network is opened for it.
        for link in ["https://files.example.com/x", "https://b.oss-accelerate.aliyuncs.com/x", "https://8.8.8.8/x"] {
            let link = Url::parse(link).unwrap();
            assert_eq!(internal_policy(&[]).target(&link).unwrap(), link);
        }
        for link in ["https://100.64.0.1/x", "https://100.100.100.200/x", "http://b.oss-cn-beijing.aliyuncs.com/x"] {
            assert!(internal_policy(&[]).target(&Url::parse(link).unwrap()).is_err(), "{link}");
        }
    }

    #[test]
    fn a_list_of_hosts_may_name_either_twin() {
        let link = "https://b.oss-cn-beijing.aliyuncs.com/x";
        for rule in [
            HostRule::Exact("b.oss-cn-beijing.aliyuncs.com".to_owned()),
            HostRule::Exact("b.oss-cn-beijing-internal.aliyuncs.com".to_owned()),
            HostRule::Suffix(".oss-cn-beijing-internal.aliyuncs.com".to_owned()),
            HostRule::Suffix(".aliyuncs.com".to_owned()),
        ] {
            check(&internal_policy(std::slice::from_ref(&rule)), link).unwrap();
        }
        for rule in ["c.oss-cn-beijing.aliyuncs.com", "c.oss-cn-beijing-internal.aliyuncs.com", "files.example.com"] {
            let verdict = check(&internal_policy(&[HostRule::Exact(rule.to_owned())]), link);
            assert!(matches!(verdict, Err(Refusal::Host { .. })), "{rule}: {verdict:?}");
        }
        let twin = HostRule::Exact("b.oss-cn-beijing-internal.aliyuncs.com".to_owned());
        assert!(check(&policy(&[twin], &[], false), link).is_err());
    }

    #[test]
    fn the_addresses_of_internal_endpoints_are_open_to_their_names_alone() {
        let (p, inside) = (internal_policy(&[]), "100.64.0.1".parse().unwrap());
        p.check_address_of("b.oss-cn-beijing-internal.aliyuncs.com", inside).unwrap();
        for host in ["b.oss-cn-beijing.aliyuncs.com", "internal.aliyuncs.com", "files.example.com"] {
            assert!(matches!(p.check_address_of(host, inside), Err(Refusal::Address { .. })), "{host}");
        }
        for address in ["100.100.100.200", "::ffff:100.100.100.200", "169.254.169.254", "64:ff9b::100.100.100.200"] {
            let verdict = p.check_address_of("b.oss-cn-beijing-internal.aliyuncs.com", address.parse().unwrap());
            assert!(matches!(verdict, Err(Refusal::Metadata { .. })), "{address}: {verdict:?}");
        }
        assert!(policy(&[], &[], false).check_address_of("b.oss-cn-beijing-internal.aliyuncs.com", inside).is_err());
        assert!(p.check_ip(inside).is_err());
    }

    #[test]
    fn localhost_is_an_address_in_disguise() {
        let closed = policy(&[], &[], true);
        let open = policy(&[], &["127.0.0.0/8"], true);
        for host in ["localhost", "LOCALHOST", "localhost.", "x.localhost"] {
            assert!(matches!(check(&closed, &format!("http://{host}/")), Err(Refusal::Address { .. })), "{host}");
            check(&open, &format!("http://{host}/")).unwrap();
        }
        check(&closed, "http://localhost.example.com/").unwrap();
    }

    #[test]
    fn a_link_to_the_proxy_itself_is_refused() {
        let proxies = ProxyHosts::from_values(["http://proxy.corp:3128".to_owned()].into_iter());
        let p = policy(&[], &[], true).with_proxies(&proxies);
        for host in ["proxy.corp", "PROXY.corp.", "proxy.corp:8080"] {
            assert!(matches!(check(&p, &format!("http://{host}/")), Err(Refusal::Proxy { .. })), "{host}");
        }
        check(&p, "https://files.proxy.corp/").unwrap();
    }

    #[test]
    fn user_names_and_passwords_are_refused_and_not_repeated() {
        let p = policy(&[], &[], false);
        for url in ["https://u@example.com/", "https://u:MARK@example.com/", "https://:MARK@example.com/?MARK"] {
            let text = check(&p, url).unwrap_err().to_string();
            assert!(text.contains("example.com") && !text.contains("MARK"), "{text}");
        }
    }
}
