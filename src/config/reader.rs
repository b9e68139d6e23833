//! Reads keys of a TOML document one by one, and remembers everything that is wrong with them.
//!
//! Every getter hands out a usable value, the default where the file's is wrong, so that one run finds all problems.
//! The caller must ask [`Problems::into_found`] before it believes any of them. Values are never quoted from
//! `[account.credentials]`, where someone may have pasted a secret, and lines of the file are quoted nowhere.

use std::{cell::RefCell, ops::RangeInclusive, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{
    error::{Place, Problem},
    units::{parse_duration, parse_size, show_duration, show_size},
};

/// Collects what is wrong, and knows the lines of the text.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: RefCell<Vec<Problem>>,
}

impl<'t> Problems<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, found: RefCell::new(Vec::new()) }
    }

    /// The line, from 1, of a byte of the text.
    pub(super) fn line(&self, offset: usize) -> Place {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        Place::Line(1 + before.iter().filter(|&&b| b == b'\n').count())
    }

    pub(super) fn add(&self, place: Place, key: impl Into<String>, what: impl Into<String>) {
        self.found.borrow_mut().push(Problem { place, key: key.into(), what: what.into() });
    }

    /// What was found, in the order of the file.
    pub(super) fn into_found(self) -> Vec<Problem> {
        let mut found = self.found.into_inner();
        found.sort_by_key(|problem| problem.place);
        found
    }
}

/// One table of the document, or its absence.
pub(super) struct Section<'d> {
    problems: &'d Problems<'d>,
    path: String,
    place: Place,
    table: Option<&'d DeTable<'d>>,
    known: Vec<&'static str>,
}

impl<'d> Section<'d> {
    pub(super) const fn root(problems: &'d Problems<'d>, table: &'d DeTable<'d>) -> Self {
        Self { problems, path: String::new(), place: Place::File, table: Some(table), known: Vec::new() }
    }

    /// True when the file has this table.
    pub(super) const fn is_present(&self) -> bool {
        self.table.is_some()
    }

    /// True when the file has this key, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The full path of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Says that something is wrong with a key: in its line, or in that of the table when the key is missing.
    pub(super) fn wrong(&self, key: &str, what: impl Into<String>) {
        let place = self.find(key).map_or(self.place, |(place, _)| place);
        self.problems.add(place, self.key(key), what);
    }

    /// Says that something is wrong with a variable of the environment.
    pub(super) fn wrong_variable(&self, name: &str, what: impl Into<String>) {
        self.problems.add(Place::Environment, name, what);
    }

    /// A nested table; an absent one reads like an empty one.
    pub(super) fn section(&mut self, key: &'static str) -> Self {
        let (mut place, mut table) = (self.place, None);
        if let Some((at, value)) = self.get(key) {
            place = at;
            table = value.as_table();
            if table.is_none() {
                self.wrong(key, format!("must be a table, [{}], but is {}", self.key(key), kind(value)));
            }
        }
        Self { problems: self.problems, path: self.key(key), place, table, known: Vec::new() }
    }

    /// An array of tables, empty when the key is absent; nothing when it holds something else.
    pub(super) fn sections(&mut self, key: &'static str) -> Option<Vec<Self>> {
        let Some((place, value)) = self.get(key) else { return Some(Vec::new()) };
        let path = self.key(key);
        let Some(items) = value.as_array() else {
            self.wrong(key, format!("must be a list of tables, [[{path}]], but is {}", kind(value)));
            return None;
        };
        let (mut sections, mut all_tables) = (Vec::new(), true);
        for (i, item) in items.iter().enumerate() {
            let path = format!("{path}[{i}]");
            let place = if item.span().is_empty() { place } else { self.problems.line(item.span().start) };
            match item.get_ref().as_table() {
                Some(table) => {
                    let section = Self { problems: self.problems, path, place, table: Some(table), known: Vec::new() };
                    sections.push(section);
                }
                None => {
                    all_tables = false;
                    self.problems.add(place, path, format!("must be a table, but is {}", kind(item.get_ref())));
                }
            }
        }
        all_tables.then_some(sections)
    }

