//! Text from the network, made fit to be shown.
//!
//! [`visible`] keeps a task's name from splitting a line or driving a terminal; [`redact`] is the last of several
//! defences that keep signatures and keys out of everything that is shown.

use std::{borrow::Cow, fmt::Write};

use jiff::SignedDuration;

/// A number and what it counts, in English.
#[must_use]
pub fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// A length of time for people, in its two largest units.
#[must_use]
pub fn span(length: SignedDuration) -> String {
    let seconds = length.unsigned_abs().as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, part: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {part}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) if minutes >= 10 => format!("{minutes} min"),
        (0, 0, _) => two(minutes, "min", seconds % 60, "s"),
        (0, ..) => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// A size for people.
#[must_use]
pub fn size(bytes: i64) -> String {
    bytesize::ByteSize(u64::try_from(bytes).unwrap_or(0)).display().iec().to_string()
}

/// What stands where a secret was.
const CUT: &str = "[redacted]";

/// Shows control characters (C0, DEL, C1), line separators and the marks that reorder text as `\n` or `\u{1b}`.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// The same for a line of JSON, which stays the same JSON: it leaves C1 controls and reordering marks as they are, but
/// whoever looks at it has a terminal. They occur only inside strings, and all lie in the first plane, so the short
/// escape means the same.
#[must_use]
pub fn json_visible(line: &str) -> Cow<'_, str> {
    if is_plain(line) || !line.contains(is_hidden) {
        return Cow::Borrowed(line);
    }
    let mut shown = String::with_capacity(line.len() + 16);
    for c in line.chars() {
        if is_hidden(c) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Printable ASCII alone, as nearly every text is: some bytes at a time, where a character takes many steps.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// True for characters that act on a terminal or on the order of a line instead of being seen.
#[must_use]
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// Cuts what looks like a signed query, a key, a token or a string to sign out of a text. It cuts too much rather
/// than too little, and applying it twice changes nothing.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    // Every value of every line comes by, and hardly any has something to cut: a search for each of the names, in a copy in
    // lower case, took a fifth of a first sweep. Cutting brings in no name that was not there.
    let steps: &[fn(&str) -> Option<String>] =
        if may_name_a_secret(text) { &[cut_string_to_sign, cut_urls, cut_values] } else { &[cut_urls] };
    let mut text = Cow::Borrowed(text);
    for step in steps {
        if let Some(shorter) = step(&text) {
            text = Cow::Owned(shorter);
        }
    }
    text
}

/// False when none of the names occurs before which something is cut: each has one of these three letters in it, in any case.
/// One pass, nothing copied.
fn may_name_a_secret(text: &str) -> bool {
    text.as_bytes().windows(3).any(|three| {
        let [a, b, c] = three else { return false };
        matches!(
            [a | 0x20, b | 0x20, c | 0x20],
            [b's', b'i', b'g'] // string to sign, signature
                | [b't', b'o', b'k'] // all kinds of tokens
                | [b'k', b'e', b'y'] // of access keys, their ids and their secrets
                | [b'e', b'd', b'e'] // credential
                | [b'h', b'o', b'r'] // authorization
                | [b'c', b'a', b'l'] // canonicalrequest
        )
    })
}

/// What stands before the text that was signed.
const SIGNED_NAMES: [&str; 4] = ["string to sign", "stringtosign", "string-to-sign", "canonicalrequest"];

/// The service answers a wrong signature with the text it signed, which holds the whole query.
fn cut_string_to_sign(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let at = SIGNED_NAMES.into_iter().filter_map(|name| lower.find(name).map(|at| at + name.len())).min()?;
    let (head, tail) = text.split_at(at);
    // A mere mention at the end of a sentence has nothing to cut.
    (!tail.trim().is_empty() && tail.trim() != CUT).then(|| format!("{head} {CUT}"))
}

