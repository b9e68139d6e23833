//! The signatures of the official SDKs, and the same with one character changed.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use cloudsim::{AccountSpec, CloudSim};
use common::{address, exchange};
use serde_json::Value;

fn fixture() -> Value {
    serde_json::from_str(include_str!("fixtures/signatures.json")).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// A cloud at the time of a vector, with its keys.
async fn cloud_for(date: &str, token: Option<&str>) -> CloudSim {
    let cloud = CloudSim::start().await.unwrap();
    let all = fixture();
    let mut account = AccountSpec::new(text(&all["keys"]["access_key_id"]), text(&all["keys"]["access_key_secret"]));
    account.security_token = token.map(ToOwned::to_owned);
    cloud.add_account(account);
    cloud.clock().set_speed(0.0);
    cloud.clock().set(date.parse().unwrap());
    cloud
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Another character of the same kind.
fn flip(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = match bytes[at] {
        b'0' => b'1',
        b'a' => b'b',
        b'A' => b'B',
        b if b.is_ascii_digit() => b'0',
        b if b.is_ascii_lowercase() => b'a',
        _ => b'A',
    };
    String::from_utf8(bytes).unwrap()
}

struct V3<'a> {
    vector: &'a Value,
    target: String,
    authorization: String,
}

impl<'a> V3<'a> {
    fn new(vector: &'a Value) -> Self {
        let target = text(&vector["url"]).strip_prefix("https://cdn.aliyuncs.com").unwrap().to_owned();
        Self { vector, target, authorization: text(&vector["authorization"]).to_owned() }
    }

    fn bytes(&self, change: impl Fn(&str, &str) -> String) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", text(&self.vector["method"]), self.target);
        for (name, value) in self.vector["headers_sent"].as_object().unwrap() {
            head.push_str(&format!("{name}: {}\r\n", change(name, text(value))));
        }
        head.push_str(&format!("Authorization: {}\r\n\r\n", self.authorization));
        head.into_bytes()
    }

    async fn status(&self, bytes: &[u8]) -> (u16, String) {
        let date = text(&self.vector["date"]);
        let cloud = cloud_for(date, self.vector["security_token"].as_str()).await;
        let reply = exchange(address(&cloud), bytes).await;
        (reply.status, reply.code())
    }
}

fn unchanged(_: &str, value: &str) -> String {
    value.to_owned()
}

#[tokio::test]
async fn every_v3_signature_of_the_sdk_is_accepted_as_it_is_sent() {
    let all = fixture();
    let vectors = all["v3_acs3_hmac_sha256"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let v3 = V3::new(vector);
        let got = v3.status(&v3.bytes(unchanged)).await;
        assert_eq!(got, (200, String::new()), "{}", vector["name"]);
    }
}

#[tokio::test]
async fn a_v3_signature_with_one_changed_character_anywhere_is_refused() {
    let all = fixture();
    for vector in all["v3_acs3_hmac_sha256"].as_array().unwrap() {
        let mut v3 = V3::new(vector);
        let mismatch = (400, "SignatureDoesNotMatch".to_owned());
        let good = v3.authorization.clone();
        for back in 1..=64 {
            v3.authorization = flip(&good, good.len() - back);
            assert_eq!(v3.status(&v3.bytes(unchanged)).await, mismatch, "{} {back}", vector["name"]);
        }
        v3.authorization = good;
        let nonce = v3.bytes(|name, value| match name {
            "x-acs-signature-nonce" => flip(value, 4),
            _ => value.to_owned(),
        });
        assert_eq!(v3.status(&nonce).await, mismatch, "{}", vector["name"]);
        v3.target = flip(&v3.target, v3.target.len() - 1);
        assert_eq!(v3.status(&v3.bytes(unchanged)).await, mismatch, "{}", vector["name"]);
    }
}

fn v1_bytes(vector: &Value, signature: &str, change: impl Fn(&str, &str) -> String) -> Vec<u8> {
    let params = vector["params"].as_object().unwrap();
    let pair = |(name, value): (&String, &Value)| format!("{name}={}", encode(&change(name, text(value))));
    let query: Vec<_> = params.iter().map(pair).collect();
    let (query, signature) = (query.join("&"), encode(signature));
    format!("{} /?{query}&Signature={signature} HTTP/1.1\r\nHost: cdn.aliyuncs.com\r\n\r\n", text(&vector["method"]))
        .into_bytes()
}

async fn v1_status(vector: &Value, bytes: &[u8]) -> (u16, String) {
    let params = &vector["params"];
    let cloud = cloud_for(text(&params["Timestamp"]), params["SecurityToken"].as_str()).await;
    let reply = exchange(address(&cloud), bytes).await;
    (reply.status, reply.code())
}

#[tokio::test]
async fn every_v1_signature_of_the_sdk_is_accepted_and_with_one_changed_character_refused() {
    let all = fixture();
    let vectors = all["v1_rpc_hmac_sha1"].as_array().unwrap();
    assert_eq!(vectors.len(), 8);
    for vector in vectors {
        let good = text(&vector["signature"]);
        let got = v1_status(vector, &v1_bytes(vector, good, unchanged)).await;
        assert_eq!(got, (200, String::new()), "{}", vector["name"]);
        if let Some(url) = vector["url"].as_str() {
            let target = url.strip_prefix("https://cdn.aliyuncs.com").unwrap();
            let bytes = format!("POST {target} HTTP/1.1\r\nHost: cdn.aliyuncs.com\r\n\r\n");
            assert_eq!(v1_status(vector, bytes.as_bytes()).await, (200, String::new()), "{}", vector["name"]);
        }
        let mismatch = (400, "SignatureDoesNotMatch".to_owned());
        for at in 0..27 {
            let got = v1_status(vector, &v1_bytes(vector, &flip(good, at), unchanged)).await;
            assert_eq!(got, mismatch, "{} {at}", vector["name"]);
        }
        let nonce = v1_bytes(vector, good, |name, value| match name {
            "SignatureNonce" => flip(value, 4),
            _ => value.to_owned(),
        });
        assert_eq!(v1_status(vector, &nonce).await, mismatch, "{}", vector["name"]);
    }
}
