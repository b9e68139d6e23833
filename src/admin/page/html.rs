//! Markup in which words cannot be anything but words.
//!
//! What is markup is written in this program, so [`Html::raw`] takes nothing else; all other text goes through
//! [`Html::text`]. There is no third way in, and no template language to learn for one page.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::text::{redact, visible};

/// No word is shown at greater length: an error or a name of megabytes would make a page of megabytes.
const TEXT_MAX: usize = 400;

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Our own markup.
    pub(super) fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Words, also those of the network, between tags or within a quoted attribute: without what looks like a secret, with
    /// control characters made visible.
    pub(super) fn text(&mut self, words: &str) -> &mut Self {
        let words = redact(words);
        let words = visible(&words);
        let end = words.char_indices().nth(TEXT_MAX).map_or(words.len(), |(at, _)| at);
        for c in words[..end].chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
        if end < words.len() {
            self.0.push('\u{2026}');
        }
        self
    }

    /// A number.
    pub(super) fn number(&mut self, n: impl Into<u64>) -> &mut Self {
        let n: u64 = n.into();
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{n}");
        self
    }

    /// A time, for people and for programs.
    pub(super) fn time(&mut self, at: Timestamp) -> &mut Self {
        let shown = at.strftime("%Y-%m-%d %H:%M:%S");
        let _ = write!(self.0, "<time datetime=\"{at:.0}\">{shown} UTC</time>");
        self
    }

    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(words: &str) -> String {
        let mut html = Html::default();
        html.text(words);
        html.into_text()
    }

    #[test]
    fn no_word_is_markup_or_a_secret_or_without_end() {
        assert_eq!(of("<script>\"a\" & 'b'"), "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;");
        assert_eq!(of("刷新\n\u{202e}x\u{1b}"), "刷新\\n\\u{202e}x\\u{1b}");
        assert_eq!(
            of("GET https://b.example.com/a?Signature=MARK failed"),
            "GET https://b.example.com/a?[redacted] failed"
        );
        assert_eq!(of(&"新".repeat(1000)), format!("{}…", "新".repeat(TEXT_MAX)));
    }

    #[test]
    fn a_time_is_for_people_and_for_programs() {
        let mut html = Html::default();
        html.time("2026-03-05T04:00:00.999Z".parse().unwrap()).raw(" ").number(7_u8);
        assert_eq!(html.into_text(), "<time datetime=\"2026-03-05T04:00:00Z\">2026-03-05 04:00:00 UTC</time> 7");
    }

    proptest! {
        #[test]
        fn nothing_that_ends_a_text_or_an_attribute_is_left(words in any::<String>()) {
            let shown = of(&words);
            prop_assert!(!shown.contains(['<', '>', '"', '\'']), "{}", shown);
        }
    }
}
