//! The JSON Schema for editors: draft 7, which all of them know.
//!
//! Nothing is listed here a second time. The reader says which keys there are, as it reads them; `config/default.toml` says
//! what they are for. The schema refuses nothing that the reader takes; of what that refuses it sees unknown keys, types,
//! words and ranges. It judges each file by itself, so that what another file may have is not missing here.

mod comments;
mod patterns;

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use self::comments::Comments;
use super::{Entry, Environment, effective::Shape, load, parts::Part};

/// The shipped configuration, with every key and what it is for.
const DEFAULTS: &str = include_str!("../../config/default.toml");

/// The key on which it depends which others a table has.
const SOURCE: &str = "source";
/// The key that brings those of another source with it.
const BASE_SOURCE: &str = "base_source";

/// The schema, as text that ends with a line's end.
#[must_use]
pub fn schema() -> String {
    let comments = Comments::read(DEFAULTS);
    let mut root = Node::default();
    for (key, variants) in keys() {
        let (path, name) = key.rsplit_once('.').unwrap_or(("", &key));
        let mut node = &mut root;
        for part in path.split('.') {
            node = node.tables.entry(part.trim_end_matches("[]").to_owned()).or_default();
            node.is_repeated |= part.ends_with("[]");
        }
        node.keys.push((name.to_owned(), variants));
    }
    let mut schema = root.schema("", &comments);
    let title = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Configuration of cdn-usaged",
        "description": "What config.toml and the files of conf.d may hold.",
    });
    if let (Json::Object(schema), Json::Object(title)) = (&mut schema, title) {
        schema.extend(title);
    }
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}

/// What is known of a key: its record, and the sources that it belongs to if it does not belong to all.
struct Variants {
    entry: Entry,
    order: usize,
    sources: Vec<&'static str>,
}

/// Every key that there is, by its path, in which `[]` stands for an index.
fn keys() -> BTreeMap<String, Variants> {
    let record = |source: &str, more: &str| {
        let text =
            format!("[http]\n[[account]]\n[[account.expect]]\n[account.credentials]\nsource = {source:?}\n{more}");
        // Files are missing in it, which is no matter: what is asked for is what would be read.
        load::read(&[Part { path: "schema".into(), text }], &Environment::empty()).1
    };
    let words = words(&record("default", ""), SOURCE);
    let mut found: BTreeMap<String, Variants> = BTreeMap::new();
    for word in words {
        let mut entries = record(word, "");
        for base in self::words(&entries, BASE_SOURCE) {
            entries.extend(record(word, &format!("{BASE_SOURCE} = {base:?}\n")));
        }
        for (order, entry) in entries.into_iter().enumerate() {
            let path = entry.path().replace("[0]", "[]");
            let variants = found.entry(path).or_insert(Variants { entry, order, sources: Vec::new() });
            if !variants.sources.contains(word) {
                variants.sources.push(word);
            }
        }
    }
    for variants in found.values_mut().filter(|v| v.sources.len() == words.len()) {
        variants.sources.clear();
    }
    found
}

/// The words that a key may be.
fn words(entries: &[Entry], key: &str) -> &'static [&'static str] {
    match entries.iter().find(|e| e.key == key).map(|e| e.shape) {
        Some(Shape::Text { words }) => words,
        _ => &[],
    }
}

#[derive(Default)]
struct Node {
    keys: Vec<(String, Variants)>,
    tables: BTreeMap<String, Node>,
    /// One of several, `[[account]]`.
    is_repeated: bool,
}

impl Node {
    fn schema(mut self, path: &str, comments: &Comments) -> Json {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        self.keys.sort_by_key(|(_, variants)| variants.order);
        let conditions = conditions(&self.keys);
        let mut properties = Map::new();
        for (name, variants) in self.keys {
            properties.insert(name.clone(), property(&variants.entry, comments.of(&below(&name))));
        }
        for (name, table) in self.tables {
            let path = below(&name);
            let is_repeated = table.is_repeated;
            let schema = table.schema(&path, comments);
            let schema = if is_repeated { json!({ "type": "array", "items": schema }) } else { schema };
            properties.insert(name, schema);
        }
        let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
        if let Some(text) = comments.of(path) {
            schema["description"] = text.into();
        }
        if !conditions.is_empty() {
            schema["allOf"] = conditions.into();
        }
        schema
    }
}

/// For each source the keys that it has. Only where the source stands in the same file: it may also stand in another.
fn conditions(keys: &[(String, Variants)]) -> Vec<Json> {
    let Some((_, source)) = keys.iter().find(|(name, _)| name == SOURCE) else { return Vec::new() };
    let Shape::Text { words } = source.entry.shape else { return Vec::new() };
    let of = |word: &str| {
        let has = |v: &Variants| v.sources.is_empty() || v.sources.contains(&word);
        let names: Vec<_> = keys.iter().filter(|(_, v)| has(v)).map(|(name, _)| name).collect();
        json!({
            "if": { "required": [SOURCE], "properties": { SOURCE: { "const": word } } },
            "then": { "propertyNames": { "enum": names } },
        })
    };
    words.iter().map(|word| of(word)).collect()
}

fn property(entry: &Entry, description: Option<&str>) -> Json {
    let mut schema = match entry.shape {
        Shape::Text { words: [] } => json!({ "type": "string" }),
        Shape::Text { words } => json!({ "type": "string", "enum": words }),
        Shape::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Words { words } => {
            json!({ "type": "array", "items": { "type": "string", "enum": words }, "minItems": 1, "uniqueItems": true })
        }
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Integer { low, high } => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Shape::Duration { low, high } => json!({ "type": "string", "pattern": patterns::duration(low, high) }),
        Shape::Size { low, high } => json!({
            "type": ["string", "integer"],
            "minimum": low,
            "maximum": high,
            "pattern": patterns::size(),
        }),
    };
    if let Some(text) = description {
        schema["description"] = text.into();
    }
    if let Some(default) = &entry.default {
        schema["default"] = serde_json::to_value(default).unwrap_or_default();
    }
    schema
}
