//! The two signatures of the object store, for requests and for links.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::{
    gateway::auth::{hmac_sha1, hmac_sha256},
    http::Request,
    text::{percent_encode, percent_encode_path},
};

/// The scheme of V4.
pub(super) const V4_SCHEME: &str = "OSS4-HMAC-SHA256";
/// What stands for the digest of a body that is not signed.
pub(super) const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// Query parameters that belong to the resource in V1.
const SUBRESOURCES: &[&str] = &[
    "acl",
    "append",
    "callback",
    "callback-var",
    "comp",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "endTime",
    "group",
    "lifecycle",
    "link",
    "live",
    "location",
    "logging",
    "objectInfo",
    "objectMeta",
    "partNumber",
    "policy",
    "position",
    "qos",
    "referer",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "restore",
    "security-token",
    "sequential",
    "startTime",
    "stat",
    "status",
    "symlink",
    "tagging",
    "uploadId",
    "uploads",
    "versionId",
    "versioning",
    "versions",
    "vod",
    "website",
    "x-oss-ac-forward-allow",
    "x-oss-ac-source-ip",
    "x-oss-ac-subnet-mask",
    "x-oss-ac-vpc-id",
    "x-oss-async-process",
    "x-oss-process",
    "x-oss-request-payer",
    "x-oss-traffic-limit",
];

/// The string to sign and the signature of V1. `date` is the `Date` of a request or the `Expires` of a link; `resource`
/// is `/bucket/key`, decoded.
pub(super) fn v1(
    request: &Request,
    params: &[(String, String)],
    resource: &str,
    date: &str,
    secret: &str,
) -> (String, String) {
    let mut to_sign = format!(
        "{}\n{}\n{}\n{date}\n",
        request.method,
        request.header("content-md5").unwrap_or(""),
        request.header("content-type").unwrap_or("")
    );
    for (name, value) in headers(request, |name| name.starts_with("x-oss-")) {
        to_sign.push_str(&format!("{name}:{value}\n"));
    }
    to_sign.push_str(resource);
    let mut subresources: Vec<_> =
        params.iter().filter(|(name, _)| SUBRESOURCES.contains(&name.as_str())).map(joined).collect();
    subresources.sort();
    if !subresources.is_empty() {
        to_sign.push_str(&format!("?{}", subresources.join("&")));
    }
    let signature = STANDARD.encode(hmac_sha1(secret.as_bytes(), to_sign.as_bytes()));
    (to_sign, signature)
}

fn joined((name, value): &(String, String)) -> String {
    if value.is_empty() { name.clone() } else { format!("{name}={value}") }
}

/// What V4 signs besides the request.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// `20181009T063338Z`
    pub(super) date: &'a str,
    pub(super) region: &'a str,
    pub(super) product: &'a str,
    /// Header names, lower case.
    pub(super) additional: &'a [String],
    pub(super) payload: &'a str,
}

/// The canonical request, the string to sign and the signature of V4; `params` without the signature.
pub(super) fn v4(
    request: &Request,
    params: &[(String, String)],
    resource: &str,
    scope: &Scope<'_>,
    secret: &str,
) -> (String, String, String) {
    let mut query: Vec<_> = params.iter().map(|(name, value)| (percent_encode(name), percent_encode(value))).collect();
    query.sort();
    let query: Vec<_> = query.iter().map(joined).collect();
    let mut additional = scope.additional.to_vec();
    additional.sort();
    let signed = |name: &str| {
        name.starts_with("x-oss-")
            || matches!(name, "content-type" | "content-md5")
            || additional.iter().any(|known| known == name)
    };
    let headers: String = headers(request, signed).iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let canonical = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        request.method,
        percent_encode_path(resource),
        query.join("&"),
        additional.join(";"),
        scope.payload
    );
    let day = scope.date.get(..8).unwrap_or("");
    let place = format!("{day}/{}/{}/aliyun_v4_request", scope.region, scope.product);
    let digest = hex::encode(Sha256::digest(&canonical));
    let to_sign = format!("{V4_SCHEME}\n{}\n{place}\n{digest}", scope.date);
    let mut key = format!("aliyun_v4{secret}").into_bytes();
    for part in [day, scope.region, scope.product, "aliyun_v4_request"] {
        key = hmac_sha256(&key, part.as_bytes());
    }
    let signature = hex::encode(hmac_sha256(&key, to_sign.as_bytes()));
    (canonical, to_sign, signature)
}

fn headers(request: &Request, wanted: impl Fn(&str) -> bool) -> Vec<&(String, String)> {
    let mut found: Vec<_> = request.headers.iter().filter(|(name, _)| wanted(name)).collect();
    found.sort();
    found
}