/// True where a URL ends in running text.
const fn ends_url(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

/// Cuts the query of every word that has one, with or without a scheme, and a password before a host.
fn cut_urls(text: &str) -> Option<String> {
    if !text.contains(['?', '@']) {
        return None;
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    // Every turn takes a word and the character after it off the text.
    while !rest.is_empty() {
        let end = rest.find(ends_url).unwrap_or(rest.len());
        let (word, tail) = rest.split_at(end);
        cut_word(word, &mut shown);
        let next = tail.chars().next().map_or(0, char::len_utf8);
        shown.push_str(&tail[..next]);
        rest = &tail[next..];
    }
    (shown != text).then_some(shown)
}

fn cut_word(word: &str, shown: &mut String) {
    let scheme = word.find("://");
    let (word, query) = word.split_once('?').map_or((word, None), |(word, query)| (word, Some(query)));
    match scheme.filter(|at| at + 3 <= word.len()).map(|at| word.split_at(at + 3)) {
        Some((scheme, rest)) => {
            let host_end = rest.find(['/', '#']).unwrap_or(rest.len());
            let host = rest[..host_end].rfind('@').map_or(0, |at| at + 1);
            let user = if host > 0 { format!("{CUT}@") } else { String::new() };
            let _ = write!(shown, "{scheme}{user}{}", &rest[host..]);
        }
        None => shown.push_str(word),
    }
    if let Some(query) = query {
        // Without a scheme a question mark may just end a question.
        let cut = scheme.is_some() || query.contains('=') || query.to_ascii_lowercase().contains("%3d");
        let _ = write!(shown, "?{}", if cut && !query.is_empty() { CUT } else { query });
    }
}

/// What stands before a value that is cut.
const VALUE_NAMES: [&str; 13] = [
    "signature",
    "security-token",
    "security_token",
    "securitytoken",
    "sts_token",
    "oidctoken",
    "accesskeysecret",
    "access_key_secret",
    "accesskeyid",
    "access_key_id",
    "access-key-id",
    "credential",
    "authorization",
];

/// Cuts the values of parameters, headers, JSON members and XML elements that carry keys, tokens and signatures.
fn cut_values(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    // Every turn moves past at least one name.
    while let Some((start, name)) =
        VALUE_NAMES.into_iter().filter_map(|name| lower[at..].find(name).map(|i| (at + i, name))).min()
    {
        let after = start + name.len();
        let separator = separator(&lower[after..], name == "authorization");
        let value = after + separator.map_or(0, |(length, _)| length);
        shown.push_str(&text[at..value]);
        at = value;
        if let Some((_, ends)) = separator {
            let length = text[value..].find(ends).unwrap_or(text.len() - value);
            if length > 0 {
                shown.push_str(CUT);
            }
            at = value + length;
        }
    }
    shown.push_str(&text[at..]);
    (shown != text).then_some(shown)
}

/// Whether a value ends before this character.
type Ends = fn(char) -> bool;

/// How long the text between a name and its value is, and where the value ends.
fn separator(after: &str, is_header: bool) -> Option<(usize, Ends)> {
    let blanks = |text: &str| text.len() - text.trim_start_matches([' ', '\t', '"', '\'']).len();
    let word = |c: char| ends_url(c) || matches!(c, '&' | ',' | ';');
    let line = |c: char| matches!(c, '\n' | '\r' | '"' | '<');
    for encoded in ["%3d", "%253d"] {
        if after.starts_with(encoded) {
            return Some((encoded.len(), |c| ends_url(c) || matches!(c, '&' | ',' | ';' | '%')));
        }
    }
    let quote = usize::from(after.starts_with(['"', '\'']));
    let gap = quote + blanks(&after[quote..]);
    match after.as_bytes().get(gap)? {
        b'=' => Some((gap + 1 + blanks(&after[gap + 1..]), word)),
        b'>' if gap == 0 => Some((1, line)),
        // A plain colon follows a name in many an innocent sentence; only a header and a quoted JSON name count.
        b':' if is_header => Some((gap + 1 + blanks(&after[gap + 1..]), line)),
        b':' if quote > 0 => Some((gap + 1 + blanks(&after[gap + 1..]), word)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_length_of_time_has_two_units_at_most() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (61, "1 min 1 s"),
            (601, "10 min"),
            (3_600, "1 h"),
            (7_260, "2 h 1 min"),
            (86_400, "1 d"),
            (2 * 86_400 + 3 * 3_600 + 59, "2 d 3 h"),
            (-61, "1 min 1 s"),
        ];
        for (seconds, shown) in table {
            assert_eq!(span(SignedDuration::from_secs(seconds)), shown);
        }
        assert!(span(SignedDuration::MIN).ends_with(" h"));
    }

    #[test]
    fn what_acts_on_a_terminal_is_made_visible() {
        for (text, shown) in [
            ("plain \u{4e2d}\u{6587} text", "plain \u{4e2d}\u{6587} text"),
            ("a\nb\r\tc", "a\\nb\\r\\tc"),
            ("\u{1b}[31mred\u{7f}", "\\u{1b}[31mred\\u{7f}"),
            ("\u{9b}2J\u{85}", "\\u{9b}2J\\u{85}"),
            ("\u{202e}cod\u{2066}\u{200f}\u{2028}\0", "\\u{202e}cod\\u{2066}\\u{200f}\\u{2028}\\u{0}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
    }

    #[test]
    fn signatures_keys_and_tokens_are_cut_whatever_they_are_wrapped_in() {
        for text in [
            "error sending https://b.oss.com/a?OSSAccessKeyId=1&Signature=MARK&Expires=1 now",
            "b.oss.com/a?Expires=1&Signature=MARK",
            "see (HTTPS://b.oss.com/a?MARK)",
            "https://user:MARK@host/x",
            "Signature=MARK&x=1",
            "x-oss-signature=MARK",
            "x-oss-credential=MARK%2F20260101%2Fcn-beijing",
            "security-token=MARK",
            "SecurityToken=MARK",
            "OSSAccessKeyId = MARK",
            "AccessKeyId%3DMARK%26Action%3DDescribe",
            "a%26AccessKeyId%253DMARK%2526b",
            "{\"AccessKeySecret\": \"MARK\", \"x\": 1}",
            "{'SecurityToken':'MARK'}",
            "<OSSAccessKeyId>MARK</OSSAccessKeyId>",
            "Authorization: OSS id:MARK",
            "authorization: ACS3-HMAC-SHA256 Credential=x,SignedHeaders=host,Signature=MARK",
            "the specified signature is not matched with our calculation. server string to sign is:GET&%2F&MARK",
            "<StringToSign>GET\n\n\n1\nMARK</StringToSign>",
            "access_key_secret = \"MARK\"",
        ] {
            let shown = redact(text);
            assert!(!shown.contains("MARK"), "{text} -> {shown}");
            assert!(shown.contains(CUT), "{text} -> {shown}");
            assert_eq!(redact(&shown), shown);
        }
    }

    #[test]
    fn what_surrounds_a_secret_stays() {
        assert_eq!(
            redact("GET https://b.oss.com/a/b.xlsx?Signature=1&a=2 failed: 403"),
            "GET https://b.oss.com/a/b.xlsx?[redacted] failed: 403"
        );
        assert_eq!(redact("a=1&Signature=xyz&b=2"), "a=1&Signature=[redacted]&b=2");
        assert_eq!(
            redact("<SecurityToken>x</SecurityToken><Code>C</Code>"),
            "<SecurityToken>[redacted]</SecurityToken><Code>C</Code>"
        );
        for innocent in [
            "is the signature wrong?",
            "config.toml:3: account[0].credentials.access_key_secret: secrets are never written here",
            "SignatureDoesNotMatch",
            "task 2026?",
            "someone@example.com asks: why? because",
            "https://cdn.aliyuncs.com/ answered 503",
        ] {
            assert!(matches!(redact(innocent), Cow::Borrowed(_)), "{innocent} -> {}", redact(innocent));
        }
    }

    #[test]
    fn every_name_before_a_secret_is_noticed_in_any_case() {
        for name in SIGNED_NAMES.into_iter().chain(VALUE_NAMES) {
            for text in [name.to_owned(), format!("x{}", name.to_uppercase()), format!("\u{212a}{name}\u{e9}")] {
                assert!(may_name_a_secret(&text), "{text}");
            }
        }
        assert!(!may_name_a_secret("task main/usage-detail/34230590001 went from created to success"));
    }

    #[test]
    fn plain_text_is_printable_ascii_alone() {
        assert!(is_plain("") && is_plain(" a~"));
        for text in ["a\tb", "a\x7f", "\u{80}", "caf\u{e9}", "a\u{202e}b", "\x1b[31m"] {
            assert!(!is_plain(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn redacting_twice_changes_nothing_and_never_panics(
            text in "(Signature|AccessKeyId|security-token|https://|[=?&@:\"'<> %3Dd\\n\u{e9}a]|string to sign|authorization){0,12}"
        ) {
            let once = redact(&text).into_owned();
            prop_assert_eq!(redact(&once).into_owned(), once.clone());
        }

        #[test]
        fn what_is_cut_is_the_same_as_if_every_name_were_searched_for(
            text in "([Ss]ignature|Access[Kk]eyId|security-token|https://|[=?&@:\"'<> %3Dd\\n\u{e9}\u{212a}a]|sTring to sign|AUTHORIZATION|canonicalrequest|credentia|l|gent|oKen){0,12}"
        ) {
            let mut all = text.clone();
            for step in [cut_string_to_sign, cut_urls, cut_values] {
                all = step(&all).unwrap_or(all);
            }
            prop_assert_eq!(redact(&text).into_owned(), all);
        }

        #[test]
        fn nothing_hidden_is_left_after_visible(text in any::<String>()) {
            prop_assert!(!visible(&text).contains(is_hidden));
        }
    }
}
