//! `tasks`: the tasks with their downloads.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use serde::Serialize;

use super::{
    Failure,
    args::TasksArgs,
    output::{Out, Paint, TABLE_ROWS_MAX, cell},
    screen::{Screen, Times, size},
    table::{Cell, Column},
};
use crate::{
    clock,
    config::Config,
    store::{Store, TaskFilter, TaskRow},
    text::visible,
};

/// A task as `--json` prints it: the columns of `tasks`, with those of `downloads` nested.
#[derive(Serialize)]
struct TaskJson<'a> {
    account: &'a str,
    export: &'a str,
    task_id: &'a str,
    name: Option<&'a str>,
    status: &'a str,
    created_at: Option<&'a str>,
    updated_at: Option<&'a str>,
    range_start: Option<&'a str>,
    range_end: Option<&'a str>,
    first_seen_at: &'a str,
    last_seen_at: &'a str,
    unlisted_at: Option<&'a str>,
    configured: bool,
    download: Option<DownloadJson<'a>>,
}

#[derive(Serialize)]
struct DownloadJson<'a> {
    state: &'a str,
    attempt: Option<i64>,
    not_before: Option<&'a str>,
    path: Option<&'a str>,
    bytes: Option<i64>,
    sha256: Option<&'a str>,
    reason: Option<&'a str>,
    error: Option<&'a str>,
    stored_at: Option<&'a str>,
}

impl<'a> TaskJson<'a> {
    fn new(row: &'a TaskRow, configured: bool) -> Self {
        let download = row.state.as_deref().map(|state| DownloadJson {
            state,
            attempt: row.attempt,
            not_before: row.not_before.as_deref(),
            path: row.path.as_deref(),
            bytes: row.bytes,
            sha256: row.sha256.as_deref(),
            reason: row.reason.as_deref(),
            error: row.error.as_deref(),
            stored_at: row.stored_at.as_deref(),
        });
        Self {
            account: &row.account,
            export: &row.export,
            task_id: &row.task_id,
            name: row.name.as_deref(),
            status: &row.status,
            created_at: row.created_at.as_deref(),
            updated_at: row.updated_at.as_deref(),
            range_start: row.range_start.as_deref(),
            range_end: row.range_end.as_deref(),
            first_seen_at: &row.first_seen_at,
            last_seen_at: &row.last_seen_at,
            unlisted_at: row.unlisted_at.as_deref(),
            configured,
            download,
        }
    }
}

/// The columns: the task and its two words always stay; the name goes first.
fn columns(updated: &Times) -> Vec<Column> {
    let dated = vec![updated.header("UPDATED"), updated.header("UPDATED"), "UPDATED".to_owned()];
    vec![
        Column::new("TASK", 0, 0).breaking(),
        Column::new("NAME", 12, 2),
        Column::new("STATUS", 0, 0),
        Column::new("STATE", 0, 0),
        Column { header: dated, width_min: 0, rank: 1, breaks: false },
        Column::new("FILE OR REASON", 16, 0),
    ]
}

fn table_row(row: &TaskRow, configured: bool, updated: [String; 3]) -> Vec<Cell> {
    let status = cell(Some(&row.status));
    let status = match row.unlisted_at {
        Some(_) => forms(format!("{status}, unlisted"), "unlisted"),
        None => Cell::whole(status),
    };
    let state = cell(row.state.as_deref());
    let state = match (configured, &row.state) {
        (true, _) => Cell::whole(state),
        (false, Some(_)) => forms(format!("{state}, unconfigured"), "unconfigured"),
        (false, None) => Cell::whole("unconfigured"),
    };
    vec![
        Cell::whole(visible(&format!("{}/{}/{}", row.account, row.export, row.task_id))),
        Cell::Text(cell(row.name.as_deref())),
        status,
        state,
        Cell::Forms(updated.into()),
        outcome(row),
    ]
}

/// Two words, of which the second says it as well where there is room for no more: as short as a time is a day.
fn forms(both: String, second: &str) -> Cell {
    Cell::Forms(vec![both.clone(), both, second.to_owned()])
}

