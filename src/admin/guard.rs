//! Who may ask: a browser may be made to ask by any web page, whose own name then points here. Such a request has that
//! name in its `Host`, and is answered with 421 before anything is looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use axum::http::{HeaderMap, HeaderValue, Uri, Version, header, uri::Authority};

/// What every answer carries: nothing but what comes from here is loaded or run, and nobody keeps or frames it.
pub(super) const HEADERS: [(header::HeaderName, HeaderValue); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
             frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
    ),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// What a request's `Host` is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// One that is served.
    Here,
    /// Any other: 421.
    Elsewhere,
    /// None where there has to be one, several, or none that can be read: 400.
    Unclear,
}

/// Judges a request that came in at the address `local`. Ports are not compared: behind a tunnel they differ, and no name
/// becomes another by its port. HTTP/1.0 without a `Host` is what simple probers send, and no browser.
pub(super) fn judge(version: Version, uri: &Uri, headers: &HeaderMap, local: SocketAddr, hosts: &[String]) -> Asked {
    let mut found = headers.get_all(header::HOST).iter();
    let host = match (found.next(), found.next()) {
        (None, _) if version == Version::HTTP_10 && uri.authority().is_none() => return Asked::Here,
        (Some(host), None) => host,
        _ => return Asked::Unclear,
    };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return Asked::Unclear };
    // A request line may name a host too, and then it is the one that counts; here both have to be right.
    let is_here = std::iter::once(&host).chain(uri.authority()).all(|named| is_here(named, local, hosts));
    if is_here { Asked::Here } else { Asked::Elsewhere }
}

fn is_here(named: &Authority, local: SocketAddr, hosts: &[String]) -> bool {
    if named.as_str().contains('@') {
        return false;
    }
    let name = named.host().trim_end_matches('.').to_ascii_lowercase();
    if name == "localhost" || hosts.contains(&name) {
        return true;
    }
    let Some(address) = literal(&name) else { return false };
    address == local.ip().to_canonical() || hosts.iter().any(|host| literal(host) == Some(address))
}

/// The address that a host is, in whatever spelling: one of IPv6 stands in brackets, as in a URL.
fn literal(host: &str) -> Option<IpAddr> {
    let address = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?.into(),
        None => IpAddr::from(host.parse::<Ipv4Addr>().ok()?),
    };
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{Config, Environment};

    /// Hosts as they are configured.
    fn configured(hosts: &str) -> Vec<String> {
        let text = format!("[http]\nhosts = {hosts}\n[[account]]\n");
        Config::parse(&text, Path::new("c.toml"), &Environment::empty()).unwrap().http.unwrap().hosts
    }

    fn judged(version: Version, uri: &str, host: &[&str]) -> Asked {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        let hosts = ["status.example.com".to_owned(), "[fd00::1]".to_owned(), "10.0.0.9".to_owned()];
        judge(version, &uri.parse().unwrap(), &headers, "[::ffff:10.0.0.5]:9469".parse().unwrap(), &hosts)
    }

    #[test]
    fn only_the_address_localhost_and_the_configured_hosts_are_here() {
        for here in [
            "10.0.0.5:9469",
            "10.0.0.5",
            "10.0.0.5:8080",
            "[::ffff:10.0.0.5]:9469",
            "localhost",
            "LOCALHOST:1",
            "localhost.",
            "Status.Example.com:9469",
            "[fd00::1]",
            "10.0.0.9",
        ] {
            assert_eq!(judged(Version::HTTP_11, "/", &[here]), Asked::Here, "{here}");
        }
        for elsewhere in [
            "evil.example",
            "evil.example:9469",
            "localhost.evil.example",
            "status.example.com.evil.example",
            "10.0.0.6:9469",
            "127.0.0.1:9469",
            "[::1]:9469",
            "x@localhost",
            "0.0.0.0",
        ] {
            assert_eq!(judged(Version::HTTP_11, "/", &[elsewhere]), Asked::Elsewhere, "{elsewhere}");
        }
    }

    #[test]
    fn an_address_is_the_same_however_it_is_spelled_and_no_other() {
        let judged = |hosts: &[String], host: &str| {
            let mut headers = HeaderMap::new();
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
            judge(Version::HTTP_11, &Uri::from_static("/"), &headers, "127.0.0.1:9469".parse().unwrap(), hosts)
        };
        for hosts in ["['fd00::1']", "['[FD00:0::1]']", "['[fd00:0000:0:0:0:0:0:1]', 'status.example.com']"] {
            let hosts = configured(hosts);
            for here in ["[fd00::1]", "[FD00:0::1]:9469", "[fd00:0:0:0:0:0:0:1]", "[fd00::0.0.0.1]"] {
                assert_eq!(judged(&hosts, here), Asked::Here, "{here} with {hosts:?}");
            }
            for elsewhere in
                ["[fd00::2]", "[fd00::1%25eth0]", "[::1]", "[10.0.0.9]", "fd00", "0.0.0.1", "fd00--1.example"]
            {
                assert_eq!(judged(&hosts, elsewhere), Asked::Elsewhere, "{elsewhere} with {hosts:?}");
            }
        }
        for hosts in ["['10.0.0.9']", "['::ffff:10.0.0.9']", "['[::FFFF:a00:9]']"] {
            let hosts = configured(hosts);
            for here in ["10.0.0.9:80", "[::ffff:10.0.0.9]", "[::ffff:a00:9]:1"] {
                assert_eq!(judged(&hosts, here), Asked::Here, "{here} with {hosts:?}");
            }
            for elsewhere in ["10.0.0.8", "[10.0.0.9]", "010.0.0.9", "167772169", "0xa000009", "10.0.0.9.example"] {
                assert_eq!(judged(&hosts, elsewhere), Asked::Elsewhere, "{elsewhere} with {hosts:?}");
            }
        }
    }

    #[test]
    fn a_request_without_one_clear_host_is_none_but_that_of_a_simple_prober() {
        assert_eq!(judged(Version::HTTP_10, "/livez", &[]), Asked::Here);
        assert_eq!(judged(Version::HTTP_10, "/livez", &["evil.example"]), Asked::Elsewhere);
        for unclear in [&[][..], &["localhost", "evil.example"], &["local host"], &[""]] {
            assert_eq!(judged(Version::HTTP_11, "/", unclear), Asked::Unclear, "{unclear:?}");
        }
    }

    #[test]
    fn a_host_in_the_request_line_has_to_be_right_as_well() {
        assert_eq!(judged(Version::HTTP_11, "http://localhost:9469/", &["localhost"]), Asked::Here);
        assert_eq!(judged(Version::HTTP_11, "http://evil.example/", &["localhost"]), Asked::Elsewhere);
        assert_eq!(judged(Version::HTTP_11, "http://localhost/", &["evil.example"]), Asked::Elsewhere);
    }
}
