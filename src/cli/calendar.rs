//! `calendar`: every window at a glance, a row for each year or month.

use std::collections::BTreeMap;

use jiff::{ToSpan as _, civil::Date};

use super::{
    Failure,
    args::CalendarArgs,
    output::{Out, Piece},
    window_json::WindowJson,
    windows,
};
use crate::{
    clock,
    completeness::{Expected, Reading},
    config::Config,
    model::window::{
        Kind, State, Summary, WindowState,
        words::{self, MONTHS},
    },
    store::Store,
    text::visible,
};

/// As wide as what has no width is taken to be.
const WIDTH: usize = 80;
/// Before the cells of a row: the month that it is, between blanks.
const MARGIN: usize = 11;

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &CalendarArgs) -> Result<(), Failure> {
    let config = windows::chosen(config, args.account.as_deref(), args.export)?;
    let now = clock::now();
    let since = match &args.since {
        Some(text) => text
            .parse()
            .map_err(|_| Failure::usage(format!("--since {}: write a day such as 2026-01-31", visible(text))))?,
        None => a_year_before(now.to_zoned(jiff::tz::TimeZone::UTC).date()),
    };
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let mut reading = Reading::new(&store, &config, now);
    let mut out = Out::new();
    let width = out.screen().width.unwrap_or(WIDTH);
    let mut is_empty = true;
    while let Some(listing) = reading.next().await? {
        for mut expected in listing {
            is_empty = false;
            expected.assessed.windows.retain(|w| w.window.date >= since);
            if args.json {
                for window in &expected.assessed.windows {
                    out.json(&WindowJson::new(&expected, window))?;
                }
            } else {
                picture(&expected, width).iter().try_for_each(|line| out.pieces(line))?;
            }
        }
    }
    if !args.json {
        let end = if is_empty { vec![vec![Piece::plain(windows::NOTHING_EXPECTED)]] } else { legend(width) };
        end.iter().try_for_each(|line| out.pieces(line))?;
    }
    store.close_beside().await;
    out.finish()
}

/// The first of the month twelve months before.
fn a_year_before(today: Date) -> Date {
    today.first_of_month().checked_sub(12.months()).unwrap_or(Date::MIN)
}

/// One character for a state, told apart without colours.
pub(super) const fn shape(state: State) -> char {
    match state {
        State::Archived => '#',
        State::Restated => 'R',
        State::Pending => '~',
        State::Missing => '.',
        State::Failed => 'F',
        State::Overdue => '!',
        State::BeyondReach => 'x',
    }
}

/// The windows of an expectation.
pub(super) fn picture(expected: &Expected, width: usize) -> Vec<Vec<Piece>> {
    let windows = &expected.assessed.windows;
    let kind = expected.expectation.kind;
    let title = windows::title(expected, Some(kind));
    let head = format!("{}: {}", title.trim_end(), windows::counts(&Summary::of(windows)));
    let mut lines = vec![vec![Piece::plain(head)]];
    if !windows.is_empty() {
        lines.extend(rows(kind, windows, width));
    }
    lines.push(Vec::new());
    lines
}

/// The rows of an expectation, below a line that says which column is which.
fn rows(kind: Kind, windows: &[WindowState], width: usize) -> Vec<Vec<Piece>> {
    let columns = if kind == Kind::Month { 12 } else { 31 };
    let room = width.saturating_sub(MARGIN);
    // A cell is as wide as fits: with four columns a month has its name.
    let widest = if kind == Kind::Month { 4 } else { 2 };
    let cell = (room / columns).clamp(1, widest);
    let in_a_line = (room / cell).clamp(1, columns);
    let mut rows: BTreeMap<(i16, i8), BTreeMap<usize, State>> = BTreeMap::new();
    for WindowState { window, state, .. } in windows {
        let (year, month, day) = (window.date.year(), window.date.month(), window.date.day());
        let (row, column) = match kind {
            Kind::Month => ((year, 0), month),
            Kind::Day => ((year, month), day),
        };
        rows.entry(row).or_default().insert(usize::from(column.unsigned_abs()) - 1, *state);
    }
    let mut lines = Vec::new();
    if in_a_line == columns {
        lines.push(vec![Piece::plain(format!("{:MARGIN$}{}", "", ruler(kind, cell)).trim_end().to_owned())]);
    }
    for ((year, month), states) in rows {
        let name = if month == 0 { format!("{year:04}") } else { format!("{year:04}-{month:02}") };
        for from in (0..columns).step_by(in_a_line) {
            let name = if from == 0 { name.as_str() } else { "" };
            let mut line = vec![Piece::plain(format!("  {name:<0$}", MARGIN - 2))];
            for column in from..(from + in_a_line).min(columns) {
                let piece = states
                    .get(&column)
                    .map_or_else(|| Piece::plain(" "), |state| Piece::state(*state, shape(*state).to_string()));
                line.push(piece);
                line.push(Piece::plain(" ".repeat(cell - 1)));
            }
            lines.push(line);
        }
    }
    lines
}

/// The names of months, their first letters where cells are narrow, or every fifth day.
fn ruler(kind: Kind, cell: usize) -> String {
    match kind {
        Kind::Month if cell > 3 => MONTHS.map(|name| format!("{name:<cell$}")).concat(),
        Kind::Month => MONTHS.map(|name| format!("{:<cell$}", &name[..1])).concat(),
        Kind::Day => [(1, 4), (5, 5), (10, 5), (15, 5), (20, 5), (25, 5), (30, 2)]
            .map(|(day, cells)| format!("{day:<0$}", cells * cell))
            .concat(),
    }
}

/// What the shapes mean, in as many lines as it takes.
fn legend(width: usize) -> Vec<Vec<Piece>> {
    let mut lines: Vec<(usize, Vec<Piece>)> = vec![(0, Vec::new())];
    for state in State::ALL {
        let meaning = match state {
            State::Missing => "missing, not yet due",
            _ => words::state(state),
        };
        let (shape, meaning) = (shape(state).to_string(), format!(" {meaning}  "));
        let length = 1 + meaning.len();
        if lines.last().is_some_and(|(used, _)| *used > 0 && used + length > width) {
            lines.push((0, Vec::new()));
        }
        if let Some((used, line)) = lines.last_mut() {
            *used += length;
            line.extend([Piece::state(state, shape), Piece::plain(meaning)]);
        }
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests;
