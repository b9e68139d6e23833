//! Keys from an address that answers with them, as `ALIBABA_CLOUD_CREDENTIALS_URI` names it.

use url::{Host, Url};

use super::{
    CredentialsError, Kind,
    answer::{self, Issued},
    plan::{Address, Recipe, incomplete},
    sts::{self, Http},
};
use crate::config::Environment;

const VARIABLE: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

/// What the chain says of it when there is nothing.
pub(super) const LOOKED_FOR: &str = "a credentials URI (ALIBABA_CLOUD_CREDENTIALS_URI, not set)";

/// The URI of the environment, for the chain.
pub(super) fn of_environment(env: &Environment) -> Result<Option<Recipe>, CredentialsError> {
    env.text(VARIABLE).map(|text| parse(&text, VARIABLE)).transpose()
}

/// The configured URI, else that of the environment.
pub(super) fn recipe(configured: Option<&Url>, env: &Environment) -> Result<Recipe, CredentialsError> {
    match configured {
        Some(url) => Ok(Recipe::Uri(Address(url.clone()))),
        None => of_environment(env)?.ok_or_else(|| {
            incomplete(format!(
                "source = \"uri\" has no URI: set {VARIABLE} in the environment, or uri in [account.credentials]"
            ))
        }),
    }
}

/// Reads a URI without repeating it: its query may be a secret.
pub(super) fn parse(text: &str, name: &str) -> Result<Recipe, CredentialsError> {
    let wrong = |why: &str| CredentialsError::new(Kind::Unreadable, format!("{name} {why}"));
    let url = Url::parse(text.trim()).map_err(|e| wrong(&format!("is not a URL ({e})")))?;
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(Recipe::Uri(Address(url))),
        ("http", Some(host)) if is_loopback(&host) => Ok(Recipe::Uri(Address(url))),
        ("http", Some(_)) => Err(wrong(
            "is plain http to another machine, where anybody on the way could read the keys; allowed: https://, or http:// \
             to a loopback address",
        )),
        _ => Err(wrong("is neither https nor http")),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Asks for keys.
pub(super) async fn fetch(address: &Address, http: &Http) -> Result<Issued, CredentialsError> {
    let what = format!("the credentials URI at {address}");
    // What is on this machine is not reached through a proxy.
    let client = if address.0.scheme() == "http" { &http.local } else { &http.api };
    // Built this way, a user name and a password of the URI become the header that they stand for.
    let request = client.get(address.0.clone()).build().map_err(|e| {
        CredentialsError::new(Kind::Unreadable, format!("{what} cannot be asked: {}", client.describe(e)))
    })?;
    let got = sts::exchange(client, request, sts::TIMEOUT, &what).await?;
    if got.status != 200 {
        return Err(got.refused(&what, "; check the program that answers there"));
    }
    answer::issued(&got, &what)
}
