//! A window as `--json` prints it, the same for every command that shows windows.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    clock::rfc3339,
    completeness::Expected,
    model::window::{Counts, Early, Fate, Span, Undelivered, WindowState, words},
};

/// A window of an expectation. Ranges are as in the listing: the end is the last second.
#[derive(Serialize)]
pub(super) struct WindowJson<'a> {
    account: &'a str,
    export: &'static str,
    name: &'a str,
    window: &'static str,
    time_zone: String,
    date: String,
    range_start: String,
    range_end: String,
    state: &'static str,
    why: String,
    due_at: String,
    export_by: Option<String>,
    deliver_by: Option<String>,
    counts: Vec<FileJson<'a>>,
    superseded: Vec<FileJson<'a>>,
    lacking: Vec<RangeJson>,
    lost: Vec<RangeJson>,
    undelivered: Vec<UndeliveredJson<'a>>,
    early: Vec<EarlyJson<'a>>,
    create: Vec<CreateJson>,
}

#[derive(Serialize)]
struct RangeJson {
    range_start: String,
    range_end: String,
}

#[derive(Serialize)]
struct FileJson<'a> {
    task_id: &'a str,
    revision: u32,
    path: &'a str,
    sha256: &'a str,
    #[serde(flatten)]
    range: RangeJson,
}

#[derive(Serialize)]
struct UndeliveredJson<'a> {
    task_id: &'a str,
    status: &'a str,
    fate: &'static str,
    reason: Option<&'static str>,
    unlisted_at: Option<String>,
    leaves_listing_at: Option<String>,
    #[serde(flatten)]
    range: RangeJson,
}

#[derive(Serialize)]
struct EarlyJson<'a> {
    task_id: &'a str,
    created_at: String,
}

/// The parameters as the API spells them.
#[derive(Serialize)]
struct CreateJson {
    #[serde(rename = "Action")]
    action: &'static str,
    #[serde(rename = "StartTime")]
    start: String,
    #[serde(rename = "EndTime")]
    end: String,
    #[serde(rename = "Type")]
    data: Option<&'static str>,
}

impl<'a> WindowJson<'a> {
    pub(super) fn new(expected: &'a Expected, state: &'a WindowState) -> Self {
        let expectation = &expected.expectation;
        let RangeJson { range_start, range_end } = range(state.window.span);
        let create = words::create(state, expectation.export, expectation.data);
        Self {
            account: expected.listing.account.as_str(),
            export: expectation.export.as_str(),
            name: expectation.name.as_str(),
            window: expectation.kind.as_str(),
            time_zone: expectation.zone_name(),
            date: state.window.to_string(),
            range_start,
            range_end,
            state: state.state.as_str(),
            why: words::why(state),
            due_at: rfc3339(state.due_at),
            export_by: state.export_by.map(rfc3339),
            deliver_by: state.deliver_by.map(rfc3339),
            counts: state.counts.iter().map(file).collect(),
            superseded: state.superseded.iter().map(file).collect(),
            lacking: state.lacking.iter().copied().map(range).collect(),
            lost: state.lost.iter().copied().map(range).collect(),
            undelivered: state.undelivered.iter().map(undelivered).collect(),
            early: state.early.iter().map(early).collect(),
            create: create
                .into_iter()
                .map(|c| CreateJson { action: c.action, start: c.start, end: c.end, data: c.data })
                .collect(),
        }
    }
}

fn range(span: Span) -> RangeJson {
    RangeJson { range_start: rfc3339(span.start()), range_end: rfc3339(span.last_second()) }
}

fn file(counts: &Counts) -> FileJson<'_> {
    let Counts { task, revision, path, sha256, range: span } = counts;
    FileJson { task_id: task.as_str(), revision: *revision, path, sha256, range: range(*span) }
}

fn early(early: &Early) -> EarlyJson<'_> {
    EarlyJson { task_id: early.task.as_str(), created_at: rfc3339(early.created_at) }
}

fn undelivered(u: &Undelivered) -> UndeliveredJson<'_> {
    let time = |at: Option<Timestamp>| at.map(rfc3339);
    UndeliveredJson {
        task_id: u.task.as_str(),
        status: &u.status,
        fate: u.fate.as_str(),
        reason: match u.fate {
            Fate::Abandoned(reason) => reason.map(crate::model::download::Reason::as_str),
            _ => None,
        },
        unlisted_at: time(u.unlisted_at),
        leaves_listing_at: time(u.leaves_listing_at),
        range: range(u.range),
    }
}
