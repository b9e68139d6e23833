//! The Security Token Service: roles, and who one is. Also the one way in which sources of keys are asked over HTTP.

use std::{fmt, time::Duration};

use jiff::{SignedDuration, Timestamp};
use reqwest::{
    Method, Request,
    header::{ACCEPT, CONTENT_TYPE, DATE, HeaderValue},
};
use serde_json::Value;
use tokio::time::timeout;
use url::Url;

use super::{
    Credentials, CredentialsError, Kind,
    answer::{self, Issued},
    plan::Role,
};
use crate::{clock, egress::Api, rpc, text::redact};

/// The version of STS's API.
const VERSION: &str = "2015-04-01";
/// How long STS or a credentials URI may take in all.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that is read of one answer: keys and a token have some 3 KiB.
const BODY_MAX_BYTES: usize = 256 << 10;

/// What sources of keys are asked with.
#[derive(Clone)]
pub(super) struct Http {
    /// The way that calls of the account go.
    pub(super) api: Api,
    /// Neither: for what is on this machine.
    pub(super) local: Api,
    /// Where the metadata service is.
    pub(super) metadata: &'static str,
}

impl fmt::Debug for Http {
    /// Without the clients, which may know a proxy's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// What came back.
pub(super) struct Got {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
    /// The time by the other side's clock.
    pub(super) date: Option<Timestamp>,
}

impl Got {
    pub(super) fn json(&self, what: &str) -> Result<Value, CredentialsError> {
        // The parser's own words have line and column, and nothing of the text.
        serde_json::from_slice(&self.body)
            .map_err(|e| CredentialsError::new(Kind::Refused, format!("{what} answers with what is no JSON ({e})")))
    }

    /// The answer is none that was wanted. Only its code is repeated: a message may hold what was sent, or keys.
    pub(super) fn refused(&self, what: &str, advice: &str) -> CredentialsError {
        self.refusal(what, advice, None)
    }

    /// The same with the message of a service that is known, in which the id of these keys is not repeated.
    fn refused_with_message(&self, what: &str, advice: &str, keys: &Credentials) -> CredentialsError {
        self.refusal(what, advice, Some(keys))
    }

