//! What is shown or kept of foreign text: short, and without the query of any link.

/// The text of a row with every query cut, at most `max` bytes. A row that cannot be read cannot be trusted to have its
/// link in the usual place or spelling, so a question mark in any guise takes the rest of its string along: losing half
/// a name is cheaper than keeping a signature.
pub fn row(raw: &str, max: usize) -> String {
    let markup = raw.starts_with('<');
    let marks: &[&str] = if markup { &["?", "&#63;", "&#x3f;", "&#x3F;"] } else { &["?", "\\u003f", "\\u003F"] };
    let mut out = String::new();
    // Cutting only shortens a text or lengthens it a little, so what comes after is not worth the search.
    let mut rest = shorten(raw, max.saturating_mul(4));
    // Ends: each turn shortens the rest.
    while out.len() <= max {
        let Some((at, mark)) = marks.iter().filter_map(|m| rest.find(m).map(|at| (at, *m))).min() else { break };
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        out.push_str("?[redacted]");
        let after = &after[mark.len()..];
        let end = if markup { after.find('<') } else { end_of_string(after) };
        rest = end.map_or("", |end| &after[end..]);
    }
    out.push_str(rest);
    shorten(&out, max).to_owned()
}

/// Where the JSON string ends that `text` is the rest of.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let end = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        end
    })
}

/// The first `max` bytes, without cutting a character in two.
pub fn shorten(text: &str, max: usize) -> &str {
    if text.len() <= max { text } else { &text[..text.floor_char_boundary(max)] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_spelling_of_a_query_survives() {
        let raws = [
            r#"{"DownloadUrl":"https://h/p?Expires=1&Signature=MARK","Status":"ok"}"#,
            r#"{"DownloadUrl":"https:\/\/h\/p?Expires\u003d1\u0026Signature\u003dMARK","Status":"ok"}"#,
            r#"{"DownloadUrl":"h/p\u003fSignature=MARK","Status":"ok"}"#,
            r#"{"DownloadUrl":"h/p\u003FSignature=MARK","Status":"ok"}"#,
            r#"{"DownloadUrl":"h/p?x=\"MARK","Status":"ok"}"#,
            r#"{"DownloadUrl":["h/p?x=1","h/p?MARK"],"Status":"ok"}"#,
            r#""see http://h/p?MARK""#,
            "<DataItem><DownloadUrl>https://h/p?Expires=1&amp;Signature=MARK</DownloadUrl><Status>ok</Status></DataItem>",
            "<DataItem><DownloadUrl>https://h/p&#63;Signature=MARK</DownloadUrl></DataItem>",
            "<DataItem><DownloadUrl>https://h/p&#x3F;Signature=MARK</DownloadUrl></DataItem>",
        ];
        for raw in raws {
            let cut = row(raw, 4096);
            assert!(!cut.contains("MARK") && cut.contains("?[redacted]"), "{cut}");
            assert_eq!(raw.contains("Status"), cut.contains("Status"), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn cutting_never_panics_and_keeps_its_bound(raw in "[?<>\"\\\\u003fü&#;x]{0,80}", max in 0_usize..60) {
            prop_assert!(row(&raw, max).len() <= max);
        }
    }
}
