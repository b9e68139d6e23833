//! Encodings: percent, XML, JSON, the date forms of both services.

use std::fmt::Write as _;

use jiff::{Timestamp, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Everything but the unreserved characters of RFC 3986, as every signature of the cloud wants it.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The same for a path, whose slashes stay.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Encodes a name or a value.
pub(crate) fn percent_encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// Encodes a path and keeps its slashes.
pub(crate) fn percent_encode_path(text: &str) -> String {
    utf8_percent_encode(text, RESERVED_IN_PATH).to_string()
}

/// Decodes a path: a plus sign is a plus sign.
pub(crate) fn percent_decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Decodes a query into pairs, in their order. A plus sign is a space, as in a form.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode(&text.replace('+', " "));
    let pair = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decode(name), decode(value))
    };
    query.split('&').filter(|part| !part.is_empty()).map(pair).collect()
}

/// The first value of a name.
pub(crate) fn lookup<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Pairs encoded, sorted by encoded name and value and joined: the canonical query.
pub(crate) fn canonical_query<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> String {
    let mut encoded: Vec<_> = pairs.map(|(name, value)| (percent_encode(name), percent_encode(value))).collect();
    encoded.sort();
    let joined: Vec<_> = encoded.iter().map(|(name, value)| format!("{name}={value}")).collect();
    joined.join("&")
}

/// Text made safe for XML content.
pub(crate) fn xml_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // The characters that XML 1.0 cannot hold at all.
            c if c.is_control() && !matches!(c, '\n' | '\r' | '\t') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Text as a JSON string with its quotes; `html_safe` also hides `&`, `=`, `<` and `>` behind `\u`, as some samples do.
pub(crate) fn json_string(text: &str, html_safe: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || (html_safe && matches!(c, '&' | '=' | '<' | '>')) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// `2018-10-09T06:33:38Z`, the form of the gateway.
pub(crate) fn iso_seconds(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Reads exactly that form.
pub(crate) fn parse_iso_seconds(text: &str) -> Option<Timestamp> {
    parse_utc("%Y-%m-%dT%H:%M:%SZ", text)
}

/// `20181009T063338Z`, the form of OSS V4.
pub(crate) fn basic_seconds(at: Timestamp) -> String {
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Reads exactly that form.
pub(crate) fn parse_basic_seconds(text: &str) -> Option<Timestamp> {
    parse_utc("%Y%m%dT%H%M%SZ", text)
}

/// `Tue, 09 Oct 2018 06:33:38 GMT`, the form of HTTP.
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Reads exactly that form.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    parse_utc("%a, %d %b %Y %H:%M:%S GMT", text)
}

fn parse_utc(form: &str, text: &str) -> Option<Timestamp> {
    let civil = jiff::civil::DateTime::strptime(form, text).ok()?;
    civil.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// A request id in the cloud's form: a random UUID in capitals.
pub(crate) fn request_id() -> String {
    let n: u128 = rand::random();
    let h = format!("{n:032X}");
    format!("{}-{}-4{}-{}-{}", &h[..8], &h[8..12], &h[13..16], &h[16..20], &h[20..])
}

/// A request id in the form of OSS: 24 hex digits in capitals.
pub(crate) fn oss_request_id() -> String {
    let n: u128 = rand::random();
    format!("{n:032X}")[..24].to_owned()
}
