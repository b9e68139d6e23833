//! Whether a request may do what it asks for.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::{
    link,
    refusal::Refusal,
    sign::{self, Scope, UNSIGNED, V4_SCHEME},
};
use crate::{
    account::AccountSpec,
    cloud::Cloud,
    http::Request,
    text::{lookup, parse_basic_seconds, parse_http_date},
};

/// How far the date of a request may be from the clock.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
/// The longest life of a V4 link, in seconds.
const V4_EXPIRES_MAX: i64 = 604_800;

const EXPIRED: &str = "Request has expired.";
const EC_EXPIRED: &str = "0002-00000069";

/// Checks the one signature a request has. False when it has none.
pub(super) fn authorize(
    cloud: &Cloud,
    request: &Request,
    params: &[(String, String)],
    resource: &str,
) -> Result<bool, Refusal> {
    let check = Check { cloud, request, params, resource, now: cloud.clock().now() };
    let v1 = lookup(params, "Signature").is_some() || lookup(params, "OSSAccessKeyId").is_some();
    let v4 = lookup(params, "x-oss-signature").is_some() || lookup(params, "x-oss-signature-version").is_some();
    match (v1, v4, request.header("authorization")) {
        (false, false, None) => return Ok(false),
        (true, false, None) => check.v1_link()?,
        (false, true, None) => check.v4_link()?,
        (false, false, Some(header)) => match header.strip_prefix(V4_SCHEME) {
            Some(rest) => check.v4_header(rest)?,
            None => check.v1_header(header)?,
        },
        _ => return Err(Refusal::invalid("Only one auth mechanism allowed.")),
    }
    Ok(true)
}

struct Check<'a> {
    cloud: &'a Cloud,
    request: &'a Request,
    params: &'a [(String, String)],
    resource: &'a str,
    now: Timestamp,
}

