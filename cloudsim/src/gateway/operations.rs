//! The six operations.

use jiff::{SignedDuration, Timestamp};

use super::{
    envelope::Envelope,
    refusal::{Refusal, refuse},
    render::{Fields, Page, Row, Value},
};
use crate::{
    cloud::Cloud,
    fault::GatewayFault,
    history::GatewayCall,
    listing::Task,
    oss::link,
    settings::{Knobs, Missing, Oversize, PastEnd},
    task::{Export, LinkMode, TaskSpec},
    text::{iso_seconds, lookup, parse_iso_seconds},
};

/// The documented last page number.
const PAGE_NUMBER_MAX: u64 = 100_000;

/// Makes a page of a listing. A fault may bend it.
pub(super) fn describe(
    cloud: &Cloud,
    envelope: &Envelope,
    account: usize,
    export: Export,
    call: &GatewayCall,
    fault: Option<&GatewayFault>,
) -> Result<Page, Refusal> {
    let knobs = cloud.settings().get();
    let number = integer(envelope, "PageNumber", 1, PAGE_NUMBER_MAX)?.unwrap_or(1);
    let asked = match integer(envelope, "PageSize", 1, u64::MAX)? {
        Some(size) if size > knobs.max_page_size && knobs.oversize == Oversize::Error => {
            return Err(out_of_range("PageSize", 1, knobs.max_page_size));
        }
        Some(size) => size.min(knobs.max_page_size),
        None => knobs.max_page_size.min(20),
    };
    let (size, wanted) = match fault {
        Some(GatewayFault::ServeFewer(size)) => ((*size).clamp(1, asked), number),
        Some(GatewayFault::SamePage(page)) => (asked, (*page).max(1)),
        _ => (asked, number),
    };
    let now = cloud.clock().now();
    let horizon = knobs.listing_horizon.map(|span| (span, now));
    let place = |page: u64| {
        let skip = usize::try_from((page - 1).saturating_mul(size)).unwrap_or(usize::MAX);
        (skip, usize::try_from(size).unwrap_or(usize::MAX))
    };
    let (mut tasks, total) = cloud.with_listing_of(account, export, |listing| {
        let (skip, take) = place(wanted);
        let (rows, total) = listing.page(knobs.order, horizon, skip, take);
        if rows.is_empty() && total > 0 && knobs.past_end == PastEnd::LastPage {
            let (skip, take) = place((total as u64).div_ceil(size));
            let (rows, total) = listing.page(knobs.order, horizon, skip, take);
            return (rows.into_iter().cloned().collect::<Vec<_>>(), total);
        }
        (rows.into_iter().cloned().collect(), total)
    });
    if tasks.is_empty() && number > 1 && knobs.past_end == PastEnd::Error {
        return Err(out_of_range("PageNumber", 1, (total as u64).div_ceil(size).max(1)));
    }
    match fault {
        Some(GatewayFault::EmptyPage) => tasks.clear(),
        Some(GatewayFault::DropRows(count)) => tasks.truncate(tasks.len().saturating_sub(*count)),
        Some(GatewayFault::RepeatRows) => tasks = tasks.iter().flat_map(|task| [task.clone(), task.clone()]).collect(),
        _ => {}
    }
    let mut rows: Vec<_> =
        tasks.iter().map(|task| row(cloud, &knobs, envelope.json, account, export, task, now)).collect();
    if let Some(GatewayFault::ExtraRows(extra)) = fault {
        rows.extend(extra.iter().cloned().map(Row::Raw));
    }
    Ok(Page {
        request_id: call.request_id.clone(),
        action: call.action.clone(),
        number,
        size: match fault {
            Some(GatewayFault::EchoPageSize(token)) => token.clone(),
            _ => size.to_string(),
        },
        total: match fault {
            Some(GatewayFault::Total(token)) => token.clone(),
            _ => Some(total.to_string()),
        },
        rows,
    })
}

