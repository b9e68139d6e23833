//! The JSON of a listing.
//!
//! Values stay unparsed text until somebody wants them. So a number keeps its digits, a row keeps its own text, a key
//! may come twice (the last one counts), and nesting costs no stack where nobody looks: serde_json skips a raw value
//! without recursion, however deep it is.
//!
//! A page of fifty tasks takes some 2.3 million instructions, half of them here, as each level is gone through once more, and a fifth
//! for the links. To record it takes half as much again if nothing is new, and three times as much if everything is.

use std::fmt;

use serde::{
    Deserializer as _,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Draft, Fields, ROWS_MAX, Row, Scalar};

pub(super) fn draft(body: &str) -> Result<Draft<'_>, String> {
    let root: &RawValue = serde_json::from_str(body).map_err(|e| format!("it is no JSON: {e}"))?;
    let [page, request_id, code, total, number, size] =
        members(root, ["UsageDataPerPage", "RequestId", "Code", "TotalCount", "PageNumber", "PageSize"])
            .ok_or_else(|| format!("it is {}, not an object", kind(root)))?;
    // The counters have been inside of the page and beside it.
    let inner = page.and_then(|page| members(page, ["TotalCount", "PageNumber", "PageSize", "Data", "UsageData"]));
    let [total_in, number_in, size_in, data, usage_data] = inner.unwrap_or_default();
    let mut rows = Rows::default();
    match (page, inner) {
        (Some(page), None) if is(page, b'[') => rows.container(page)?,
        _ => {
            if let Some(data) = data.or(usage_data) {
                rows.container(data)?;
            }
        }
    }
    Ok(Draft {
        request_id: request_id.and_then(text_of),
        has_code: code.and_then(text_of).is_some_and(|code| !code.is_empty()),
        has_page: inner.is_some() || !rows.0.is_empty(),
        total: scalar(total_in.or(total)),
        number: scalar(number_in.or(number)),
        size: scalar(size_in.or(size)),
        rows: rows.0,
    })
}

#[derive(Default)]
struct Rows<'a>(Vec<Row<'a>>);

impl<'a> Rows<'a> {
    /// `Data`: an object that holds `DataItem`, a list of rows, a single row, or nothing in some form.
    fn container(&mut self, data: &'a RawValue) -> Result<(), String> {
        if is(data, b'[') {
            for element in elements(data)? {
                match members(element, ["DataItem", "TaskId"]) {
                    Some([Some(items), None]) => self.items(items)?,
                    _ => self.push(element)?,
                }
            }
            return Ok(());
        }
        match members(data, ["DataItem"]) {
            Some([Some(items)]) => self.items(items),
            _ => self.single(data),
        }
    }

    fn items(&mut self, items: &'a RawValue) -> Result<(), String> {
        if is(items, b'[') {
            elements(items)?.into_iter().try_for_each(|row| self.push(row))
        } else {
            self.single(items)
        }
    }

    /// One row where a list should be, unless it is a way of saying "none".
    fn single(&mut self, value: &'a RawValue) -> Result<(), String> {
        let compact: String = value.get().chars().filter(|c| !c.is_whitespace()).take(5).collect();
        if matches!(compact.as_str(), "null" | "\"\"" | "{}") { Ok(()) } else { self.push(value) }
    }

    fn push(&mut self, row: &'a RawValue) -> Result<(), String> {
        if self.0.len() >= ROWS_MAX {
            return Err(format!("it has more than {ROWS_MAX} rows"));
        }
        self.0.push(Row { raw: row.get(), fields: fields(row) });
        Ok(())
    }
}

fn fields(row: &RawValue) -> Result<Fields, String> {
    let [id, name, status, link, created, updated, config] =
        members(row, ["TaskId", "TaskName", "Status", "DownloadUrl", "CreateTime", "UpdateTime", "TaskConfig"])
            .ok_or_else(|| format!("it is {}, not an object", kind(row)))?;
    let [range_start, range_end] = config.and_then(|c| members(c, ["StartTime", "EndTime"])).unwrap_or_default();
    Ok(Fields {
        id: scalar(id),
        name: scalar(name),
        status: scalar(status),
        link: scalar(link),
        created: scalar(created),
        updated: scalar(updated),
        range_start: scalar(range_start),
        range_end: scalar(range_end),
    })
}

/// The members of an object by their names in any case, the last one of each; none if it is no object.
pub fn members<'a, const N: usize>(raw: &'a RawValue, names: [&str; N]) -> Option<[Option<&'a RawValue>; N]> {
    struct Members<'n, const N: usize>([&'n str; N]);

    impl<'de, const N: usize> Visitor<'de> for Members<'_, N> {
        type Value = [Option<&'de RawValue>; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = [None; N];
            while let Some((key, value)) = map.next_entry::<std::borrow::Cow<'de, str>, &'de RawValue>()? {
                if let Some(at) = self.0.iter().position(|name| name.eq_ignore_ascii_case(&key))
                    && let Some(slot) = found.get_mut(at)
                {
                    *slot = Some(value);
                }
            }
            Ok(found)
        }
    }

    if !is(raw, b'{') {
        return None;
    }
    serde_json::Deserializer::from_str(raw.get()).deserialize_map(Members(names)).ok()
}

/// The elements of a list.
fn elements(raw: &RawValue) -> Result<Vec<&RawValue>, String> {
    struct Elements;

    impl<'de> Visitor<'de> for Elements {
        type Value = Vec<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = seq.next_element()? {
                if list.len() >= ROWS_MAX {
                    return Err(serde::de::Error::custom(format_args!("more than {ROWS_MAX} rows")));
                }
                list.push(element);
            }
            Ok(list)
        }
    }

    serde_json::Deserializer::from_str(raw.get()).deserialize_seq(Elements).map_err(|e| e.to_string())
}

/// A member as text, if it is text or a whole number.
pub fn text_of(raw: &RawValue) -> Option<String> {
    match scalar(Some(raw)) {
        Scalar::Text(text) | Scalar::Integer(text) => Some(text),
        Scalar::Missing | Scalar::Other(_) => None,
    }
}

fn scalar(raw: Option<&RawValue>) -> Scalar {
    let Some(raw) = raw else { return Scalar::Missing };
    let text = raw.get();
    if is(raw, b'"') {
        return serde_json::from_str(text).map_or(Scalar::Other("broken text"), Scalar::Text);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return Scalar::Integer(text.to_owned());
    }
    Scalar::Other(kind(raw))
}

fn is(raw: &RawValue, first: u8) -> bool {
    raw.get().as_bytes().first() == Some(&first)
}

fn kind(raw: &RawValue) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b'"') => "text",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}
