//! Answers that hold keys, and those that say why there are none. No text of either that could be a key gets out.

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;

use super::{CredentialsError, Kind, is_key, sts::Got};
use crate::text::redact;

/// Temporary keys as they were handed out.
pub(super) struct Issued {
    pub(super) access_key_id: String,
    pub(super) access_key_secret: SecretString,
    pub(super) security_token: SecretString,
    pub(super) expires_at: Timestamp,
    /// The time by the clock of whoever handed them out, where it said so.
    pub(super) date: Option<Timestamp>,
}

/// Messages of the service are a sentence or two.
const MESSAGE_MAX_CHARS: usize = 300;
/// Codes are a word.
const CODE_MAX_CHARS: usize = 100;

/// Keys beside a `Code` that must say `Success`, as metadata and URIs have them.
pub(super) fn issued(got: &Got, what: &str) -> Result<Issued, CredentialsError> {
    let json = got.json(what)?;
    match json.get("Code").and_then(Value::as_str) {
        Some("Success") => keys(&json, got, what),
        Some(code) => Err(refused(format!("{what} answers {}", word(code)))),
        None => Err(refused(format!("{what} answers without a Code, which would have to be Success"))),
    }
}

/// The four fields. The answer holds secrets, so that nothing of it is quoted.
pub(super) fn keys(json: &Value, got: &Got, what: &str) -> Result<Issued, CredentialsError> {
    let field = |name: &str| {
        let text = json.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
        text.ok_or_else(|| refused(format!("{what} answers without {name}")))
    };
    let key = |name: &str| {
        let text = field(name)?;
        let right = is_key(text);
        right.then(|| text.to_owned()).ok_or_else(|| {
            refused(format!("{what} answers with {name} that holds a blank or a control character, which no key has"))
        })
    };
    let expires_at = field("Expiration")?
        .parse()
        .map_err(|_| refused(format!("{what} answers with an Expiration that is no time of RFC 3339")))?;
    Ok(Issued {
        access_key_id: key("AccessKeyId")?,
        access_key_secret: key("AccessKeySecret")?.into(),
        security_token: key("SecurityToken")?.into(),
        expires_at,
        date: got.date,
    })
}

fn refused(text: String) -> CredentialsError {
    CredentialsError::new(Kind::Refused, text)
}

/// A code or a name from the network: one short word.
pub(super) fn word(text: &str) -> String {
    redact(text).chars().filter(|c| !c.is_control()).take(CODE_MAX_CHARS).collect()
}

/// What a refusal says: its code and its message. Of a body that is no refusal nothing is shown: it might be keys.
pub(super) fn refusal(body: &[u8]) -> (Option<String>, String) {
    let Ok(json) = serde_json::from_slice::<Value>(body) else { return (None, String::new()) };
    let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = text("Code").map(|code| word(&code)).filter(|code| !code.is_empty());
    if code.is_none() || json.get("AccessKeySecret").is_some() {
        return (code, String::new());
    }
    (code, text("Message").map(|message| sentence(&message)).unwrap_or_default())
}

/// Without what was signed, and short. A wrong signature is answered with the text that the server signed.
fn sentence(message: &str) -> String {
    let lower = message.to_ascii_lowercase();
    let end =
        ["string to sign", "stringtosign", "canonical", "server string"].iter().filter_map(|m| lower.find(m)).min();
    let message = message.get(..end.unwrap_or(message.len())).unwrap_or_default();
    let message = redact(message);
    // A word this long is no word of a sentence; a token may be.
    let words = message.split_whitespace().map(|word| if word.len() > 100 { "[redacted]" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(MESSAGE_MAX_CHARS).collect()
}
