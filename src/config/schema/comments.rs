//! What the shipped configuration says of its keys.

use std::collections::BTreeMap;

/// Descriptions by the path of section or key.
pub(super) struct Comments(BTreeMap<String, String>);

/// A line of the shipped configuration.
enum Line<'a> {
    /// `[poll]`, `[[account]]`, also as `#[http]`.
    Section(&'a str),
    /// `#interval = "1m"`
    Key(&'a str),
    /// `#   profile = "billing"`, a key without a default.
    Example(&'a str),
    /// `# A sentence.`
    Text(&'a str),
    /// `#`
    Break,
    /// Nothing.
    End,
}

fn line(line: &str) -> Line<'_> {
    let comment = line.strip_prefix('#');
    let bare = comment.unwrap_or(line);
    let key = |text: &str| {
        let (name, _) = text.split_once(" = ")?;
        let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        is_name.then_some(name.len())
    };
    if bare.starts_with('[') {
        return Line::Section(bare.trim_matches(['[', ']']));
    }
    if let Some(end) = key(bare) {
        return Line::Key(&bare[..end]);
    }
    match comment {
        None => Line::End,
        Some("") => Line::Break,
        Some(text) => {
            let inner = text.trim_start();
            match key(inner).filter(|_| text.starts_with("   ")) {
                Some(end) => Line::Example(&inner[..end]),
                None => Line::Text(text.strip_prefix(' ').unwrap_or(text)),
            }
        }
    }
}

impl Comments {
    pub(super) fn read(text: &str) -> Self {
        let (mut found, mut section) = (BTreeMap::new(), String::new());
        let (mut prose, mut is_over, mut is_listed) = (String::new(), false, false);
        for text in text.lines() {
            match line(text) {
                Line::Section(name) => {
                    name.clone_into(&mut section);
                    found.insert(section.clone(), std::mem::take(&mut prose));
                }
                Line::Key(name) => {
                    found.insert(format!("{section}.{name}"), std::mem::take(&mut prose));
                    is_over = false;
                }
                // Several may stand below one paragraph.
                Line::Example(name) => {
                    // What is said of a key where it stands first.
                    found.entry(format!("{section}.{name}")).or_insert_with(|| prose.clone());
                    is_over = false;
                }
                Line::Text(text) => {
                    if std::mem::take(&mut is_over) {
                        prose.clear();
                    }
                    if !prose.is_empty() {
                        prose.push(if text.starts_with(' ') || is_listed { '\n' } else { ' ' });
                    }
                    prose.push_str(text);
                    is_listed = text.starts_with(' ');
                }
                Line::Break => is_over = true,
                Line::End => prose.clear(),
            }
        }
        // The first key of a section may have been explained with the section.
        let sources: Vec<_> = found.keys().filter(|k| k.ends_with(".source")).cloned().collect();
        for key in sources {
            let section = key.trim_end_matches(".source");
            if let (Some(""), Some(text)) = (found.get(&key).map(String::as_str), found.get(section).cloned()) {
                found.insert(key, text);
            }
        }
        Self(found)
    }

    /// What a key or a section is for.
    pub(super) fn of(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str).filter(|text| !text.is_empty())
    }
}
