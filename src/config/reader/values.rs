//! The getters: what a key may be, its default, and what the files make of it.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::DeValue;

use super::{Said, Section, join, kind};
use crate::config::{
    effective::{Entry, Origin, Shape, Shown},
    units::{parse_duration, parse_size, show_duration, show_size},
};

impl Section<'_> {
    /// A value that `read` understands; it answers with what is wrong, and what is allowed. What every file says is checked,
    /// also what a later one overrides.
    fn value<T: Shown>(
        &mut self,
        key: &'static str,
        shape: Shape,
        default: T,
        mut read: impl FnMut(&DeValue<'_>) -> Result<T, String>,
    ) -> T {
        self.known.push(key);
        let mut origin = Origin::Default;
        let built_in = default.shown();
        let mut result = default;
        for Said { layer, place, value } in self.said(key) {
            match read(value) {
                Ok(value) => {
                    result = value;
                    origin = place.into();
                }
                Err(what) => self.reading.add(place, join(&layer.path, key), what),
            }
        }
        if self.is_effective {
            let (section, value) = (self.path.clone(), result.shown());
            self.reading.entries.borrow_mut().push(Entry { section, key, shape, default: built_in, value, origin });
        }
        result
    }

    /// Text that `read` understands.
    pub(in crate::config) fn text<T: Shown>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnMut(&str) -> Result<T, String>,
    ) -> T {
        self.word(key, default, &[], read)
    }

    /// Text that is one of these words; `read` is asked all the same.
    pub(in crate::config) fn word<T: Shown>(
        &mut self,
        key: &'static str,
        default: T,
        words: &'static [&'static str],
        mut read: impl FnMut(&str) -> Result<T, String>,
    ) -> T {
        self.value(key, Shape::Text { words }, default, |value| match value.as_str() {
            Some(text) => read(text),
            None => Err(format!("must be text in quotes, but is {}", kind(value))),
        })
    }

    /// A list of texts, each of which `read` understands.
    pub(in crate::config) fn texts<T>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T>
    where
        Vec<T>: Shown,
    {
        self.value(key, Shape::Texts, default, |value| {
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

    /// A list of some of these words, at least one, each once.
    pub(in crate::config) fn words<T: PartialEq>(
        &mut self,
        key: &'static str,
        default: Vec<T>,
        words: &'static [&'static str],
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T>
    where
        Vec<T>: Shown,
    {
        self.value(key, Shape::Words { words }, default, |value| {
            let all = format!("{words:?}");
            let Some(items) = value.as_array() else {
                return Err(format!("must be a list, such as {all}"));
            };
            let mut result = Vec::new();
            for item in items {
                let text = item.get_ref().as_str().ok_or_else(|| format!("must hold texts, such as {all}"))?;
                let one = read(text)?;
                if result.contains(&one) {
                    return Err(format!("names \"{text}\" twice"));
                }
                result.push(one);
            }
            if result.is_empty() { Err(format!("is empty; allowed: one or more of {all}")) } else { Ok(result) }
        })
    }

    pub(in crate::config) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.boolean_as(key, default, |value| value)
    }

    /// True or false, without a default.
    pub(in crate::config) fn optional_boolean(&mut self, key: &'static str) -> Option<bool> {
        self.boolean_as(key, None, Some)
    }

    fn boolean_as<T: Shown>(&mut self, key: &'static str, default: T, wrap: fn(bool) -> T) -> T {
        self.value(key, Shape::Boolean, default, |value| {
            value.as_bool().map(wrap).ok_or_else(|| format!("must be true or false, but is {}", kind(value)))
        })
    }

    pub(in crate::config) fn integer<T>(&mut self, key: &'static str, default: T, allowed: RangeInclusive<u32>) -> T
    where
        T: TryFrom<u32> + Into<u32> + Copy,
    {
        let (low, high) = (*allowed.start(), *allowed.end());
        let number = self.value(key, Shape::Integer { low, high }, default.into(), |value| {
            let Some(number) = value.as_integer() else {
                return Err(format!("must be a whole number from {low} to {high}, but is {}", kind(value)));
            };
            u32::from_str_radix(number.as_str(), number.radix())
                .ok()
                .filter(|n| allowed.contains(n) && T::try_from(*n).is_ok())
                .ok_or_else(|| format!("is {number}, which is not within {low} to {high}"))
        });
        T::try_from(number).unwrap_or(default)
    }

    pub(in crate::config) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        allowed: RangeInclusive<Duration>,
    ) -> Duration {
        self.duration_as(key, default, allowed, |duration| duration)
    }

    /// A duration without a default.
    pub(in crate::config) fn optional_duration(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        self.duration_as(key, None, allowed, Some)
    }

    fn duration_as<T: Shown>(
        &mut self,
        key: &'static str,
        default: T,
        allowed: RangeInclusive<Duration>,
        wrap: fn(Duration) -> T,
    ) -> T {
        let (low, high) = (show_duration(*allowed.start()), show_duration(*allowed.end()));
        let shape = Shape::Duration { low: *allowed.start(), high: *allowed.end() };
        self.value(key, shape, default, |value| {
            let Some(text) = value.as_str() else {
                let kind = kind(value);
                return Err(format!(
                    "must be a duration in quotes with a unit, \"{low}\" to \"{high}\", but is {kind}"
                ));
            };
            let duration = parse_duration(text).map_err(|e| format!("{e}; allowed: \"{low}\" to \"{high}\""))?;
            if allowed.contains(&duration) {
                Ok(wrap(duration))
            } else {
                Err(format!("is {text:?}, which is not within \"{low}\" to \"{high}\""))
            }
        })
    }

    /// Bytes: text with a unit, or a plain number.
    pub(in crate::config) fn size(&mut self, key: &'static str, default: u64, allowed: RangeInclusive<u64>) -> u64 {
        let (low, high) = (show_size(*allowed.start()), show_size(*allowed.end()));
        let shape = Shape::Size { low: *allowed.start(), high: *allowed.end() };
        let size = self.value(key, shape, Bytes(default), |value| {
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
                .map(Bytes)
                .ok_or_else(|| format!("is {shown}, which is not within \"{low}\" to \"{high}\""))
        });
        size.0
    }
}

/// A size, so that it is shown with its unit.
struct Bytes(u64);

impl Shown for Bytes {
    fn shown(&self) -> Option<toml::Value> {
        Some(toml::Value::String(show_size(self.0)))
    }
}
