//! Who calls: signatures V1 and V3, dates, nonces, tokens.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac as _};
use jiff::SignedDuration;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::{
    envelope::{Envelope, Protocol, V3_SCHEME},
    refusal::{Refusal, refuse},
};
use crate::{
    account::Keys,
    cloud::Cloud,
    http::Request,
    text::{canonical_query, lookup, parse_iso_seconds, percent_encode},
};

/// How far a date may be from the server's clock.
const WINDOW: SignedDuration = SignedDuration::from_mins(15);
const VERSION: &str = "2018-05-10";

/// Finds out whose call it is, or refuses it.
pub(super) fn authenticate(cloud: &Cloud, request: &Request, envelope: &Envelope) -> Result<Keys, Refusal> {
    if !matches!(request.method.as_str(), "GET" | "POST") {
        return Err(refuse("UnsupportedHTTPMethod", 403, "This http method is not supported."));
    }
    let action = required(&envelope.action, "Action")?;
    let version = required(&envelope.version, "Version")?;
    if request.path != "/" || envelope.operation().is_none() {
        let text = format!("Specified api is not found, please check your url and method: {action}.");
        return Err(refuse("InvalidApi.NotFound", 404, text));
    }
    if version != VERSION {
        return Err(refuse("NoSuchVersion", 400, format!("The specified version {version} does not exist.")));
    }
    authenticate_caller(cloud, request, envelope)
}

/// The same, whatever the operation is.
pub(super) fn authenticate_caller(cloud: &Cloud, request: &Request, envelope: &Envelope) -> Result<Keys, Refusal> {
    if envelope.protocol == Protocol::Unclear {
        let text = "The request must be signed in exactly one of the two ways.";
        return Err(refuse("IncompleteSignature", 400, text));
    }
    let id = required(&envelope.access_key_id, "AccessKeyId")?;
    let nonce = required(&envelope.nonce, "SignatureNonce")?;
    let date = required(&envelope.date, "Timestamp")?;
    let signature = required(&envelope.signature, "Signature")?;
    let keys = cloud
        .keys(id)
        .ok_or_else(|| refuse("InvalidAccessKeyId.NotFound", 404, "Specified access key is not found."))?;
    if !keys.active {
        return Err(refuse("InvalidAccessKeyId.Inactive", 400, "Specified access key is disabled."));
    }
    check_date(cloud, date)?;
    match &envelope.protocol {
        Protocol::V3 { signed_headers } => {
            let signed = required(signed_headers, "SignedHeaders")?;
            check_v3(request, envelope, signed, signature, &keys.spec.access_key_secret)?;
        }
        _ => check_v1(request, envelope, signature, &keys.spec.access_key_secret)?,
    }
    check_token(cloud, request, envelope, &keys)?;
    if !cloud.limits().nonce_is_new(id, nonce, cloud.clock().now()) {
        return Err(refuse("SignatureNonceUsed", 400, "Specified signature nonce was used already."));
    }
    Ok(keys)
}

pub(super) fn required<'a>(value: &'a Option<String>, name: &str) -> Result<&'a str, Refusal> {
    let missing = || refuse(format!("Missing{name}"), 400, format!("{name} is mandatory for this action."));
    value.as_deref().filter(|text| !text.is_empty()).ok_or_else(missing)
}

pub(super) fn check_date(cloud: &Cloud, date: &str) -> Result<(), Refusal> {
    let Some(date) = parse_iso_seconds(date) else {
        let text = "Specified time stamp or date value is not well formatted.";
        return Err(refuse("InvalidTimeStamp.Format", 400, text));
    };
    if cloud.clock().server_now().duration_since(date).abs() > WINDOW {
        return Err(refuse("InvalidTimeStamp.Expired", 400, "Specified time stamp or date value is expired."));
    }
    Ok(())
}

fn check_v1(request: &Request, envelope: &Envelope, signature: &str, secret: &str) -> Result<(), Refusal> {
    if lookup(&envelope.params, "SignatureMethod") != Some("HMAC-SHA1") {
        return Err(refuse("InvalidSignatureMethod", 400, "Specified signature method is not valid."));
    }
    if lookup(&envelope.params, "SignatureVersion") != Some("1.0") {
        return Err(refuse("IncompleteSignature", 400, "The request signature does not conform to Aliyun standards."));
    }
    let (to_sign, expected) = v1_signature(&request.method, &envelope.params, secret);
    if signature != expected {
        let text =
            format!("Specified signature is not matched with our calculation. server string to sign is:{to_sign}");
        return Err(refuse("SignatureDoesNotMatch", 400, text));
    }
    Ok(())
}

/// The string to sign and the signature of V1.
fn v1_signature(method: &str, params: &[(String, String)], secret: &str) -> (String, String) {
    let query = canonical_query(params.iter().filter(|(name, _)| name != "Signature"));
    let to_sign = format!("{method}&%2F&{}", percent_encode(&query));
    let key = format!("{secret}&");
    let signature = STANDARD.encode(hmac_sha1(key.as_bytes(), to_sign.as_bytes()));
    (to_sign, signature)
}

