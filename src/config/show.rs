//! A configuration as it is in force, as TOML that says the same again, and as JSON.

use std::fmt::Write as _;

use serde_json::{Value as Json, json};
use toml::Value;

use super::{Entry, Loaded, Origin};
use crate::text::visible;

/// Where the words on a value's origin begin, where there is room for them.
const ORIGIN_COLUMN: usize = 60;

impl Loaded {
    /// The file, the variable or the default that a value comes from, for people.
    #[must_use]
    pub fn origin_text(&self, origin: Origin) -> String {
        match origin {
            Origin::Default => "default".to_owned(),
            Origin::File { file, line } => {
                let path = self.files.get(file).map_or_else(String::new, |path| path.display().to_string());
                format!("{}:{line}", visible(&path))
            }
            Origin::Environment { variable } => format!("${variable}"),
        }
    }

    /// TOML with every key, defaults included, which read again gives the same configuration. What is not set and has no
    /// default is left out. There is no secret in it, because there is none in what it was read from.
    #[must_use]
    pub fn to_toml(&self, with_origin: bool) -> String {
        let mut text = String::new();
        let mut section = "";
        for entry in &self.entries {
            if entry.section != section {
                section = &entry.section;
                let gap = if text.is_empty() { "" } else { "\n" };
                let _ = writeln!(text, "{gap}{}", header(section));
            }
            let Some(value) = &entry.value else { continue };
            let line = format!("{} = {value}", entry.key);
            if with_origin {
                let _ = writeln!(text, "{line:ORIGIN_COLUMN$} # {}", self.origin_text(entry.origin));
            } else {
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    /// One object with every section, as the TOML has them.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut root = json!({});
        for entry in &self.entries {
            let Some(value) = &entry.value else { continue };
            let mut at = &mut root;
            for (name, index) in parts(&entry.section) {
                at = match index {
                    None => &mut at[name],
                    Some(index) => {
                        let items = at[name].take();
                        let mut items = if let Json::Array(items) = items { items } else { Vec::new() };
                        if items.len() <= index {
                            items.resize_with(index + 1, || json!({}));
                        }
                        at[name] = Json::Array(items);
                        &mut at[name][index]
                    }
                };
            }
            at[entry.key] = plain(value);
        }
        root
    }

    /// An object for each key that is set, with where it comes from.
    pub fn to_json_lines(&self) -> impl Iterator<Item = Json> {
        self.entries.iter().filter_map(|entry| Some(self.line(entry, entry.value.as_ref()?)))
    }

    fn line(&self, entry: &Entry, value: &Value) -> Json {
        let mut line = json!({ "key": entry.path(), "value": plain(value) });
        let account = parts(&entry.section).next().filter(|(name, _)| *name == "account").and_then(|(_, index)| index);
        if let Some(account) = account.and_then(|index| self.config.accounts.get(index)) {
            line["account"] = account.name.as_str().into();
        }
        match entry.origin {
            Origin::Default => line["origin"] = "default".into(),
            Origin::File { file, line: at } => {
                line["origin"] = "file".into();
                line["file"] = self.files.get(file).map(|path| path.display().to_string()).into();
                line["line"] = at.into();
            }
            Origin::Environment { variable } => {
                line["origin"] = "environment".into();
                line["variable"] = variable.into();
            }
        }
        line
    }
}

/// The tables that lead to a section, each with its index where it is one of several.
fn parts(section: &str) -> impl Iterator<Item = (&str, Option<usize>)> {
    section.split('.').map(|part| match part.trim_end_matches(']').split_once('[') {
        Some((name, index)) => (name, index.parse().ok()),
        None => (part, None),
    })
}

fn header(section: &str) -> String {
    let names: Vec<_> = parts(section).map(|(name, _)| name).collect();
    let name = names.join(".");
    if section.ends_with(']') { format!("[[{name}]]") } else { format!("[{name}]") }
}

/// The kinds of values that there are.
fn plain(value: &Value) -> Json {
    match value {
        Value::Integer(n) => (*n).into(),
        Value::Boolean(b) => (*b).into(),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}
