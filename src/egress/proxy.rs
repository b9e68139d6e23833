//! The proxies of the environment, as the HTTP library reads them.

use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::EgressError;

/// The variables that name a proxy, in capitals; each may be in small letters too, and then counts less.
const NAMES: [&str; 3] = ["ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"];

/// Both spellings of the variables that name a proxy.
pub(super) fn variables() -> impl Iterator<Item = String> {
    NAMES.into_iter().flat_map(|name| [name.to_owned(), name.to_lowercase()])
}

/// The proxy that a link goes through, without its user name and password.
pub(super) fn of(url: &Url) -> Option<String> {
    let uri: Uri = url.as_str().parse().ok()?;
    let proxy = Matcher::from_env().intercept(&uri)?;
    let (scheme, host) = (proxy.uri().scheme_str()?, proxy.uri().host()?);
    Some(proxy.uri().port().map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}")))
}

/// Refuses a variable that the HTTP library would pass over in silence: whoever set it wants nothing to go past it.
pub(super) fn check_environment() -> Result<(), EgressError> {
    for name in variables() {
        if std::env::var_os(&name).is_some_and(|value| !value.to_str().is_some_and(is_usable)) {
            return Err(EgressError::Proxy { name });
        }
    }
    Ok(())
}

/// Whether a value names a proxy that can be used, or none at all.
fn is_usable(value: &str) -> bool {
    let proxy = Matcher::builder().all(value).build().intercept(&Uri::from_static("http://localhost/"));
    let is_http = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    // The matcher leaves out a port that is no number.
    value.is_empty() || proxy.is_some_and(|p| is_http(p.uri()) && Url::parse(&p.uri().to_string()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_http_or_https_with_a_host() {
        for value in ["", "http://proxy:3128", "proxy:3128", "https://u:p%40@proxy", "10.0.0.1:1", "http://[::1]:1/"] {
            assert!(is_usable(value), "{value}");
        }
        for value in ["socks5://proxy:1080", "http://", "http://u:p w@proxy", "ftp://proxy", "http://proxy:port", " "] {
            assert!(!is_usable(value), "{value}");
        }
    }
}