fn check_v3(
    request: &Request,
    envelope: &Envelope,
    signed: &str,
    signature: &str,
    secret: &str,
) -> Result<(), Refusal> {
    let names: Vec<_> = signed.split(';').collect();
    let must_be_signed = |name: &str| {
        name == "host" || name.starts_with("x-acs-") || (name == "content-type" && !request.body.is_empty())
    };
    for name in ["host", "x-acs-content-sha256"] {
        if request.header(name).is_none() {
            return Err(refuse("IncompleteSignature", 400, format!("The header {name} is missing.")));
        }
    }
    let forgotten = request.headers.iter().find(|(name, _)| must_be_signed(name) && !names.contains(&name.as_str()));
    if let Some((name, _)) = forgotten {
        return Err(refuse("IncompleteSignature", 400, format!("The header {name} is not signed.")));
    }
    let payload = hex::encode(Sha256::digest(&request.body));
    let (canonical, to_sign, expected) = v3_signature(request, &envelope.params, &names, &payload, secret);
    if signature != expected || request.header("x-acs-content-sha256") != Some(payload.as_str()) {
        let text = format!(
            "Specified signature does not match our calculation. server string to sign is:{to_sign}, \
             server canonicalString is:{canonical}"
        );
        return Err(refuse("SignatureDoesNotMatch", 400, text));
    }
    Ok(())
}

/// The canonical request, the string to sign and the signature of V3.
fn v3_signature(
    request: &Request,
    params: &[(String, String)],
    signed: &[&str],
    payload: &str,
    secret: &str,
) -> (String, String, String) {
    let mut names = signed.to_vec();
    names.sort_unstable();
    names.dedup();
    let mut headers = String::new();
    for name in &names {
        let mut values: Vec<_> =
            request.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        values.sort_unstable();
        headers.push_str(&format!("{name}:{}\n", values.join(",")));
    }
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload}",
        request.method,
        request.path,
        canonical_query(params.iter()),
        names.join(";")
    );
    let to_sign = format!("{V3_SCHEME}\n{}", hex::encode(Sha256::digest(&canonical)));
    let signature = hex::encode(hmac_sha256(secret.as_bytes(), to_sign.as_bytes()));
    (canonical, to_sign, signature)
}

fn check_token(cloud: &Cloud, request: &Request, envelope: &Envelope, keys: &Keys) -> Result<(), Refusal> {
    let mismatch = "Specified SecurityToken mismatch with the AccessKey.";
    let sent = envelope.token.as_deref().filter(|token| !token.is_empty());
    match (keys.spec.security_token.as_deref(), sent) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return Err(refuse("InvalidSecurityToken.MismatchWithAccessKey", 400, mismatch)),
        (Some(_), None) => {
            return Err(refuse("MissingSecurityToken", 400, "SecurityToken is mandatory for this action."));
        }
        (Some(known), Some(sent)) if known != sent => {
            return Err(refuse("InvalidSecurityToken.Malformed", 400, "Specified SecurityToken is malformed."));
        }
        (Some(_), Some(_)) => {}
    }
    if matches!(envelope.protocol, Protocol::V3 { .. })
        && request.header("x-acs-accesskey-id") != Some(keys.spec.access_key_id.as_str())
    {
        let text = "The header x-acs-accesskey-id must name the access key beside a SecurityToken.";
        return Err(refuse("InvalidSecurityToken.MismatchWithAccessKey", 400, text));
    }
    if keys.spec.token_expires_at.is_some_and(|end| cloud.clock().now() >= end) {
        return Err(refuse("InvalidSecurityToken.Expired", 400, "Specified SecurityToken is expired."));
    }
    Ok(())
}

pub(crate) fn hmac_sha1(key: &[u8], data: &[u8]) -> Vec<u8> {
    // A key of any length will do for an HMAC.
    Hmac::<Sha1>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

pub(crate) fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    // A key of any length will do for an HMAC.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(data).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::text::parse_query;

    #[test]
    fn the_signature_of_the_manual_for_v1_comes_out() {
        let params = parse_query(
            "SignatureVersion=1.0&Format=JSON&Timestamp=2015-08-06T02%3A19%3A46Z&AccessKeyId=testid&\
             SignatureMethod=HMAC-SHA1&Version=2014-11-11&Action=DescribeCdnService&\
             SignatureNonce=9b7a44b0-3be1-11e5-8c73-08002700c460",
        );
        assert_eq!(v1_signature("GET", &params, "testsecret").1, "KkkQOf0ymKf4yVZLggy6kYiwgFs=");
    }

    #[test]
    fn the_signature_of_the_manual_for_v3_comes_out() {
        let payload = hex::encode(Sha256::digest(b""));
        let headers = [
            ("x-acs-action", "RunInstances"),
            ("host", "ecs.cn-shanghai.aliyuncs.com"),
            ("x-acs-date", "2023-10-26T10:22:32Z"),
            ("x-acs-version", "2014-05-26"),
            ("x-acs-content-sha256", &payload),
            ("x-acs-signature-nonce", "3156853299f313e23d1673dc12e1703d"),
        ];
        let request = Request {
            method: "POST".to_owned(),
            path: "/".to_owned(),
            query: String::new(),
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            body: Bytes::new(),
        };
        let params = parse_query("ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai");
        let names = headers.map(|(name, _)| name);
        let (_, _, signature) = v3_signature(&request, &params, &names, &payload, "YourAccessKeySecret");
        assert_eq!(signature, "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0");
    }
}
