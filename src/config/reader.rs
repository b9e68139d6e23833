//! Reads keys of a configuration one by one, and remembers everything that is wrong with them.
//!
//! A configuration is one file or several, later ones over earlier ones, key by key: a [`Section`] is a table of all of
//! them at once. Every getter (in `values.rs`) hands out a usable value, the default where the file's is wrong, so that
//! one run finds all problems. The caller must ask [`Reading::into_found`] before it believes any of them. Values are never
//! quoted from `[account.credentials]`, where someone may have pasted a secret, and lines of the file are quoted nowhere.

mod values;

use std::cell::RefCell;

use toml::de::{DeTable, DeValue};

use super::{
    effective::{Entry, Origin, Shown},
    error::{Place, Problem},
};

/// Collects what is read and what is wrong, and knows the lines of the texts.
pub(super) struct Reading<'t> {
    texts: Vec<&'t str>,
    found: RefCell<Vec<Problem>>,
    entries: RefCell<Vec<Entry>>,
}

impl<'t> Reading<'t> {
    pub(super) const fn new(texts: Vec<&'t str>) -> Self {
        Self { texts, found: RefCell::new(Vec::new()), entries: RefCell::new(Vec::new()) }
    }

    /// The line, from 1, of a byte of a file's text.
    pub(super) fn line(&self, file: usize, offset: usize) -> Place {
        let text = self.texts.get(file).map_or(&[][..], |text| text.as_bytes());
        let before = text.get(..offset).unwrap_or(text);
        Place::Line { file, line: 1 + before.iter().filter(|&&b| b == b'\n').count() }
    }

    pub(super) fn add(&self, place: Place, key: impl Into<String>, what: impl Into<String>) {
        self.found.borrow_mut().push(Problem { place, key: key.into(), what: what.into() });
    }

    /// What was found, in the order of the files and their lines; once, although several keys may have led there.
    pub(super) fn into_found(self) -> (Vec<Problem>, Vec<Entry>) {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.place);
        found.dedup();
        (found, self.entries.into_inner())
    }
}

/// A table in one file.
#[derive(Clone)]
struct Layer<'d> {
    file: usize,
    place: Place,
    /// As its own file counts: `account[0]` is the first of that file.
    path: String,
    table: &'d DeTable<'d>,
}

/// What a layer says about a key.
struct Said<'s, 'd> {
    layer: &'s Layer<'d>,
    place: Place,
    value: &'d DeValue<'d>,
}

/// One table of the configuration, or its absence.
pub(super) struct Section<'d> {
    reading: &'d Reading<'d>,
    /// As the whole configuration counts.
    path: String,
    /// Where it would stand.
    place: Place,
    /// In the order of the files: the last that has a key is the one that counts.
    layers: Vec<Layer<'d>>,
    known: Vec<&'static str>,
    is_effective: bool,
}

impl<'d> Section<'d> {
    pub(super) fn root(reading: &'d Reading<'d>, tables: impl Iterator<Item = &'d DeTable<'d>>) -> Self {
        let layers = tables
            .enumerate()
            .map(|(file, table)| Layer { file, place: Place::File { file }, path: String::new(), table })
            .collect();
        let place = Place::File { file: 0 };
        Self { reading, path: String::new(), place, layers, known: Vec::new(), is_effective: true }
    }

    fn child(&self, path: String, place: Place, layers: Vec<Layer<'d>>) -> Self {
        let (reading, is_effective) = (self.reading, self.is_effective);
        Self { reading, path, place, layers, known: Vec::new(), is_effective }
    }

    /// Its full path.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// True when a file has this table.
    pub(super) const fn is_present(&self) -> bool {
        !self.layers.is_empty()
    }

