//! The little of INI that credentials files use: sections, `key = value`, comments.

/// The value of a key in a section; of several, the last. Names are compared as they are, keys without regard to
/// case. A value ends at `#`, as the official Python SDK has it: no key holds one.
#[derive(Debug)]
pub(super) struct Section<'t>(Vec<(String, &'t str)>);

impl<'t> Section<'t> {
    /// The section of this name, or nothing when there is none. A section that occurs twice is read as one.
    pub(super) fn find(text: &'t str, name: &str) -> Option<Self> {
        let mut found: Option<Self> = None;
        let mut inside = false;
        for line in text.trim_start_matches('\u{feff}').lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                inside = header.split(']').next().is_some_and(|n| n.trim() == name);
                if inside {
                    found.get_or_insert(Self(Vec::new()));
                }
            } else if let Some((key, value)) = line.split_once(['=', ':']).filter(|_| inside)
                && let Some(Self(entries)) = &mut found
            {
                let value = value.split('#').next().unwrap_or_default().trim();
                entries.push((key.trim().to_ascii_lowercase(), unquoted(value)));
            }
        }
        found
    }

    /// The value of a key, given in lower case.
    pub(super) fn get(&self, key: &str) -> Option<&'t str> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| *value)
    }
}

fn unquoted(value: &str) -> &str {
    let pair = |quote| value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote));
    pair('"').or_else(|| pair('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_comments_and_quotes_are_read() {
        let text = "\u{feff}; c\nstray = 1\n[default]\r\n# c\nType = access_key   # inline\naccess_key_id=\"id=x\"\n\
                    [ other ] ; c\na = 1\n[default]\naccess_key_id: 'second'\nnonsense\n";
        let default = Section::find(text, "default").unwrap();
        assert_eq!(default.get("type"), Some("access_key"));
        assert_eq!(default.get("access_key_id"), Some("second"));
        assert_eq!((default.get("a"), default.get("stray"), default.get("nonsense")), (None, None, None));
        assert_eq!(Section::find(text, "other").unwrap().get("a"), Some("1"));
        assert!(Section::find(text, "Default").is_none());
        assert_eq!(Section::find("[e]", "e").unwrap().get("x"), None);
        assert_eq!(Section::find("[q]\na=\"b=c\"\nb='", "q").unwrap().get("a"), Some("b=c"));
    }
}
