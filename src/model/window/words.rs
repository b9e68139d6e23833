//! What is said of a window, everywhere in the same words: why it is what it is, and what to do about it.

use jiff::{SignedDuration, Timestamp};

use super::{
    super::task::Export,
    assess::{Counts, State, Undelivered, WindowState},
    deadline::EXPORT_MAX,
    expectation::DataType,
    facts::Fate,
    span::Span,
};

/// As many parts and tasks are named; of more it is said how many.
const NAMED_MAX: usize = 3;

/// The months of a calendar.
pub const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// A state for people.
#[must_use]
pub const fn state(state: State) -> &'static str {
    match state {
        State::BeyondReach => "beyond reach",
        _ => state.as_str(),
    }
}

/// A range as the service spells it.
#[must_use]
pub fn range(span: Span) -> String {
    format!("{} to {}", second(span.start()), second(span.last_second()))
}

/// A time as the service spells it: UTC, to the second.
#[must_use]
pub fn second(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// How long until then, in whole days or hours: `in 12 days`, or `5 hours ago`.
#[must_use]
pub fn until(at: Timestamp, now: Timestamp) -> String {
    let left = at.duration_since(now);
    let distance = left.abs();
    let (n, unit) = if distance >= SignedDuration::from_hours(48) {
        (distance.as_hours() / 24, "day")
    } else if distance >= SignedDuration::from_mins(120) {
        (distance.as_hours(), "hour")
    } else {
        (distance.as_mins(), "minute")
    };
    let amount = format!("{n} {unit}{}", if n == 1 { "" } else { "s" });
    if left.is_negative() { format!("{amount} ago") } else { format!("in {amount}") }
}

fn named<T>(items: &[T], show: impl Fn(&T) -> String) -> String {
    let mut shown: Vec<_> = items.iter().take(NAMED_MAX).map(show).collect();
    if items.len() > NAMED_MAX {
        shown.push(format!("{} more", items.len() - NAMED_MAX));
    }
    shown.join(", ")
}

fn version(counts: &Counts) -> String {
    format!("task {} revision {}", counts.task, counts.revision)
}

fn undelivered(u: &Undelivered) -> String {
    let task = &u.task;
    match u.fate {
        Fate::Failed => format!("task {task} failed"),
        Fate::Abandoned(reason) => {
            let reason = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            format!("the download of task {task} was given up{reason}")
        }
        Fate::Lost => {
            let since = u.unlisted_at.map_or_else(String::new, |at| format!(" on {}", second(at)));
            format!("task {task} left the listing{since} before it was delivered")
        }
        Fate::Pending if u.status == "success" => format!("the file of task {task} is on its way"),
        Fate::Pending | Fate::Stored => format!("task {task} is {}", u.status),
    }
}

/// Why a window is what it is, as a fragment.
#[must_use]
pub fn why(state: &WindowState) -> String {
    match state.state {
        State::Archived => named(&state.counts, version),
        State::Restated => {
            format!("{} counts, other bytes have {}", named(&state.counts, version), named(&state.superseded, version))
        }
        _ => {
            let whole = state.lacking == [state.window.span];
            let lacks = if whole {
                "no file covers it".to_owned()
            } else {
                format!("no file covers {}", named(&state.lacking, |s| range(*s)))
            };
            let early = state.early.iter().map(|early| {
                format!("task {} was created on {} and has nothing later", early.task, second(early.created_at))
            });
            let tasks: Vec<String> = state.undelivered.iter().map(undelivered).chain(early).collect();
            let tasks = if tasks.is_empty() { "no task is known".to_owned() } else { named(&tasks, String::clone) };
            let lost = if state.lost.is_empty() || state.lost == state.lacking {
                String::new()
            } else {
                format!("; {} can be exported no more", named(&state.lost, |s| range(*s)))
            };
            format!("{lacks}; {tasks}{lost}")
        }
    }
}

/// An export that somebody has to create: the operation, and its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The operation of the API.
    pub action: &'static str,
    /// `StartTime`, UTC.
    pub start: String,
    /// `EndTime`, UTC, the last second.
    pub end: String,
    /// `Type`, of the export that has one: what the expectation says, else both words.
    pub data: Option<&'static str>,
}

/// The exports that would fill what nothing is on its way for, each no longer than the service takes.
#[must_use]
pub fn create(state: &WindowState, export: Export, data: Option<DataType>) -> Vec<Create> {
    let (action, data) = match export {
        Export::UsageDetail => ("CreateUsageDetailDataExportTask", Some(data.map_or("flow|vas", DataType::as_str))),
        Export::Usage => ("CreateUserUsageDataExportTask", None),
    };
    state
        .to_create
        .iter()
        .flat_map(|span| pieces(*span))
        .map(|span| Create { action, start: second(span.start()), end: second(span.last_second()), data })
        .collect()
}

fn pieces(whole: Span) -> impl Iterator<Item = Span> {
    let mut left = Some(whole);
    std::iter::from_fn(move || {
        let span = left?;
        let end = span.start().checked_add(EXPORT_MAX).map_or(span.end(), |end| end.min(span.end()));
        left = Span::new(end, span.end());
        Span::new(span.start(), end)
    })
}

/// What to do about a window that is not complete, one step each; empty when there is nothing to do but wait, or nothing
/// that would help.
#[must_use]
pub fn advice(state: &WindowState, export: Export, data: Option<DataType>, now: Timestamp) -> Vec<String> {
    let mut steps: Vec<String> = state
        .undelivered
        .iter()
        .filter(|u| matches!(u.fate, Fate::Abandoned(_)))
        .map(|u| {
            let by = u
                .leaves_listing_at
                .map_or_else(String::new, |at| format!(" (it leaves the listing {})", until(at, now)));
            format!("retry the download of task {}{by}", u.task)
        })
        .collect();
    let by = match state.export_by {
        // What is left begins at the service's edge, which moves on.
        Some(_) if state.state == State::BeyondReach => " (its oldest hours fade first)".to_owned(),
        Some(at) => format!(" (possible until {}, {})", second(at), until(at, now)),
        None => String::new(),
    };
    steps.extend(create(state, export, data).iter().map(|create| {
        let data = create.data.map_or_else(String::new, |data| format!(" Type={data}"));
        format!("create an export: {} StartTime={} EndTime={}{data}{by}", create.action, create.start, create.end)
    }));
    steps
}
