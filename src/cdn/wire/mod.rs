//! Answers of the listing, read leniently: one odd row costs itself, never its page.
//!
//! The service's samples repeat keys, give ids as numbers and as text, leave fields out and disagree with its tables,
//! so nothing here is strict but identity: a row without a usable id or status is kept raw. What this folder parses
//! into stays here; only [`Page`] leaves it.

mod cut;
mod json;
mod xml;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use tracing::debug;

pub(super) use self::{
    cut::shorten,
    json::{members, text_of},
    xml::Element,
};
use crate::model::{
    link::SignedUrl,
    task::{Status, TaskId, TaskSnapshot},
};

/// The most rows that are read of one answer. A page holds 50 at most; two hundred times that is no page, and the
/// bound keeps a broken answer from filling the memory.
const ROWS_MAX: usize = 10_000;

/// The longest raw text kept of a row that cannot be read, in bytes. A good row has well under 4 KiB.
const RAW_MAX_BYTES: usize = 16 * 1024;

/// The longest task name that is kept, in characters; more is cut. The console takes far fewer.
const NAME_MAX_CHARS: usize = 4096;

/// A count above this is nonsense: 100,000 pages of 50 are all that can be asked for.
const TOTAL_MAX: u64 = 1_000_000_000;

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// Identifies the call to the service's support.
    pub request_id: Option<String>,
    /// How many tasks the listing has, if the answer says so and it can be true.
    pub total: Option<u64>,
    /// Which page this is, by the service's word.
    pub number: Option<u32>,
    /// How many rows a page has, by the service's word: it may be fewer than were asked for.
    pub size: Option<u32>,
    /// The rows that can be read, in the order of the answer.
    pub rows: Vec<TaskSnapshot>,
    /// The others, in the order of the answer.
    pub rejected: Vec<RejectedRow>,
    /// Calls that were made for it, refused and failed ones included.
    pub calls: u32,
    /// How long the answer was.
    pub bytes: usize,
}

/// A row that cannot be taken into the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RejectedRow {
    /// Its id, where that at least can be read.
    pub id: Option<TaskId>,
    /// Its own text, every query of a link cut, 16 KiB at most.
    pub raw: String,
    /// What is wrong with it: a lower-case fragment.
    pub error: String,
}

/// Why an answer is no page.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The body is the service's refusal, whatever the HTTP status said.
    #[error("the answer is an error of the service")]
    Refusal,
    /// Neither a page nor a refusal.
    #[error("the answer is not a page of the listing: {0}")]
    Malformed(String),
}

/// Reads a page. The format goes by the content, not by a header: JSON is asked for, but gateways answer in XML too.
///
/// # Errors
/// When the body is a refusal, cannot be parsed, or has neither a total nor anything that a page has.
pub fn page(body: &[u8]) -> Result<Page, AnswerError> {
    let body = text(body);
    let draft =
        if is_markup(&body) { xml::draft(&body) } else { json::draft(&body) }.map_err(AnswerError::Malformed)?;
    let total = draft.total.number().filter(|&n| n <= TOTAL_MAX);
    if !draft.has_page {
        if draft.has_code {
            return Err(AnswerError::Refusal);
        }
        if total.is_none() {
            return Err(AnswerError::Malformed("it has neither a total nor rows".to_owned()));
        }
    }
    let mut page = Page {
        request_id: draft.request_id,
        total,
        number: draft.number.number().and_then(|n| u32::try_from(n).ok()),
        size: draft.size.number().and_then(|n| u32::try_from(n).ok()),
        ..Page::default()
    };
    for row in draft.rows {
        match row.fields.map_err(|error| (None, error)).and_then(snapshot) {
            Ok(snapshot) => page.rows.push(snapshot),
            Err((id, error)) => page.rejected.push(RejectedRow { id, raw: cut::row(row.raw, RAW_MAX_BYTES), error }),
        }
    }
    Ok(page)
}