impl Check<'_> {
    fn param(&self, name: &str) -> Result<&str, Refusal> {
        let missing = || Refusal::denied(&format!("The parameter {name} is missing."), "0002-00000226");
        lookup(self.params, name).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    /// A link's expiry is judged before anything else about it.
    fn v1_link(&self) -> Result<(), Refusal> {
        let expires = self.param("Expires")?;
        let malformed = || Refusal::denied("Invalid date (should be seconds since epoch).", "0002-00000227");
        let end: i64 = expires.parse().map_err(|_| malformed())?;
        if self.now.as_second() >= end {
            let end = Timestamp::from_second(end).unwrap_or(Timestamp::MAX);
            return Err(expired(end, self.now));
        }
        let sent = self.param("Signature")?;
        let keys = self.keys(self.param("OSSAccessKeyId")?, lookup(self.params, "security-token"))?;
        let (to_sign, signature) = sign::v1(self.request, self.params, self.resource, expires, &keys.access_key_secret);
        matches(sent, &signature, &keys, &to_sign, None)
    }

    fn v1_header(&self, header: &str) -> Result<(), Refusal> {
        let parts = header.strip_prefix("OSS ").and_then(|rest| rest.split_once(':'));
        let Some((id, sent)) = parts else {
            return Err(Refusal::invalid("Authorization header is invalid."));
        };
        let date = self.request.header("x-oss-date").or(self.request.header("date")).unwrap_or("");
        self.check_date(parse_http_date(date))?;
        let keys = self.keys(id, self.request.header("x-oss-security-token"))?;
        let (to_sign, signature) = sign::v1(self.request, self.params, self.resource, date, &keys.access_key_secret);
        matches(sent, &signature, &keys, &to_sign, None)
    }

    fn v4_link(&self) -> Result<(), Refusal> {
        let invalid = |what: &str| Refusal::invalid(&format!("{what} is invalid in the query of the request."));
        if self.param("x-oss-signature-version")? != V4_SCHEME {
            return Err(invalid("x-oss-signature-version"));
        }
        let date = self.param("x-oss-date")?;
        let Some(start) = parse_basic_seconds(date) else { return Err(invalid("x-oss-date")) };
        let life = self.param("x-oss-expires")?.parse().ok().filter(|life| (1..=V4_EXPIRES_MAX).contains(life));
        let Some(life) = life else { return Err(invalid("x-oss-expires")) };
        let end = start.checked_add(SignedDuration::from_secs(life)).unwrap_or(Timestamp::MAX);
        if self.now >= end {
            return Err(expired(end, self.now));
        }
        if start.duration_since(self.now) > WINDOW {
            return Err(skewed());
        }
        let sent = self.param("x-oss-signature")?;
        let (id, scope_date, region, product) = credential(self.param("x-oss-credential")?)?;
        if date.get(..8) != Some(scope_date) {
            return Err(invalid("x-oss-credential"));
        }
        let keys = self.keys(id, lookup(self.params, "x-oss-security-token"))?;
        let additional = lookup(self.params, "x-oss-additional-headers").unwrap_or("");
        let additional: Vec<_> = additional.split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let scope = Scope { date, region, product, additional: &additional, payload: UNSIGNED };
        self.v4(&scope, sent, &keys)
    }

    fn v4_header(&self, rest: &str) -> Result<(), Refusal> {
        let fields: Vec<_> = rest.split(',').map(str::trim).collect();
        let field = |name: &str| fields.iter().find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        let (Some(place), Some(sent)) = (field("Credential"), field("Signature")) else {
            return Err(Refusal::invalid("Authorization header is invalid."));
        };
        let date = self.request.header("x-oss-date").unwrap_or("");
        self.check_date(parse_basic_seconds(date))?;
        let (id, scope_date, region, product) = credential(place)?;
        if date.get(..8) != Some(scope_date) {
            return Err(Refusal::invalid("The date of the credential is not that of the request."));
        }
        let keys = self.keys(id, self.request.header("x-oss-security-token"))?;
        let payload = self.request.header("x-oss-content-sha256").unwrap_or("");
        if payload != UNSIGNED && payload != hex::encode(Sha256::digest(&self.request.body)) {
            return Err(Refusal::invalid("The value of x-oss-content-sha256 is not that of the body."));
        }
        let additional = field("AdditionalHeaders").unwrap_or("");
        let additional: Vec<_> = additional.split(';').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        self.v4(&Scope { date, region, product, additional: &additional, payload }, sent, &keys)
    }

    fn v4(&self, scope: &Scope<'_>, sent: &str, keys: &AccountSpec) -> Result<(), Refusal> {
        let params: Vec<_> = self.params.iter().filter(|(name, _)| name != "x-oss-signature").cloned().collect();
        let (canonical, to_sign, signature) =
            sign::v4(self.request, &params, self.resource, scope, &keys.access_key_secret);
        matches(sent, &signature, keys, &to_sign, Some(&canonical))
    }

    fn check_date(&self, date: Option<Timestamp>) -> Result<(), Refusal> {
        let Some(date) = date else {
            return Err(Refusal::denied("OSS authentication requires a valid Date.", "0002-00000205"));
        };
        if self.now.duration_since(date).abs() > WINDOW { Err(skewed()) } else { Ok(()) }
    }

    fn keys(&self, id: &str, sent: Option<&str>) -> Result<AccountSpec, Refusal> {
        let account = || self.cloud.keys(id).filter(|keys| keys.active).map(|keys| keys.spec);
        let Some(keys) = link::service_keys(id, sent).or_else(account) else {
            let text = "The OSS Access Key Id you provided does not exist in our records.";
            return Err(Refusal::new(403, "InvalidAccessKeyId", text, "0002-00000902").with("OSSAccessKeyId", id));
        };
        if keys.security_token.as_deref() != sent {
            let text = "The security token you provided is invalid.";
            return Err(Refusal::new(403, "InvalidSecurityToken", text, "0002-00000003"));
        }
        if keys.token_expires_at.is_some_and(|end| self.now >= end) {
            let text = "The security token you provided has expired.";
            return Err(Refusal::new(403, "SecurityTokenExpired", text, "0002-00000007"));
        }
        Ok(keys)
    }
}

fn credential(text: &str) -> Result<(&str, &str, &str, &str), Refusal> {
    match text.split('/').collect::<Vec<_>>()[..] {
        [id, date, region, product @ "oss", "aliyun_v4_request"] => Ok((id, date, region, product)),
        _ => Err(Refusal::invalid("The credential is malformed.")),
    }
}

fn expired(end: Timestamp, now: Timestamp) -> Refusal {
    Refusal::denied(EXPIRED, EC_EXPIRED).with("Expires", format!("{end:.3}")).with("ServerTime", format!("{now:.3}"))
}

fn skewed() -> Refusal {
    let text = "The difference between the request time and the current time is too large.";
    Refusal::new(403, "RequestTimeTooSkewed", text, "0002-00000504")
}

fn matches(
    sent: &str,
    expected: &str,
    keys: &AccountSpec,
    to_sign: &str,
    canonical: Option<&str>,
) -> Result<(), Refusal> {
    if sent == expected {
        return Ok(());
    }
    let text = "The request signature we calculated does not match the signature you provided. Check your key and \
         signing method.";
    let mut refusal = Refusal::new(403, "SignatureDoesNotMatch", text, "0002-00000040")
        .with("OSSAccessKeyId", keys.access_key_id.clone())
        .with("SignatureProvided", sent)
        .with("StringToSign", to_sign);
    if let Some(canonical) = canonical {
        refusal = refusal.with("CanonicalRequest", canonical);
    }
    Err(refusal)
}
