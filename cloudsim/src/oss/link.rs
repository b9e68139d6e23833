//! Links as the listing shows them, and the keys of the service that signs them.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::sign::{self, Scope, UNSIGNED, V4_SCHEME};
use crate::{
    account::AccountSpec,
    cloud::Cloud,
    http::Request,
    settings::Knobs,
    task::{Export, LinkStyle},
    text::{basic_seconds, canonical_query, percent_decode, percent_encode, percent_encode_path},
};

/// The bucket of the exports: it belongs to the service, not to the account.
const BUCKET: &str = "cdn-billing";
const REGION: &str = "cn-beijing";
const LASTING_ID: &str = "LTAIcloudsimService";
const TEMPORARY_ID: &str = "STS.cloudsimService";
const SECRET: &str = "a-secret-of-the-simulated-service";
const TOKEN_PREFIX: &str = "CAIScloudsim+token/good==until&";

/// The place of a task's file: `bucket/key`, decoded.
fn key(account: usize, export: Export, id: &str) -> String {
    // An id may be any text: encoded it is one segment.
    format!("{BUCKET}/billing_data/{account}/{}/{}", export.folder(), percent_encode(id))
}

/// The task whose file stands at a place.
pub(super) fn task_at(key: &str) -> Option<(usize, Export, String)> {
    let rest = key.strip_prefix(BUCKET)?.strip_prefix("/billing_data/")?;
    let mut parts = rest.splitn(3, '/');
    let account = parts.next()?.parse().ok()?;
    let folder = parts.next()?;
    let export = Export::ALL.into_iter().find(|export| export.folder() == folder)?;
    Some((account, export, percent_decode(parts.next()?)))
}

/// Makes a link to a task's file.
pub(crate) fn make(cloud: &Cloud, knobs: &Knobs, account: usize, export: Export, id: &str, style: LinkStyle) -> String {
    let resource = format!("/{}", key(account, export, id));
    let base = match (&knobs.link_base, style) {
        (Some(base), _) => base.clone(),
        (None, LinkStyle::V1NoScheme) => cloud.oss_address().to_string(),
        (None, _) => format!("http://{}", cloud.oss_address()),
    };
    let place = format!("{base}{}", percent_encode_path(&resource));
    let signed_at = renewed(cloud.clock().now(), knobs.link_renewal);
    let request = Request {
        method: "GET".to_owned(),
        path: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    let token = || token(signed_at, knobs.link_token_lifetime.unwrap_or(knobs.link_lifetime));
    let mut params = match style {
        LinkStyle::Plain => return place,
        LinkStyle::V1 | LinkStyle::V1NoScheme | LinkStyle::V4 => Vec::new(),
        LinkStyle::V1WithToken => vec![("security-token".to_owned(), token())],
        LinkStyle::V4WithToken => vec![("x-oss-security-token".to_owned(), token())],
    };
    let key_id = if params.is_empty() { LASTING_ID } else { TEMPORARY_ID };
    let lifetime = knobs.link_lifetime.as_secs();
    let mut add = |name: &str, value: String| params.push((name.to_owned(), value));
    if matches!(style, LinkStyle::V4 | LinkStyle::V4WithToken) {
        let date = basic_seconds(signed_at);
        add("x-oss-signature-version", V4_SCHEME.to_owned());
        add("x-oss-credential", format!("{key_id}/{}/{REGION}/oss/aliyun_v4_request", &date[..8]));
        add("x-oss-expires", lifetime.clamp(1, 604_800).to_string());
        add("x-oss-date", date.clone());
        let scope = Scope { date: &date, region: REGION, product: "oss", additional: &[], payload: UNSIGNED };
        let (_, _, signature) = sign::v4(&request, &params, &resource, &scope, SECRET);
        params.push(("x-oss-signature".to_owned(), signature));
    } else {
        let expires = signed_at.as_second().saturating_add_unsigned(lifetime).to_string();
        add("OSSAccessKeyId", key_id.to_owned());
        add("Expires", expires.clone());
        let (_, signature) = sign::v1(&request, &params, &resource, &expires, SECRET);
        params.push(("Signature".to_owned(), signature));
    }
    format!("{place}?{}", canonical_query(params.iter()))
}

/// The start of the span in which all links are signed alike.
fn renewed(now: Timestamp, span: Duration) -> Timestamp {
    let span = i64::try_from(span.as_secs()).unwrap_or(0);
    if span == 0 {
        return now;
    }
    Timestamp::from_second(now.as_second().div_euclid(span) * span).unwrap_or(now)
}

/// A token that tells until when it is good.
fn token(from: Timestamp, lifetime: Duration) -> String {
    let end = from.checked_add(SignedDuration::try_from(lifetime).unwrap_or(SignedDuration::MAX));
    format!("{TOKEN_PREFIX}{}", end.unwrap_or(Timestamp::MAX).as_second())
}

/// The keys of the service behind an access key id; the token that was sent says when it ends.
pub(super) fn service_keys(access_key_id: &str, sent: Option<&str>) -> Option<AccountSpec> {
    match access_key_id {
        LASTING_ID => Some(AccountSpec::new(LASTING_ID, SECRET)),
        TEMPORARY_ID => {
            let keys = AccountSpec::new(TEMPORARY_ID, SECRET);
            let end = sent.and_then(|token| token.strip_prefix(TOKEN_PREFIX)?.parse().ok());
            match end.and_then(|end| Timestamp::from_second(end).ok()) {
                Some(end) => Some(keys.with_token(sent.unwrap_or_default()).with_token_expiry(end)),
                None => Some(keys.with_token("none that was sent")),
            }
        }
        _ => None,
    }
}