    /// True when a file has this key, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.said(key).next().is_some()
    }

    /// Says that something is wrong with a key: in the line that counts, or in that of the table when the key is missing.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>) {
        let (place, path) = match (self.said(key).last(), self.layers.last()) {
            (Some(said), _) => (said.place, &said.layer.path),
            // Something that no file has at all is missing in the one that was named.
            (None, Some(layer)) if !self.path.is_empty() => (layer.place, &layer.path),
            (None, _) => (self.place, &self.path),
        };
        self.reading.add(place, join(path, key), what);
    }

    /// Says that something is wrong with a variable of the environment.
    pub(super) fn wrong_variable(&self, name: &str, what: impl Into<String>) {
        self.reading.add(Place::Environment, name, what);
    }

    /// A key that was read has this value instead, which a variable of the environment gave.
    pub(super) fn overridden(&self, key: &'static str, value: &impl Shown, variable: &'static str) {
        let mut entries = self.reading.entries.borrow_mut();
        if let Some(entry) = entries.iter_mut().rev().find(|e| e.key == key && e.section == self.path) {
            entry.value = value.shown();
            entry.origin = Origin::Environment { variable };
        }
    }

    /// A nested table; an absent one reads like an empty one.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        self.known.push(key);
        let mut layers = Vec::new();
        for Said { layer, place, value } in self.said(key) {
            let path = join(&layer.path, key);
            match value.as_table() {
                Some(table) => layers.push(Layer { file: layer.file, place, path, table }),
                None => {
                    let what = format!("must be a table, [{path}], but is {}", kind(value));
                    self.reading.add(place, path, what);
                }
            }
        }
        let place =
            self.said(key).last().map_or_else(|| self.layers.last().map_or(self.place, |l| l.place), |s| s.place);
        self.child(join(&self.path, key), place, layers)
    }

    /// The tables of an array, empty when the key is absent; nothing when it holds something else. As with every list, a later
    /// file's replaces that of an earlier one.
    pub(super) fn sections(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let mut only = self.child(self.path.clone(), self.place, Vec::new());
        if let Some(said) = self.said(key).last() {
            only.layers.push(said.layer.clone());
        }
        self.known.push(key);
        // No two have the same: each stands for itself.
        only.merged_sections(key, "", "")
    }

    /// The tables of an array, empty when the key is absent; nothing when it holds something else. Those that have the same
    /// text under the key `identity`, `unnamed` where it is absent, in different files are one.
    pub(super) fn merged_sections(&mut self, key: &'static str, identity: &str, unnamed: &str) -> Option<Vec<Self>> {
        self.known.push(key);
        let (mut groups, mut all_tables) = (Vec::<(Option<String>, Vec<Layer<'d>>)>::new(), true);
        for Said { layer, place, value } in self.said(key) {
            let path = join(&layer.path, key);
            let Some(items) = value.as_array() else {
                self.reading.add(
                    place,
                    &*path,
                    format!("must be a list of tables, [[{path}]], but is {}", kind(value)),
                );
                all_tables = false;
                continue;
            };
            for (i, item) in items.iter().enumerate() {
                let path = format!("{path}[{i}]");
                let span = item.span();
                let place = if span.is_empty() { place } else { self.reading.line(layer.file, span.start) };
                let Some(table) = item.get_ref().as_table() else {
                    all_tables = false;
                    self.reading.add(place, path, format!("must be a table, but is {}", kind(item.get_ref())));
                    continue;
                };
                let layer = Layer { file: layer.file, place, path, table };
                let name = match table.iter().find(|(name, _)| name.get_ref() == identity) {
                    Some((_, value)) => value.get_ref().as_str().map(str::to_owned),
                    None => Some(unnamed.to_owned()),
                };
                let same = |(other, layers): &&mut (Option<String>, Vec<Layer<'d>>)| {
                    name.is_some() && *other == name && layers.iter().all(|l| l.file != layer.file)
                };
                match groups.iter_mut().find(same) {
                    Some((_, layers)) => layers.push(layer),
                    None => groups.push((name, vec![layer])),
                }
            }
        }
        let path = join(&self.path, key);
        let section = |(i, (_, layers))| self.child(format!("{path}[{i}]"), self.place, layers);
        all_tables.then(|| groups.into_iter().enumerate().map(section).collect())
    }

    /// Where a later file names another text under `key`, the table begins anew with that file: what stood in earlier ones
    /// is split off, to be checked by itself.
    pub(super) fn split_off_replaced(&mut self, key: &str) -> Option<Self> {
        let (mut begin, mut before): (usize, Option<&str>) = (0, None);
        for (i, layer) in self.layers.iter().enumerate() {
            let Some(text) = find(layer.table, key).and_then(|(_, value)| value.as_str()) else { continue };
            if before.is_some_and(|before| before != text) {
                begin = i;
            }
            before = Some(text);
        }
        let rest = self.layers.split_off(begin);
        let replaced = std::mem::replace(&mut self.layers, rest);
        (!replaced.is_empty())
            .then(|| Self { is_effective: false, ..self.child(self.path.clone(), self.place, replaced) })
    }

    /// Every key that was never asked for is unknown. `explain` may know more about one.
    pub(super) fn finish_with(self, explain: impl Fn(&str) -> Option<String>) {
        for layer in &self.layers {
            for (key, _) in layer.table {
                let name: &str = key.get_ref();
                if self.known.contains(&name) {
                    continue;
                }
                let what = explain(name).unwrap_or_else(|| {
                    format!("unknown key{} (allowed: {})", did_you_mean(name, &self.known), self.known.join(", "))
                });
                // A key that is no plain word is quoted, so that it cannot drive a terminal.
                let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
                let shown = if plain { name.to_owned() } else { format!("{name:?}") };
                let place = self.reading.line(layer.file, key.span().start);
                self.reading.add(place, join(&layer.path, &shown), what);
            }
        }
    }

    /// Every key that was never asked for is unknown.
    pub(super) fn finish(self) {
        self.finish_with(|_| None);
    }

    /// What the files say about a key, the one that counts last.
    fn said<'s>(&'s self, key: &str) -> impl Iterator<Item = Said<'s, 'd>> {
        self.layers.iter().filter_map(move |layer| {
            let (start, value) = find(layer.table, key)?;
            Some(Said { layer, place: self.reading.line(layer.file, start), value })
        })
    }
}

fn find<'d>(table: &'d DeTable<'d>, key: &str) -> Option<(usize, &'d DeValue<'d>)> {
    let (name, value) = table.iter().find(|(name, _)| name.get_ref() == key)?;
    Some((name.span().start, value.get_ref()))
}

/// The full path of a key.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// What a value is, without what it says.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// `, did you mean "interval"?`, or nothing when no name is near.
pub(super) fn did_you_mean(name: &str, names: &[&str]) -> String {
    // A third of the letters may be wrong: enough for a slip or two, too little for another word.
    let near = |candidate: &str| strsim::damerau_levenshtein(name, candidate);
    let limit = |candidate: &str| (candidate.len().max(name.len()) / 3).max(1);
    // Longer than any name there is: not worth the quadratic comparison.
    if name.len() > 64 {
        return String::new();
    }
    let nearest = names.iter().filter(|c| near(c) <= limit(c)).min_by_key(|c| near(c));
    nearest.map_or_else(String::new, |candidate| format!(", did you mean {candidate:?}?"))
}
