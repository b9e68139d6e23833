//! What a transport error comes of, for people. The libraries' own words say `UnknownIssuer` and `tunnel error:
//! unsuccessful`; whoever reads them at night needs to know whose certificate, which proxy, and what to do.

use std::{error::Error, fmt, io};

use jiff::Timestamp;
use rustls::{CertificateError, Error as TlsError, pki_types::UnixTime};
use url::Url;

use super::network::{Use, Via};

/// As many of a certificate's names are shown; what shows it may be anybody.
const NAMES_MAX: usize = 3;

/// The text of a transport error, without its link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// A fragment: what is wrong, and why.
    pub what: String,
    /// The end of a text, `; do this`, where something better can be said than that it cannot be reached.
    pub advice: Option<&'static str>,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.what, self.advice.unwrap_or_default())
    }
}

impl Trouble {
    fn new(what: impl Into<String>, advice: &'static str) -> Self {
        Self { what: what.into(), advice: Some(advice) }
    }
}

/// Says what a transport error comes of, without its link, whose query may be a secret.
#[must_use]
pub fn describe(error: reqwest::Error) -> Trouble {
    describe_via(error, &Via::Environment, Use::Gateway)
}

/// The same of a client that takes this way.
pub(super) fn describe_via(error: reqwest::Error, via: &Via, used: Use) -> Trouble {
    let url = error.url().cloned();
    let error = error.without_url();
    let tls = chain(&error).find_map(|e| e.downcast_ref::<TlsError>()).map(of_tls);
    if let Some(url) = url.filter(|_| error.is_connect())
        && let Some(trouble) = of_proxy(&error, &url, tls.as_ref(), (via, used))
    {
        return trouble;
    }
    tls.unwrap_or_else(|| Trouble { what: joined(chain(&error)), advice: None })
}

/// What a handshake failed of.
fn of_tls(error: &TlsError) -> Trouble {
    match error {
        TlsError::InvalidCertificate(error) => of_certificate(error),
        TlsError::InvalidMessage(_) => Trouble::new(
            "what answers there does not speak TLS",
            "; check the port, and whether something in between answers instead",
        ),
        TlsError::PeerIncompatible(_) | TlsError::AlertReceived(_) => {
            Trouble::new(format!("no agreement on TLS ({error})"), "; the other side must know TLS 1.2 or 1.3")
        }
        _ => Trouble { what: error.to_string(), advice: None },
    }
}

fn of_certificate(error: &CertificateError) -> Trouble {
    const RENEW: &str = "; it must be renewed there, unless this machine's clock is wrong";
    const CLOCK: &str = "; check this machine's clock";
    const NAME: &str = "; something else answers there: check the name, DNS and the proxy";
    const ROOTS: &str = "; if it is a private one, name its file in tls.ca_file, or add it to the system's CA certificates \
                         (or to those that SSL_CERT_FILE names)";
    match error {
        CertificateError::Expired => Trouble::new("the certificate expired", RENEW),
        CertificateError::ExpiredContext { not_after, .. } => {
            Trouble::new(format!("the certificate expired on {}", date(*not_after)), RENEW)
        }
        CertificateError::NotValidYet => Trouble::new("the certificate is not valid yet", CLOCK),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Trouble::new(format!("the certificate is not valid before {}", date(*not_before)), CLOCK)
        }
        CertificateError::NotValidForName => Trouble::new("the certificate is for another name", NAME),
        CertificateError::NotValidForNameContext { expected, presented } => {
            Trouble::new(format!("the certificate is for {}, not for {}", names(presented), expected.to_str()), NAME)
        }
        CertificateError::UnknownIssuer => {
            Trouble::new("the certificate is signed by an authority that is not known here", ROOTS)
        }
        _ => Trouble::new(format!("the certificate is not valid: {error}"), NAME),
    }
}

/// The library gives them as `DnsName("files.example.com")`.
fn names(presented: &[String]) -> String {
    let plain = |name: &String| match name.split_once("(\"").and_then(|(_, rest)| rest.strip_suffix("\")")) {
        Some(inner) => inner.to_owned(),
        None => name.clone(),
    };
    match presented.len() {
        0 => "no name at all".to_owned(),
        n => {
            let shown: Vec<_> = presented.iter().take(NAMES_MAX).map(plain).collect();
            format!("{}{}", shown.join(", "), if n > NAMES_MAX { " and others" } else { "" })
        }
    }
}

