//! A configuration as it is in force, as TOML that says the same again, and as JSON.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value as Json, json};
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
        let mut root = Map::new();
        let mut accounts: BTreeMap<usize, Map<String, Json>> = BTreeMap::new();
        for entry in &self.entries {
            let Some(value) = &entry.value else { continue };
            let (table, rest) = match account(&entry.section) {
                Some((index, rest)) => (accounts.entry(index).or_default(), rest),
                None => (&mut root, &*entry.section),
            };
            insert(table, rest, entry.key, plain(value));
        }
        root.insert("account".to_owned(), accounts.into_values().map(Json::Object).collect());
        Json::Object(root)
    }

    /// An object for each key that is set, with where it comes from.
    pub fn to_json_lines(&self) -> impl Iterator<Item = Json> {
        self.entries.iter().filter_map(|entry| Some(self.line(entry, entry.value.as_ref()?)))
    }

    fn line(&self, entry: &Entry, value: &Value) -> Json {
        let mut line = json!({ "key": entry.path(), "value": plain(value) });
        let account = account(&entry.section).and_then(|(index, _)| self.config.accounts.get(index));
        if let Some(account) = account {
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

/// Which account a section belongs to, and what it is below that.
fn account(section: &str) -> Option<(usize, &str)> {
    let (index, rest) = section.strip_prefix("account[")?.split_once(']')?;
    Some((index.parse().ok()?, rest.trim_start_matches('.')))
}

/// Puts a value below the tables of a dotted path.
fn insert(table: &mut Map<String, Json>, path: &str, key: &str, value: Json) {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    if first.is_empty() {
        table.insert(key.to_owned(), value);
    } else if let Some(nested) = table.entry(first).or_insert_with(|| json!({})).as_object_mut() {
        insert(nested, rest, key, value);
    }
}

fn header(section: &str) -> String {
    match account(section) {
        Some((_, "")) => "[[account]]".to_owned(),
        Some((_, below)) => format!("[account.{below}]"),
        None => format!("[{section}]"),
    }
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