    fn refusal(&self, what: &str, advice: &str, keys: Option<&Credentials>) -> CredentialsError {
        let (code, message) = answer::refusal(&self.body);
        let message = keys.map(|keys| message.replace(&keys.access_key_id, "[redacted]")).unwrap_or_default();
        let busy = self.status == 429 || self.status >= 500 || code.as_deref().is_some_and(is_busy);
        let said = match &code {
            Some(code) if message.is_empty() => format!("{code} (HTTP {})", self.status),
            Some(code) => format!("{code} (HTTP {}): {message}", self.status),
            None => format!("HTTP {}", self.status),
        };
        let kind = if busy { Kind::Unreachable } else { Kind::Refused };
        CredentialsError::new(kind, format!("{what} answers {said}{}", if busy { "" } else { advice }))
    }
}

fn is_busy(code: &str) -> bool {
    let code = code.to_ascii_lowercase();
    code.starts_with("throttling") || matches!(code.as_str(), "serviceunavailable" | "internalerror" | "servicebusy")
}

/// Sends a request and reads the answer, up to a bound of time and bytes.
pub(super) async fn exchange(
    http: &Api,
    request: Request,
    within: Duration,
    what: &str,
) -> Result<Got, CredentialsError> {
    let away = |why: String| CredentialsError::new(Kind::Unreachable, format!("{what} {why}"));
    let all = async {
        let unreachable = |e| away(format!("cannot be reached: {}", redact(&http.describe(e).to_string())));
        let mut response = http.execute(request).await.map_err(unreachable)?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).and_then(clock::http_date);
        let mut body = Vec::new();
        // Ends: every chunk has at least one byte, and there is room for so many.
        while let Some(chunk) =
            response.chunk().await.map_err(|e| away(format!("breaks off: {}", redact(&http.describe(e).what))))?
        {
            if body.len() + chunk.len() > BODY_MAX_BYTES {
                let text = format!("{what} answers with more than {} KiB", BODY_MAX_BYTES >> 10);
                return Err(CredentialsError::new(Kind::Refused, text));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Got { status: response.status().as_u16(), body, date })
    };
    match timeout(within, all).await {
        Ok(got) => got,
        Err(_) => Err(away(format!("does not answer within {} s", within.as_secs()))),
    }
}

/// Parameters that both ways of assuming a role have.
fn parameters(role: &Role) -> Vec<(&'static str, String)> {
    let mut all = vec![("RoleArn", role.arn.clone()), ("RoleSessionName", role.session_name.clone())];
    all.extend(role.duration.map(|d| ("DurationSeconds", d.as_secs().to_string())));
    all.extend(role.policy.clone().map(|policy| ("Policy", policy)));
    all
}

fn named(endpoint: &Url) -> String {
    format!("STS at {}", rpc::host(endpoint))
}

/// `AssumeRole`, signed with other keys.
pub(super) async fn assume(role: &Role, base: &Credentials, http: &Http) -> Result<Issued, CredentialsError> {
    let mut all = parameters(role);
    all.extend(role.external_id.clone().map(|id| ("ExternalId", id)));
    let query: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let got = signed("AssumeRole", &query, &role.sts, base, http).await?;
    let what = format!("{}, asked to assume the role {} with {},", named(&role.sts), role.arn, base.origin);
    if got.status != 200 {
        let advice = "; check the keys, the trust policy of the role, and that their user may sts:AssumeRole";
        return Err(got.refused_with_message(&what, advice, base));
    }
    handed_out(&got, &what)
}

/// `AssumeRoleWithOIDC`, which is not signed: the token is what proves something, and goes in the body, since what is
/// in a query is written down along the way.
pub(super) async fn assume_with_token(
    role: &Role,
    provider_arn: &str,
    token: &str,
    http: &Http,
) -> Result<Issued, CredentialsError> {
    let mut form = parameters(role);
    form.push(("OIDCProviderArn", provider_arn.to_owned()));
    form.push(("OIDCToken", token.to_owned()));
    let mut url = role.sts.clone();
    url.set_path("/");
    url.query_pairs_mut()
        .append_pair("Action", "AssumeRoleWithOIDC")
        .append_pair("Version", VERSION)
        .append_pair("Format", "JSON")
        .append_pair("Timestamp", &format!("{:.0}", clock::now()))
        .append_pair("SignatureNonce", &format!("{:032x}", rand::random::<u128>()));
    let mut request = Request::new(Method::POST, url);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    *request.body_mut() = Some(body.into());
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    let what = format!("{}, asked for the role {} by OIDC,", named(&role.sts), role.arn);
    let got = exchange(&http.api, request, TIMEOUT, &named(&role.sts)).await?;
    if got.status != 200 {
        return Err(got.refused(&what, "; check the token, the identity provider and the trust policy of the role"));
    }
    handed_out(&got, &what)
}

fn handed_out(got: &Got, what: &str) -> Result<Issued, CredentialsError> {
    let json = got.json(what)?;
    let keys = json.get("Credentials").unwrap_or(&Value::Null);
    answer::keys(keys, got, what)
}

async fn signed(
    action: &str,
    query: &[(&str, &str)],
    endpoint: &Url,
    keys: &Credentials,
    http: &Http,
) -> Result<Got, CredentialsError> {
    let call = rpc::Call { endpoint, action, version: VERSION, query };
    let request =
        rpc::signed(&call, &keys.keys()).map_err(|e| CredentialsError::new(Kind::Unreadable, e.to_string()))?;
    exchange(&http.api, request, TIMEOUT, &named(endpoint)).await
}

/// Whose keys these are, by the word of STS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The number of the account.
    pub account_id: String,
    /// The user, or the role and its session.
    pub arn: String,
    /// `RAMUser`, `AssumedRoleUser` or `Account`.
    pub identity_type: String,
}

/// What asking for the caller brought.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Who it is, or why that is not known.
    pub caller: Result<Caller, CredentialsError>,
    /// How far this machine's clock is ahead of the service's, by its `Date`, to about a second.
    pub skew: Option<SignedDuration>,
}

/// `GetCallerIdentity`, which needs no permission.
pub(super) async fn caller(endpoint: &Url, keys: &Credentials, http: &Http) -> Asked {
    let before = clock::now();
    let got = match signed("GetCallerIdentity", &[], endpoint, keys, http).await {
        Ok(got) => got,
        Err(e) => return Asked { caller: Err(e), skew: None },
    };
    let after = clock::now();
    // The service wrote its time somewhere in between, and cut it to the second.
    let skew = got.date.map(|theirs| {
        let ahead = before.duration_since(theirs);
        let behind = after.duration_since(theirs);
        let second = SignedDuration::from_secs(1);
        if ahead > second {
            ahead
        } else if behind.is_negative() {
            behind
        } else {
            SignedDuration::ZERO
        }
    });
    Asked { caller: identity(&got, endpoint, keys), skew }
}

fn identity(got: &Got, endpoint: &Url, keys: &Credentials) -> Result<Caller, CredentialsError> {
    let what = format!("{}, asked whose the keys of {} are,", named(endpoint), keys.origin);
    if got.status != 200 {
        return Err(got.refused_with_message(&what, "", keys));
    }
    let json = got.json(&what)?;
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(answer::word).filter(|text| !text.is_empty());
    match (text("AccountId"), text("Arn")) {
        (Some(account_id), Some(arn)) => {
            Ok(Caller { account_id, arn, identity_type: text("IdentityType").unwrap_or_default() })
        }
        _ => Err(CredentialsError::new(Kind::Refused, format!("{what} answers without AccountId and Arn"))),
    }
}