    /// A value that `read` understands; it answers with what is wrong, and what is allowed.
    pub(super) fn value<T>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        let Some((_, value)) = self.get(key) else { return default };
        match read(value) {
            Ok(value) => value,
            Err(what) => {
                self.wrong(key, what);
                default
            }
        }
    }

    /// Text that `read` understands.
    pub(super) fn text<T>(&mut self, key: &'static str, default: T, read: impl FnOnce(&str) -> Result<T, String>) -> T {
        self.value(key, default, |value| match value.as_str() {
            Some(text) => read(text),
            None => Err(format!("must be text in quotes, but is {}", kind(value))),
        })
    }

    /// A list of texts, each of which `read` understands.
    pub(super) fn texts<T>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.value(key, default, |value| {
            let Some(items) = value.as_array() else {
                return Err(format!("must be a list of texts, [\"...\"], but is {}", kind(value)));
            };
            let read_one = |item: &DeValue<'_>| match item.as_str() {
                Some(text) => read(text),
                None => Err(format!("must hold texts in quotes, but has {}", kind(item))),
            };
            items.iter().map(|item| read_one(item.get_ref())).collect()
        })
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, |value| {
            value.as_bool().ok_or_else(|| format!("must be true or false, but is {}", kind(value)))
        })
    }

    pub(super) fn integer<T>(&mut self, key: &'static str, default: T, allowed: RangeInclusive<u32>) -> T
    where
        T: TryFrom<u32>,
    {
        let (low, high) = (*allowed.start(), *allowed.end());
        self.value(key, default, |value| {
            let Some(number) = value.as_integer() else {
                return Err(format!("must be a whole number from {low} to {high}, but is {}", kind(value)));
            };
            u32::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|n| allowed.contains(n))
                .and_then(|n| T::try_from(n).ok())
                .ok_or_else(|| format!("is {number}, which is not within {low} to {high}"))
        })
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        let (low, high) = (show_duration(*allowed.start()), show_duration(*allowed.end()));
        self.value(key, default, |value| {
            let Some(text) = value.as_str() else {
                let kind = kind(value);
                return Err(format!(
                    "must be a duration in quotes with a unit, \"{low}\" to \"{high}\", but is {kind}"
                ));
            };
            let duration = parse_duration(text).map_err(|e| format!("{e}; allowed: \"{low}\" to \"{high}\""))?;
            if allowed.contains(&duration) {
                Ok(duration)
            } else {
                Err(format!("is {text:?}, which is not within \"{low}\" to \"{high}\""))
            }
        })
    }

    /// Bytes: text with a unit, or a plain number.
    pub(super) fn size(&mut self, key: &'static str, default: u64, allowed: RangeInclusive<u64>) -> u64 {
        let (low, high) = (show_size(*allowed.start()), show_size(*allowed.end()));
        self.value(key, default, |value| {
            let (bytes, shown) = match value {
                DeValue::String(text) => {
                    let bytes = parse_size(text).map_err(|e| format!("{e}; allowed: \"{low}\" to \"{high}\""))?;
                    (Some(bytes), format!("{text:?}"))
                }
                DeValue::Integer(n) => (u64::from_str_radix(n.as_str(), n.radix()).ok(), n.to_string()),
                _ => return Err(format!("must be a size such as \"1GiB\", but is {}", kind(value))),
            };
            bytes
                .filter(|n| allowed.contains(n))
                .ok_or_else(|| format!("is {shown}, which is not within \"{low}\" to \"{high}\""))
        })
    }

    /// Every key that was never asked for is unknown. `explain` may know more about one.
    pub(super) fn finish_with(self, explain: impl Fn(&str) -> Option<String>) {
        for (key, _) in self.table.into_iter().flatten() {
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
            self.problems.add(self.problems.line(key.span().start), self.key(&shown), what);
        }
    }

    /// Every key that was never asked for is unknown.
    pub(super) fn finish(self) {
        self.finish_with(|_| None);
    }

    fn get(&mut self, key: &'static str) -> Option<(Place, &'d DeValue<'d>)> {
        self.known.push(key);
        self.find(key)
    }

    fn find(&self, key: &str) -> Option<(Place, &'d DeValue<'d>)> {
        let (name, value) = self.table?.iter().find(|(name, _)| name.get_ref() == key)?;
        Some((self.problems.line(name.span().start), value.get_ref()))
    }
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