/// The body as text: without a byte order mark, and bytes that are no UTF-8 replaced, since one of them must not cost
/// the page.
pub(super) fn text(body: &[u8]) -> std::borrow::Cow<'_, str> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    // Nearly always it is; the check of the whole takes a tenth of what the other takes, character by character.
    std::str::from_utf8(body).map_or_else(|_| String::from_utf8_lossy(body), std::borrow::Cow::Borrowed)
}

/// Whether the text is XML or HTML rather than JSON.
pub(super) fn is_markup(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

/// What both formats are read into.
#[derive(Debug, Default)]
struct Draft<'a> {
    request_id: Option<String>,
    has_code: bool,
    has_page: bool,
    total: Scalar,
    number: Scalar,
    size: Scalar,
    rows: Vec<Row<'a>>,
}

#[derive(Debug)]
struct Row<'a> {
    /// Its own text in the answer.
    raw: &'a str,
    /// Or what it is instead of an object.
    fields: Result<Fields, String>,
}

#[derive(Debug, Default)]
struct Fields {
    id: Scalar,
    name: Scalar,
    status: Scalar,
    link: Scalar,
    created: Scalar,
    updated: Scalar,
    range_start: Scalar,
    range_end: Scalar,
}

/// A value that should be text or a whole number.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
enum Scalar {
    #[default]
    Missing,
    Text(String),
    /// The digits as they were sent, so that no id is rounded.
    Integer(String),
    /// Something else; what, in words.
    Other(&'static str),
}

impl Scalar {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Integer(text) => Some(text),
            Self::Missing | Self::Other(_) => None,
        }
    }

    /// A count; none when it is negative, too large or no number.
    fn number(&self) -> Option<u64> {
        self.text()?.trim().parse().ok()
    }

    fn time(&self) -> Option<Timestamp> {
        self.text().and_then(time)
    }

    fn required(&self, name: &str) -> Result<&str, String> {
        match self {
            Self::Missing => Err(format!("it has no {name}")),
            Self::Other(what) => Err(format!("its {name} is {what}")),
            Self::Text(text) if text.trim().is_empty() => Err(format!("its {name} is empty")),
            Self::Text(text) | Self::Integer(text) => Ok(text),
        }
    }
}

fn snapshot(fields: Fields) -> Result<TaskSnapshot, (Option<TaskId>, String)> {
    let id = fields
        .id
        .required("TaskId")
        .and_then(|text| TaskId::parse(text).map_err(|e| e.to_string()))
        .map_err(|error| (None, error))?;
    let status = match &fields.status {
        Scalar::Integer(_) => Err("its Status is a number".to_owned()),
        status => status.required("Status").and_then(|text| Status::parse(text).map_err(|e| e.to_string())),
    };
    let status = match status {
        Ok(status) => status,
        Err(error) => return Err((Some(id), error)),
    };
    let link = match &fields.link {
        Scalar::Text(text) if !text.trim().is_empty() => SignedUrl::parse(text)
            .inspect_err(
                |error| debug!(target: "cdn_usaged::poll", task_id = %id, %error, "a row is kept without its link"),
            )
            .ok(),
        _ => None,
    };
    Ok(TaskSnapshot {
        name: fields
            .name
            .text()
            .filter(|name| !name.is_empty())
            .map(|name| name.chars().take(NAME_MAX_CHARS).collect()),
        status,
        created_at: fields.created.time(),
        updated_at: fields.updated.time(),
        range_start: fields.range_start.time(),
        range_end: fields.range_end.time(),
        link,
        id,
    })
}

/// Reads a time of the service, UTC; one without a zone is taken as UTC too. Outside of 2000 to 2199 it is nonsense.
/// Cut to the milliseconds that the database keeps, so that what was stored and what is seen again compare equal.
fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let at = text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime = text.parse().ok()?;
        local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    let year = at.to_zoned(TimeZone::UTC).year();
    if (2000..2200).contains(&year) { Timestamp::from_millisecond(at.as_millisecond()).ok() } else { None }
}

#[cfg(test)]
mod tests;