fn date(at: UnixTime) -> String {
    let at = i64::try_from(at.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok());
    at.map_or_else(|| "a day beyond all calendars".to_owned(), |at| at.to_string())
}

/// Where a proxy is named, and where its user: the ends of texts.
const fn places(via: &Via, used: Use) -> (&'static str, &'static str) {
    match (via, used) {
        (Via::Environment | Via::Direct, _) => (
            "; check HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY",
            "; they stand before the proxy's host in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY",
        ),
        (Via::Proxy { .. }, Use::Gateway) => {
            ("; check gateway.proxy", "; they stand in the file that gateway.proxy_credentials_file names")
        }
        (Via::Proxy { .. }, Use::Download) => {
            ("; check download.proxy", "; they stand in the file that download.proxy_credentials_file names")
        }
    }
}

/// What goes wrong on the way to the proxy, or is its answer. Named without its user and password.
fn of_proxy(error: &reqwest::Error, url: &Url, tls: Option<&Trouble>, (via, used): (&Via, Use)) -> Option<Trouble> {
    let (check, login) = places(via, used);
    // The type is not public; nothing else of the chain begins like this.
    let tunnel = chain(error).position(|e| e.to_string().starts_with("tunnel error: "));
    // Plain http goes without a tunnel: who cannot be connected to is then the proxy.
    if tunnel.is_none() && url.scheme() != "http" {
        return None;
    }
    let proxy = via.proxy_of(url)?;
    if let Some(tls) = tls {
        return Some(Trouble { what: format!("the proxy {proxy}: {}", tls.what), advice: tls.advice });
    }
    let Some(tunnel) = tunnel else {
        return Some(Trouble::new(format!("the proxy {proxy} cannot be reached: {}", joined(chain(error))), check));
    };
    let causes = joined(chain(error).skip(tunnel + 1));
    let word = chain(error).nth(tunnel).map(ToString::to_string).unwrap_or_default();
    Some(match word.trim_start_matches("tunnel error: ") {
        "proxy authorization required" => {
            Trouble::new(format!("the proxy {proxy} wants a user name and a password, or others (407)"), login)
        }
        "unsuccessful" => Trouble::new(format!("the proxy {proxy} refuses to connect there"), check),
        _ if !causes.is_empty() => Trouble::new(format!("the proxy {proxy} cannot be reached: {causes}"), check),
        other => Trouble::new(format!("the proxy {proxy} does not answer as a proxy does: {other}"), check),
    })
}

/// The texts of a chain, once each: many layers repeat the text of what they wrap.
fn joined<'a>(chain: impl Iterator<Item = &'a (dyn Error + 'static)>) -> String {
    let mut text = String::new();
    for cause in chain {
        let part = cause.to_string();
        if text.ends_with(&part) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&part);
    }
    text
}

/// The error and its causes; at most 16, more than any library nests, so that a chain that bites its tail ends.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |e: &&'a (dyn Error + 'static)| {
        let e: &'a (dyn Error + 'static) = *e;
        // What an I/O error wraps is not its source, although it speaks with that one's words.
        match e.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => e.source(),
        }
    })
    .take(16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_certificate_are_shown_plainly_and_few() {
        let presented: Vec<String> =
            ["DnsName(\"a.example\")", "IpAddress(1.2.3.4)", "DnsName(\"*.b\")", "x"].map(str::to_owned).to_vec();
        assert_eq!(names(&presented[..1]), "a.example");
        assert_eq!(names(&presented), "a.example, IpAddress(1.2.3.4), *.b and others");
        assert_eq!(names(&[]), "no name at all");
    }

    #[test]
    fn what_an_io_error_wraps_is_part_of_the_chain() {
        let wrapped = io::Error::other(TlsError::InvalidCertificate(CertificateError::UnknownIssuer));
        let found = chain(&wrapped).find_map(|e| e.downcast_ref::<TlsError>()).map(of_tls).unwrap();
        assert!(found.to_string().contains("SSL_CERT_FILE"), "{found}");
    }
}
