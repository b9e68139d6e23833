//! A signed call of the vendor's RPC gateways, as a request: CDN and STS are called alike.

pub mod signature;

use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, USER_AGENT},
};
use url::Url;

use self::signature::EMPTY_BODY_SHA256;
use crate::clock;

/// An operation, its parameters, and where it is called.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Scheme, host and port.
    pub endpoint: &'a Url,
    /// The operation.
    pub action: &'a str,
    /// The version of the API that it belongs to.
    pub version: &'a str,
    /// Parameters as they are, not encoded, in any order.
    pub query: &'a [(&'a str, &'a str)],
}

/// What signs a call. Not for showing.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// Names the key.
    pub id: &'a str,
    /// Signs.
    pub secret: &'a str,
    /// Belongs to temporary keys.
    pub token: Option<&'a str>,
}

/// A key id or a token holds characters that no header can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the access key id or the security token holds characters that no header can carry")]
pub struct Unsendable;

/// The host and the port of an endpoint, as the header `Host` has them.
#[must_use]
pub fn host(endpoint: &Url) -> String {
    match (endpoint.host_str().unwrap_or_default(), endpoint.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    }
}

/// A request that has never been sent: date and nonce are new, and so is the signature.
///
/// # Errors
/// When a key cannot be sent.
pub fn signed(call: &Call<'_>, keys: &Keys<'_>) -> Result<reqwest::Request, Unsendable> {
    let host = host(call.endpoint);
    let date = format!("{:.0}", clock::now());
    let nonce = format!("{:032x}", rand::random::<u128>());
    let mut signed = vec![
        ("host", host.as_str()),
        ("x-acs-action", call.action),
        ("x-acs-version", call.version),
        ("x-acs-date", &date),
        ("x-acs-signature-nonce", &nonce),
        ("x-acs-content-sha256", EMPTY_BODY_SHA256),
    ];
    if let Some(token) = keys.token {
        signed.push(("x-acs-security-token", token));
        signed.push(("x-acs-accesskey-id", keys.id));
    }
    let signature = signature::sign(
        keys.id,
        keys.secret,
        &signature::Request { method: "POST", query: call.query, headers: &signed },
    );
    let mut url = call.endpoint.clone();
    url.set_path("/");
    // Only unreserved characters and escapes are in it, which the URL keeps as they are.
    url.set_query(Some(&signature.query).filter(|query| !query.is_empty()).map(String::as_str));
    let mut request = reqwest::Request::new(Method::POST, url);
    let headers = request.headers_mut();
    headers.insert(HOST, header(&host)?);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("cdn-usaged/", env!("CARGO_PKG_VERSION"))));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(AUTHORIZATION, header(&signature.authorization)?);
    for (name, value) in signed.into_iter().skip(1) {
        // What was signed is the trimmed value.
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unsendable)?, header(value.trim())?);
    }
    Ok(request)
}

fn header(value: &str) -> Result<HeaderValue, Unsendable> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Unsendable)?;
    value.set_sensitive(true);
    Ok(value)
}
