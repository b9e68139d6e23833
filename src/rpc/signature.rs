//! Signature version 3 of the gateway (`ACS3-HMAC-SHA256`), pure.
//!
//! One key, no derivation, no date or region scope, and the action and the API version are headers: whoever knows the
//! AWS scheme must forget half of it here.

use std::fmt::Write as _;

use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};

/// The name of the scheme, as the `Authorization` header and the string to sign begin.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// SHA-256 of nothing: every operation here has its parameters in the query and an empty body.
pub const EMPTY_BODY_SHA256: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// All but the unreserved characters of RFC 3986; `~` stays, `*` and the space do not.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What is signed of a request with an empty body to the path `/`.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// In capitals.
    pub method: &'a str,
    /// Parameters as they are, not encoded, in any order.
    pub query: &'a [(&'a str, &'a str)],
    /// The headers to sign: names in lower case, values as they are sent. The gateway checks those that are named, so
    /// a header which proxies rewrite (`user-agent`, `accept`) had better not be among them.
    pub headers: &'a [(&'a str, &'a str)],
}

/// A signed request. The parts are kept for the tests and for nothing that is shown.
#[derive(Clone)]
pub struct Signed {
    /// The query to send, to the byte: what a library encodes anew may differ from what was signed.
    pub query: String,
    /// The request in its normal form.
    pub canonical_request: String,
    /// The algorithm and the digest of the normal form.
    pub string_to_sign: String,
    /// The value of the `Authorization` header.
    pub authorization: String,
}

/// Signs a request. Some 68,000 instructions, two thirds of them to hash where the processor has none for that: nothing beside
/// the call that it is for.
#[must_use]
pub fn sign(access_key_id: &str, access_key_secret: &str, request: &Request<'_>) -> Signed {
    let query = canonical_query(request.query);
    let (headers, names) = canonical_headers(request.headers);
    // The header block ends with a line feed of its own, so that joining leaves an empty line after it.
    let canonical_request = format!("{}\n/\n{query}\n{headers}\n{names}\n{EMPTY_BODY_SHA256}", request.method);
    let string_to_sign = format!("{ALGORITHM}\n{}", hex::encode(Sha256::digest(canonical_request.as_bytes())));
    let signature = hex::encode(hmac_sha256(access_key_secret.as_bytes(), string_to_sign.as_bytes()));
    let authorization = format!("{ALGORITHM} Credential={access_key_id},SignedHeaders={names},Signature={signature}");
    Signed { query, canonical_request, string_to_sign, authorization }
}

/// Names and values percent-encoded, sorted by their bytes, joined by `&`.
#[must_use]
pub fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> =
        parameters.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort_unstable();
    let mut query = String::new();
    for (name, value) in pairs {
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&name);
        query.push('=');
        query.push_str(&value);
    }
    query
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// One line a name, and the names joined by `;`. The values of a repeated name are sorted and joined by commas.
fn canonical_headers(headers: &[(&str, &str)]) -> (String, String) {
    let mut sorted: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.trim())).collect();
    sorted.sort_unstable();
    let (mut lines, mut names) = (String::new(), String::new());
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let Some(&(name, _)) = group.first() else { continue };
        let values: Vec<&str> = group.iter().map(|(_, value)| *value).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(lines, "{name}:{}", values.join(","));
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
    }
    (lines, names)
}

fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length; the type cannot say so.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../tests/fixtures/signature-vectors.json")).unwrap()
    }

    fn pairs(object: &Value) -> Vec<(&str, &str)> {
        object.as_object().unwrap().iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect()
    }

    fn signed(vector: &Value, id: &str, secret: &str) -> Signed {
        let (query, headers) = (pairs(&vector["query"]), pairs(&vector["headers_sent"]));
        sign(id, secret, &Request { method: vector["method"].as_str().unwrap(), query: &query, headers: &headers })
    }

    #[test]
    fn every_vector_of_the_official_code_is_reproduced() {
        let all = vectors();
        let (id, secret) =
            (all["keys"]["access_key_id"].as_str().unwrap(), all["keys"]["access_key_secret"].as_str().unwrap());
        let list = all["v3_acs3_hmac_sha256"].as_array().unwrap();
        assert_eq!(list.len(), 8);
        for vector in list {
            let name = &vector["name"];
            let got = signed(vector, id, secret);
            assert_eq!(got.canonical_request, vector["canonical_request"].as_str().unwrap(), "{name}");
            assert_eq!(got.string_to_sign, vector["string_to_sign"].as_str().unwrap(), "{name}");
            assert_eq!(got.authorization, vector["authorization"].as_str().unwrap(), "{name}");
        }
    }

    #[test]
    fn the_documented_example_is_reproduced() {
        let all = vectors();
        let vector = &all["v3_documented"];
        let got =
            signed(vector, vector["access_key_id"].as_str().unwrap(), vector["access_key_secret"].as_str().unwrap());
        assert_eq!(got.authorization, vector["authorization_by_sdk"].as_str().unwrap());
        assert!(got.authorization.ends_with(vector["signature_in_doc"].as_str().unwrap()));
    }

    #[test]
    fn the_order_in_which_things_are_given_changes_nothing() {
        let (query, headers) = ([("b", "2"), ("a", "1")], [("x-acs-date", " d "), ("host", "h"), ("x-acs-date", "c")]);
        let one = sign("id", "secret", &Request { method: "POST", query: &query, headers: &headers });
        assert_eq!(one.query, "a=1&b=2");
        assert!(
            one.canonical_request.contains("\nhost:h\nx-acs-date:c,d\n\nhost;x-acs-date\n"),
            "{}",
            one.canonical_request
        );
        let (mut query, mut headers) = (query, headers);
        query.reverse();
        headers.reverse();
        let two = sign("id", "secret", &Request { method: "POST", query: &query, headers: &headers });
        assert_eq!(one.authorization, two.authorization);
    }

    #[test]
    fn a_url_keeps_the_signed_query_to_the_byte() {
        let query = canonical_query(&[("n", "*~+ /=&%'()!\":@,;?#用量")]);
        let mut url = url::Url::parse("https://cdn.aliyuncs.com/").unwrap();
        url.set_query(Some(&query));
        assert_eq!(url.query(), Some(query.as_str()));
        assert!(query.starts_with("n=%2A~%2B%20%2F"), "{query}");
    }
}