/// What there is of a file, or why there is none.
fn outcome(row: &TaskRow) -> Cell {
    let file =
        row.path.as_deref().map(|path| Cell::File { size: size(row.bytes.unwrap_or(0)), path: cell(Some(path)) });
    let failed = row.reason.as_deref().map(|r| Cell::Text(cell(Some(&format!("{r}: {}", cell(row.error.as_deref()))))));
    let is_stored = row.state.as_deref() == Some("stored");
    let (first, second) = if is_stored { (file, failed) } else { (failed, file) };
    first.or(second).unwrap_or_else(|| Cell::Text("-".to_owned()))
}

/// The tables of some tasks, and their colours.
pub(super) fn table(
    screen: &Screen,
    rows: &[TaskRow],
    known: impl Fn(&TaskRow) -> bool,
) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let updated = screen.times(rows.iter().map(|row| row.updated_at.as_deref()));
    let columns = columns(&updated);
    let cells = rows.iter().zip(updated.forms).map(|(row, updated)| table_row(row, known(row), updated));
    (columns, cells.collect())
}

fn paint(row: &TaskRow, column: usize) -> Paint {
    match column {
        2 => Paint::of_word(&row.status),
        3 => Paint::of_word(row.state.as_deref().unwrap_or_default()),
        _ => Paint::Plain,
    }
}

/// `--since`: a time, a day, or how long ago. What names no zone is meant as times are shown.
fn since(text: &str, zone: &TimeZone) -> Result<String, Failure> {
    // A day is its beginning.
    let local = || text.parse::<jiff::civil::DateTime>().ok()?.to_zoned(zone.clone()).ok().map(|z| z.timestamp());
    let ago = || clock::now().saturating_sub(super::args::duration(text).ok()?).ok();
    let at = text.parse::<jiff::Timestamp>().ok().or_else(local).or_else(ago).ok_or_else(|| {
        Failure::usage(format!(
            "--since {}: write a day or a time such as 2026-01-31, \"2026-01-31 14:00\" or 2026-01-31T14:00:00Z, or how \
             long ago, such as 7d or 12h",
            visible(text)
        ))
    })?;
    Ok(clock::rfc3339(at))
}

/// Prints the tasks that fit, `rows_at_a_time` in memory.
pub(crate) async fn print(
    out: &mut Out,
    store: &Store,
    config: &Config,
    filter: &TaskFilter,
    json: bool,
) -> Result<u64, Failure> {
    let configured: BTreeSet<(&str, &str)> =
        config.accounts.iter().flat_map(|a| a.exports.iter().map(|e| (a.name.as_str(), e.as_str()))).collect();
    let mut printed = 0;
    loop {
        let rows = store.tasks(filter, TABLE_ROWS_MAX as u64, printed).await?;
        let known = |r: &TaskRow| configured.contains(&(r.account.as_str(), r.export.as_str()));
        if json {
            for row in &rows {
                out.json(&TaskJson::new(row, known(row)))?;
            }
        } else {
            let (columns, cells) = table(out.screen(), &rows, known);
            out.table(&columns, &cells, |row, column| paint(&rows[row], column))?;
        }
        printed += rows.len() as u64;
        if rows.len() < TABLE_ROWS_MAX {
            return Ok(printed);
        }
    }
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &TasksArgs) -> Result<(), Failure> {
    let mut out = Out::in_zone(args.utc);
    let filter = TaskFilter {
        account: args.account.clone(),
        export: args.export.map(|e| e.as_str().to_owned()),
        status: args.status.as_ref().map(|s| s.to_lowercase()),
        state: args.state.map(|s| s.as_str().to_owned()),
        since: args.since.as_deref().map(|text| since(text, &out.screen().zone)).transpose()?,
        task_id: None,
    };
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let printed = print(&mut out, &store, config, &filter, args.json).await?;
    if printed == 0 && !args.json {
        out.line("no task fits")?;
    }
    store.close_beside().await;
    out.finish()
}
