//! The instance role of an ECS machine, from its metadata service, in the safer of its two ways: every request carries
//! a token that a PUT fetched, which a confused proxy or a forged link cannot do.
//!
//! The address is fixed. The configuration and the environment cannot send this program elsewhere for its keys; tests
//! hand another one to the constructor.

use std::time::Duration;

use reqwest::{
    Method, Request,
    header::{HeaderName, HeaderValue},
};
use url::Url;

use super::{
    CredentialsError, Kind,
    answer::{self, Issued},
    plan::Recipe,
    sts::{self, Got, Http},
};
use crate::config::Environment;

/// The metadata service, by the address that every machine of the vendor has for it.
pub(super) const ORIGIN: &str = "http://100.100.100.200";
/// One second to connect, one to answer: the service is on the same host.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a token of the service is good. It is used for one fetch; this is what the official SDKs ask for.
const TOKEN_TTL_SECONDS: &str = "21600";
const TTL_HEADER: &str = "x-aliyun-ecs-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aliyun-ecs-metadata-token";
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

const WHAT: &str = "the ECS metadata service (100.100.100.200)";
const ADVICE: &str =
    "; this machine must be an ECS instance with a RAM role, and its firewall must let the address through";

pub(super) fn is_disabled(env: &Environment) -> bool {
    env.flag("ALIBABA_CLOUD_ECS_METADATA_DISABLED")
}

/// What is configured, else what the environment says.
pub(super) fn recipe(
    role_name: Option<&str>,
    disable_v1: Option<bool>,
    env: &Environment,
) -> Result<Recipe, CredentialsError> {
    let role_name = role_name.map(str::to_owned).or_else(|| env.text("ALIBABA_CLOUD_ECS_METADATA"));
    if role_name.as_deref().is_some_and(|name| !is_role_name(name)) {
        let text = "ALIBABA_CLOUD_ECS_METADATA, or the profile's role name, is no name of a RAM role (letters, digits, \".\", \"-\", \"_\")";
        return Err(CredentialsError::new(Kind::Unreadable, text));
    }
    let disable_v1 = disable_v1.unwrap_or_else(|| env.flag("ALIBABA_CLOUD_IMDSV1_DISABLED"));
    Ok(Recipe::Ecs { role_name, allows_v1: !disable_v1 })
}

/// A name becomes part of a path.
pub(super) fn is_role_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

/// Asks for the keys of the role, and which role it is where that was not said.
pub(super) async fn fetch(
    role_name: Option<&str>,
    allows_v1: bool,
    http: &Http,
) -> Result<(Issued, String), CredentialsError> {
    let token = match token(http).await {
        Ok(token) => Some(token),
        Err(e) if !allows_v1 => return Err(e),
        // An old image knows only the other way.
        Err(_) => None,
    };
    match keys(role_name, token.as_deref(), http).await {
        // A service that hands out tokens and then refuses them is known of old, too.
        Err(e) if token.is_some() && allows_v1 && e.kind() == Kind::Refused => {
            keys(role_name, None, http).await.map_err(|_| e)
        }
        other => other,
    }
}

async fn token(http: &Http) -> Result<String, CredentialsError> {
    let mut request = Request::new(Method::PUT, at(http, "/latest/api/token")?);
    request.headers_mut().insert(HeaderName::from_static(TTL_HEADER), HeaderValue::from_static(TOKEN_TTL_SECONDS));
    let got = sts::exchange(&http.local, request, TIMEOUT, WHAT).await?;
    let text = String::from_utf8_lossy(&got.body).trim().to_owned();
    if got.status != 200 || !super::is_key(&text) {
        return Err(got.refused(
            &format!("{WHAT}, asked for a token,"),
            "; IMDSv1 is switched off here (disable_imds_v1, ALIBABA_CLOUD_IMDSV1_DISABLED), and IMDSv2 does not work",
        ));
    }
    Ok(text)
}

async fn keys(role_name: Option<&str>, token: Option<&str>, http: &Http) -> Result<(Issued, String), CredentialsError> {
    let name = match role_name {
        Some(name) => name.to_owned(),
        None => {
            let got = get(ROLES, token, http).await?;
            if got.status == 404 {
                let text = format!("{WHAT} knows no role: none is attached to this instance{ADVICE}");
                return Err(CredentialsError::new(Kind::NotFound, text));
            }
            let text = String::from_utf8_lossy(&got.body).lines().next().unwrap_or_default().trim().to_owned();
            if got.status != 200 || !is_role_name(&text) {
                return Err(got.refused(&format!("{WHAT}, asked for the name of its role,"), ADVICE));
            }
            text
        }
    };
    let got = get(&format!("{ROLES}{name}"), token, http).await?;
    let what = format!("{WHAT}, asked for the role {name},");
    match got.status {
        200 => Ok((answer::issued(&got, &what)?, name)),
        404 => {
            let text = format!("{WHAT} knows no role {name}: is it the one that is attached to this instance?");
            Err(CredentialsError::new(Kind::NotFound, text))
        }
        _ => Err(got.refused(&what, ADVICE)),
    }
}

async fn get(path: &str, token: Option<&str>, http: &Http) -> Result<Got, CredentialsError> {
    let mut request = Request::new(Method::GET, at(http, path)?);
    if let Some(token) = token {
        let mut value = HeaderValue::from_str(token).map_err(|_| {
            CredentialsError::new(Kind::Refused, format!("{WHAT} hands out a token that no header can carry"))
        })?;
        value.set_sensitive(true);
        request.headers_mut().insert(HeaderName::from_static(TOKEN_HEADER), value);
    }
    sts::exchange(&http.local, request, TIMEOUT, WHAT).await
}

fn at(http: &Http, path: &str) -> Result<Url, CredentialsError> {
    Url::parse(&format!("{}{path}", http.metadata))
        .map_err(|e| CredentialsError::new(Kind::Unreadable, format!("the address of {WHAT} is no URL: {e}")))
}