fn row(cloud: &Cloud, knobs: &Knobs, json: bool, account: usize, export: Export, task: &Task, now: Timestamp) -> Row {
    let spec = &task.spec;
    let raw = if json { &spec.raw_json } else { &spec.raw_xml };
    if let Some(raw) = raw {
        return Row::Raw(raw.clone());
    }
    let (status, updated) = spec.status_at(now);
    let done = status.eq_ignore_ascii_case("success");
    let signed = |style| Value::Text(link::make(cloud, knobs, account, export, &task.id, style));
    let link = match (&spec.link, knobs.unfinished_link) {
        (_, Some(missing)) if !done => Value::Missing(missing),
        (LinkMode::Default, _) => signed(knobs.link_style),
        (LinkMode::Style(style), _) => signed(*style),
        (LinkMode::Fixed(text), _) => Value::Text(text.clone()),
        (LinkMode::Absent, _) => Value::Missing(Missing::Absent),
        (LinkMode::Null, _) => Value::Missing(Missing::Null),
        (LinkMode::Empty, _) => Value::Missing(Missing::Empty),
    };
    let mut status = status.to_owned();
    if knobs.capital_status
        && let Some(first) = status.get_mut(..1)
    {
        first.make_ascii_uppercase();
    }
    let earlier = updated.checked_sub(SignedDuration::from_secs(45)).unwrap_or(updated);
    Row::Fields(Box::new(Fields {
        id: task.id.clone(),
        name: spec.name.clone().map_or(Value::Missing(knobs.missing_name), Value::Text),
        status,
        link,
        created: iso_seconds(spec.created_at),
        updated: iso_seconds(updated),
        earlier: iso_seconds(earlier),
        start: iso_seconds(spec.range_start),
        end: iso_seconds(spec.range_end),
    }))
}

fn integer(envelope: &Envelope, name: &str, least: u64, most: u64) -> Result<Option<u64>, Refusal> {
    let Some(text) = lookup(&envelope.params, name) else { return Ok(None) };
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some(number) = text.parse().ok().filter(|_| plain) else {
        let message = format!("The specified {name} is not a number.");
        return Err(refuse(format!("Invalid{name}.Malformed"), 400, message));
    };
    if (least..=most).contains(&number) { Ok(Some(number)) } else { Err(out_of_range(name, least, most)) }
}

fn out_of_range(name: &str, least: u64, most: u64) -> Refusal {
    let message = format!("The specified {name} is out of range: {least} to {most}.");
    refuse(format!("Invalid{name}.ValueNotSupported"), 400, message)
}

/// Makes a task and says its fields: `TaskId`, `StartTime`, `EndTime`.
pub(super) fn create(
    cloud: &Cloud,
    envelope: &Envelope,
    access_key_id: &str,
    export: Export,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let get = |name: &str| lookup(&envelope.params, name).filter(|text| !text.is_empty());
    let (Some(start), Some(end)) = (get("StartTime"), get("EndTime")) else {
        return Err(refuse("MissingTimeParameter", 400, "StartTime and EndTime are mandatory for this action."));
    };
    let time = |name: &str, text: &str| {
        let bad = || refuse(format!("Invalid{name}.Malformed"), 400, format!("The specified {name} is malformed."));
        parse_iso_seconds(text).ok_or_else(bad)
    };
    let (range_start, range_end) = (time("StartTime", start)?, time("EndTime", end)?);
    let now = cloud.clock().now();
    if now.duration_since(range_start) > SignedDuration::from_hours(24 * 366) {
        let text = "The specified StartTime is more than a year ago.";
        return Err(refuse("InvalidStartTime.ValueNotSupported", 400, text));
    }
    let span = range_end.duration_since(range_start);
    if !span.is_positive() || span > SignedDuration::from_hours(24 * 31) {
        return Err(refuse("InvalidTimeRange", 400, "The time range must be positive and at most 31 days."));
    }
    if export == Export::UsageDetail && !matches!(get("Type"), Some("flow" | "vas")) {
        return Err(refuse("InvalidParameterBillType", 400, "Type must be flow or vas."));
    }
    if !matches!(get("Language"), None | Some("zh-cn" | "en-us")) {
        return Err(refuse("InvalidParameter", 400, "Language must be zh-cn or en-us."));
    }
    let mut task = TaskSpec::default().with_range(range_start, range_end);
    task.schedule = cloud.settings().get().create_schedule;
    task.name = get("TaskName").map(ToOwned::to_owned);
    let id = cloud.add_task(access_key_id, export, task);
    Ok(vec![("TaskId", id), ("StartTime", start.to_owned()), ("EndTime", end.to_owned())])
}

/// Removes a task.
pub(super) fn delete(
    cloud: &Cloud,
    envelope: &Envelope,
    access_key_id: &str,
    export: Export,
) -> Result<Vec<(&'static str, String)>, Refusal> {
    let Some(id) = lookup(&envelope.params, "TaskId").filter(|text| !text.is_empty()) else {
        return Err(refuse("MissingTaskId", 400, "TaskId is mandatory for this action."));
    };
    match cloud.remove_task(access_key_id, export, id) {
        Some(_) => Ok(Vec::new()),
        None => Err(refuse("InvalidTaskId.Malformed", 400, "The specified TaskId is invalid.")),
    }
}
