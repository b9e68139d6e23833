//! The body of a refusal: JSON with keys in any case, XML, HTML of a proxy, or nothing.

use serde_json::value::RawValue;

use crate::{
    cdn::wire::{self, Element},
    text::redact,
};

/// A code is a short word; the bound keeps whatever else may come out of logs and labels.
const CODE_MAX_CHARS: usize = 100;

/// Real messages are a sentence or two.
const MESSAGE_MAX_CHARS: usize = 500;

/// What the service, or something before it, says instead of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The service's code; none when the body is not the service's.
    pub code: Option<String>,
    /// Its message, or the beginning of a foreign body. Without signatures, without what the server signed, and short.
    pub message: String,
    /// Identifies the call.
    pub request_id: Option<String>,
    /// The RAM action that is missing, where the service says so.
    pub auth_action: Option<String>,
}

impl Refusal {
    /// Reads a body; whatever it is, something comes of it. `key_id` is our own access key id, which the service
    /// repeats in some messages.
    #[must_use]
    pub fn parse(body: &[u8], key_id: &str) -> Self {
        let text = wire::text(body);
        let text = text.trim();
        let found = if wire::is_markup(text) { from_xml(text) } else { from_json(text) };
        let mut refusal = found.unwrap_or_else(|| Self { message: foreign(text), ..Self::default() });
        refusal.code = refusal.code.map(|code| word(&code)).filter(|code| !code.is_empty());
        refusal.request_id = refusal.request_id.map(|id| word(&id)).filter(|id| !id.is_empty());
        refusal.auth_action = refusal.auth_action.map(|action| word(&action)).filter(|action| !action.is_empty());
        refusal.message = presentable(&refusal.message, refusal.code.as_deref(), key_id);
        refusal
    }
}

fn from_json(text: &str) -> Option<Refusal> {
    let root: &RawValue = serde_json::from_str(text).ok()?;
    let [code, message, request_id, detail] =
        wire::members(root, ["Code", "Message", "RequestId", "AccessDeniedDetail"])?;
    let [auth_action] = detail.and_then(|detail| wire::members(detail, ["AuthAction"])).unwrap_or_default();
    let text = |raw: Option<&RawValue>| raw.and_then(wire::text_of);
    (code.is_some() || message.is_some()).then(|| Refusal {
        code: text(code),
        message: text(message).unwrap_or_default(),
        request_id: text(request_id),
        auth_action: text(auth_action),
    })
}

fn from_xml(text: &str) -> Option<Refusal> {
    let root = Element::parse(text).ok()?;
    let (code, message) = (root.child_text("Code"), root.child_text("Message"));
    (code.is_some() || message.is_some()).then(|| Refusal {
        code,
        message: message.unwrap_or_default(),
        request_id: root.child_text("RequestId"),
        auth_action: root.child("AccessDeniedDetail").and_then(|detail| detail.child_text("AuthAction")),
    })
}

/// The beginning of a body that is not the service's: enough to recognise whose it is.
fn foreign(text: &str) -> String {
    if text.is_empty() {
        return "the answer is empty".to_owned();
    }
    // The markup is noise; what stands between it names the proxy.
    let mut words = String::new();
    let mut tag = false;
    for c in text.chars().take(8 * MESSAGE_MAX_CHARS) {
        match c {
            '<' => tag = true,
            '>' if tag => {
                tag = false;
                words.push(' ');
            }
            _ if !tag => words.push(c),
            _ => {}
        }
    }
    format!("an answer that is not the service's: {}", words.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn word(text: &str) -> String {
    text.trim().chars().filter(|c| !c.is_control()).take(CODE_MAX_CHARS).collect()
}

/// A wrong signature is answered with what the server signed, and that holds the headers of the call: the message ends
/// before it. An id is no secret, but whoever reads logs need not have ours.
fn presentable(message: &str, code: Option<&str>, key_id: &str) -> String {
    let lower = message.to_ascii_lowercase();
    let mut marks =
        vec!["server string to sign", "string to sign", "string-to-sign", "stringtosign", "canonical request"];
    if code.is_some_and(|code| code.to_ascii_lowercase().contains("signature")) {
        marks.push(":");
    }
    let end = marks.into_iter().filter_map(|mark| lower.find(mark)).min().unwrap_or(message.len());
    let message = message[..end].trim_end_matches([' ', ':', ',', '.']);
    let message = if key_id.is_empty() { message.to_owned() } else { message.replace(key_id, "[redacted]") };
    // The cut comes last: it could leave half a secret that nothing recognises any more.
    let message: String = redact(&message).chars().take(MESSAGE_MAX_CHARS).collect();
    if message.is_empty() { "without a message".to_owned() } else { message }
}
