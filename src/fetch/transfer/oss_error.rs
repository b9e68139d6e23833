//! What the object store says when it refuses.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::header::HeaderMap;

use crate::text;

/// As much of the server's own words as is kept, in characters. Real messages have under 200.
const TEXT_MAX: usize = 300;

/// The parts of an error body that are safe to show. The rest (the string to sign, the signature, the key's id) is never
/// looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OssError {
    code: Option<String>,
    message: Option<String>,
    /// The finer code that the vendor's manual is ordered by.
    ec: Option<String>,
    /// The request's id, where no header has it.
    pub(super) request_id: Option<String>,
}

impl OssError {
    /// Reads the body, or the header that stands in for an empty one.
    #[must_use]
    pub fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).and_then(|v| v.to_str().ok());
        let stand_in = header("x-oss-err").and_then(|t| STANDARD.decode(t.trim()).ok()).unwrap_or_default();
        let xml = String::from_utf8_lossy(if body.is_empty() { &stand_in } else { body });
        let ec = header("x-oss-ec").map(scrub);
        if !xml.contains("<Error") {
            return Self { ec, ..Self::default() };
        }
        Self {
            code: element(&xml, "Code"),
            message: element(&xml, "Message"),
            ec: element(&xml, "EC").or(ec),
            request_id: element(&xml, "RequestId"),
        }
    }
}

impl fmt::Display for OssError {
    /// A continuation: empty, or `: Code: Message (EC …)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in [&self.code, &self.message].into_iter().flatten() {
            write!(f, ": {part}")?;
        }
        self.ec.as_ref().map_or(Ok(()), |ec| write!(f, " (EC {ec})"))
    }
}

/// The text of the first element of this name.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    let text = quick_xml::escape::unescape(text).map_or_else(|_| text.to_owned(), |t| t.into_owned());
    Some(scrub(&text)).filter(|t| !t.is_empty())
}

/// Makes text from the network fit to be shown: one line, not too long, and without queries, signatures, keys and tokens.
pub(super) fn scrub(text: &str) -> String {
    let redacted = text::redact(text);
    let words: Vec<&str> =
        redacted.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(TEXT_MAX) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_message_and_ec_are_shown_and_nothing_else() {
        let body =
            b"<?xml version=\"1.0\"?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we \
            calculated &lt;differs&gt;.\nCheck</Message><RequestId>5C3D</RequestId><HostId>h</HostId>\
            <OSSAccessKeyId>MARK</OSSAccessKeyId><SignatureProvided>MARK</SignatureProvided>\
            <StringToSign>GET MARK</StringToSign><EC>0002-00000040</EC></Error>";
        let error = OssError::read(&HeaderMap::new(), body);
        assert_eq!(
            error.to_string(),
            ": SignatureDoesNotMatch: The request signature we calculated <differs>. Check (EC 0002-00000040)"
        );
        assert_eq!(error.request_id.as_deref(), Some("5C3D"));
    }

    #[test]
    fn a_header_stands_in_for_an_empty_body() {
        let mut headers = HeaderMap::new();
        let xml = STANDARD.encode("<Error><Code>NoSuchKey</Code></Error>");
        headers.insert("x-oss-err", xml.parse().unwrap());
        headers.insert("x-oss-ec", "0026-00000001".parse().unwrap());
        assert_eq!(OssError::read(&headers, b"").to_string(), ": NoSuchKey (EC 0026-00000001)");
        assert_eq!(OssError::read(&HeaderMap::new(), b"<html>\xff").to_string(), "");
    }

    #[test]
    fn text_of_the_network_is_one_short_line_without_secrets() {
        let text = "see https://b.example.com/x?Signature=MARK&Expires=1 and\r\nOSSAccessKeyId=MARK \u{1b}[31mred\u{1b}[0m \
            x-oss-signature=MARK";
        let shown = scrub(text);
        assert!(!shown.contains("MARK") && !shown.contains('\n') && !shown.contains('\u{1b}'), "{shown}");
        assert!(shown.contains("https://b.example.com/x?[redacted]"), "{shown}");
        assert_eq!(scrub("bad. string-to-sign is: GET MARK"), "bad. string-to-sign [redacted]");
        assert_eq!(scrub(&"刷".repeat(1000)).chars().count(), TEXT_MAX + 1);
    }
}
