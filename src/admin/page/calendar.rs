//! The completeness calendar: a picture, its legend, and the same in words.
//!
//! A state has a shape besides its colour. All cells of a state in a row are one path, so that three years of days are a few
//! kilobytes; hovering over a row says what is in it, and so does the table for whoever cannot see or hover.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::html::Html;
use crate::{
    completeness::Expected,
    model::window::{
        Kind, State, Summary, WindowState,
        words::{self, MONTHS},
    },
};

/// So many of the newest rows are shown at once; earlier ones are folded away.
const ROWS_SHOWN: [(Kind, usize); 2] = [(Kind::Month, 4), (Kind::Day, 13)];
/// Gaps that are told, the newest first.
const GAPS_SHOWN: usize = 4;
/// Of the picture: between the beginnings of two rows.
const ROW: u64 = 15;
/// Above the rows: the names of the columns.
const HEAD: u64 = 20;

/// A year, or a month of one, and its windows by column.
struct Row<'w> {
    name: String,
    cells: Vec<(u64, &'w WindowState)>,
}

/// The path of a state's shape, from the upper left corner of a cell of 11 by 11 on.
const fn shape(state: State) -> &'static str {
    match state {
        State::Archived => "h11v11h-11z",
        State::Restated => "h11v11h-11zm3 3v5h5v-5z",
        State::Pending => "m1 5.5a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0",
        State::Missing => "m3 5.5a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0-5 0z",
        State::Failed => "m5.5 0l5.5 11h-11z",
        State::Overdue => "m5.5-.5l6 6-6 6-6-6z",
        State::BeyondReach => "m1 1l9 9m0-9l-9 9",
    }
}

/// The class of a state in the style sheet.
const fn class(state: State) -> &'static str {
    state.as_str()
}

fn meaning(state: State) -> &'static str {
    match state {
        State::Archived => "archived: files cover all of it",
        State::Restated => "restated: archived, in several versions",
        State::Pending => "pending: on its way",
        State::Missing => "missing: not there, and not yet due",
        State::Failed => "failed: not yet due",
        State::Overdue => "overdue: due and not archived",
        State::BeyondReach => "beyond reach: can be exported no more",
    }
}

/// What the shapes mean.
pub(super) fn legend(html: &mut Html) {
    html.raw("<ul class=\"legend\" aria-label=\"What the shapes mean\">");
    for state in State::ALL {
        html.raw("<li><svg class=\"key\" viewBox=\"-1 -1 13 13\" aria-hidden=\"true\"><path class=\"")
            .raw(class(state));
        html.raw("\" d=\"M0 0").raw(shape(state)).raw("\"/></svg> ").raw(meaning(state)).raw("</li>");
    }
    html.raw("</ul>");
}

/// One expectation: what is expected, how it stands, the picture, what lacks, and the table.
pub(super) fn expectation(html: &mut Html, at: u64, expected: &Expected, now: Timestamp) {
    let windows = &expected.assessed.windows;
    let kind = expected.expectation.kind;
    html.raw("<article class=\"card\" aria-labelledby=\"e").number(at).raw("\"><h3 id=\"e").number(at).raw("\">");
    html.text(&expected.listing.to_string()).raw(" <small>by ").raw(kind.as_str());
    if !expected.expectation.name.is_any() {
        html.raw(", <q>").text(expected.expectation.name.as_str()).raw("</q>");
    }
    html.raw("</small></h3><p class=\"counts\">");
    counts(html, windows);
    html.raw("</p>");
    let rows = rows(kind, windows);
    let shown = ROWS_SHOWN.iter().find(|(of, _)| *of == kind).map_or(usize::MAX, |(_, rows)| *rows);
    let (earlier, recent) = rows.split_at(rows.len().saturating_sub(shown));
    if !recent.is_empty() {
        picture(html, kind, recent, (at, "r"), expected);
    }
    gaps(html, windows, now);
    if let (Some(first), Some(last)) = (earlier.first(), earlier.last()) {
        html.raw("<details id=\"d").number(at).raw("\"><summary id=\"s").number(at).raw("\">Earlier: ");
        html.text(&first.name);
        if first.name != last.name {
            html.raw(" to ").text(&last.name);
        }
        html.raw(": ");
        let all: Vec<&WindowState> = earlier.iter().flat_map(|row| row.cells.iter().map(|(_, w)| *w)).collect();
        counts(html, all);
        html.raw("</summary>");
        picture(html, kind, earlier, (at, "p"), expected);
        html.raw("</details>");
    }
    if !rows.is_empty() {
        table(html, kind, &rows, at);
    }
    html.raw("</article>");
}

/// `30 archived, 1 overdue`, each with its shape.
fn counts<'w>(html: &mut Html, windows: impl IntoIterator<Item = &'w WindowState>) {
    let counts = Summary::of(windows).counts;
    if counts.is_empty() {
        html.raw("none has ended");
    }
    for (at, (state, n)) in counts.iter().enumerate() {
        html.raw(if at == 0 { "<span class=\"w-" } else { ", <span class=\"w-" }).raw(class(*state)).raw("\">");
        html.number(*n).raw(" ").raw(words::state(*state)).raw("</span>");
    }
}

fn rows(kind: Kind, windows: &[WindowState]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for window in windows {
        let date = window.window.date;
        let (name, column) = match kind {
            Kind::Month => (format!("{:04}", date.year()), date.month()),
            Kind::Day => (format!("{:04}-{:02}", date.year(), date.month()), date.day()),
        };
        let cell = (u64::from(column.unsigned_abs()) - 1, window);
        // Windows are in order, and so are the rows.
        match rows.last_mut().filter(|row| row.name == name) {
            Some(row) => row.cells.push(cell),
            None => rows.push(Row { name, cells: vec![cell] }),
        }
    }
    rows
}

/// Where the first column is, how wide each is, and how many there are.
const fn columns(kind: Kind) -> (u64, u64, u64) {
    match kind {
        Kind::Month => (44, 28, 12),
        Kind::Day => (62, 13, 31),
    }
}

fn picture(html: &mut Html, kind: Kind, rows: &[Row<'_>], (at, part): (u64, &'static str), expected: &Expected) {
    let (margin, wide, columns) = columns(kind);
    let (width, height) = (margin + wide * columns, HEAD + ROW * rows.len() as u64);
    html.raw("<svg class=\"calendar by-")
        .raw(kind.as_str())
        .raw("\" role=\"img\" viewBox=\"0 0 ")
        .number(width)
        .raw(" ")
        .number(height);
    html.raw("\" aria-labelledby=\"").raw(part).number(at).raw("\" aria-describedby=\"").raw(part).number(at);
    html.raw("d\"><title id=\"").raw(part).number(at).raw("\">Calendar of ").text(&expected.listing.to_string());
    html.raw(" by ").raw(kind.as_str()).raw("</title><desc id=\"").raw(part).number(at);
    html.raw("d\">A shape for every ").raw(kind.as_str()).raw(". The table below has the same in words.</desc>");
    for column in 0..columns {
        let (name, at) = match kind {
            Kind::Month => (MONTHS.get(usize::try_from(column).unwrap_or(0)).copied(), margin + wide * column),
            Kind::Day => (day_name(column + 1), margin + wide * column),
        };
        if let Some(name) = name {
            html.raw("<text class=\"head\" y=\"11\" x=\"").number(at).raw("\">").raw(name).raw("</text>");
        }
    }
    for (n, row) in rows.iter().enumerate() {
        let y = HEAD + ROW * n as u64;
        html.raw("<g transform=\"translate(0,").number(y).raw(")\"><title>").text(&row.name).raw(": ");
        in_words(html, kind, &row.cells);
        html.raw("</title><text x=\"0\" y=\"10\">").text(&row.name).raw("</text>");
        let mut states: BTreeMap<State, Vec<u64>> = BTreeMap::new();
        for (column, window) in &row.cells {
            states.entry(window.state).or_default().push(*column);
        }
        for (state, columns) in states {
            html.raw("<path class=\"").raw(class(state)).raw("\" d=\"");
            for column in columns {
                html.raw("M").number(margin + wide * column).raw(" 0").raw(shape(state));
            }
            html.raw("\"/>");
        }
        html.raw("</g>");
    }
    html.raw("</svg>");
}

/// Days that are named above their column.
const fn day_name(day: u64) -> Option<&'static str> {
    match day {
        1 => Some("1"),
        5 => Some("5"),
        10 => Some("10"),
        15 => Some("15"),
        20 => Some("20"),
        25 => Some("25"),
        30 => Some("30"),
        _ => None,
    }
}

/// `1–30 archived, 31 overdue`. Each run is a text by itself: together they are longer than one that is shown may be.
fn in_words(html: &mut Html, kind: Kind, cells: &[(u64, &WindowState)]) {
    let name = |column: u64| match kind {
        Kind::Month => MONTHS.get(usize::try_from(column).unwrap_or(0)).copied().unwrap_or("").to_owned(),
        Kind::Day => (column + 1).to_string(),
    };
    for (n, run) in cells.chunk_by(|(_, a), (_, b)| a.state == b.state).enumerate() {
        let (Some((first, window)), Some((last, _))) = (run.first(), run.last()) else { continue };
        html.raw(if n > 0 { ", " } else { "" }).text(&name(*first));
        if first != last {
            html.raw("\u{2013}").text(&name(*last));
        }
        html.raw(" ").raw(words::state(window.state));
    }
}

/// What lacks and can be mended, or is not yet due, and why: the newest.
fn gaps(html: &mut Html, windows: &[WindowState], now: Timestamp) {
    let bare = |w: &WindowState| w.undelivered.is_empty() && w.counts.is_empty();
    let same = |a: &WindowState, b: &WindowState| a.state == b.state && bare(a) && bare(b);
    let groups: Vec<&[WindowState]> = windows
        .chunk_by(same)
        .filter(|group| group.first().is_some_and(|w| !w.state.is_complete() && w.state != State::BeyondReach))
        .collect();
    if groups.is_empty() {
        return;
    }
    html.raw("<ul class=\"gaps\">");
    for group in groups.iter().rev().take(GAPS_SHOWN) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        html.raw("<li><strong class=\"w-").raw(class(first.state)).raw("\">").raw(words::state(first.state));
        html.raw("</strong> ").text(&first.window.to_string());
        if group.len() > 1 {
            html.raw(" to ").text(&last.window.to_string());
        }
        html.raw(if group.len() > 1 { ", the first due " } else { ", due " })
            .text(&words::until(first.due_at, now))
            .raw(": ")
            .text(&words::why(first))
            .raw("</li>");
    }
    if let Some(more) = groups.len().checked_sub(GAPS_SHOWN).filter(|more| *more > 0) {
        html.raw("<li>").number(more as u64).raw(" more: <code>cdn-usaged gaps</code> has all of them</li>");
    }
    html.raw("</ul>");
}

fn table(html: &mut Html, kind: Kind, rows: &[Row<'_>], at: u64) {
    html.raw("<details id=\"t")
        .number(at)
        .raw("\"><summary id=\"u")
        .number(at)
        .raw("\">In words</summary><table><thead><tr>");
    html.raw("<th scope=\"col\">").raw(if kind == Kind::Month { "Year" } else { "Month" });
    html.raw("</th><th scope=\"col\">").raw(if kind == Kind::Month { "Months" } else { "Days" });
    html.raw("</th></tr></thead><tbody>");
    for row in rows.iter().rev() {
        html.raw("<tr><th scope=\"row\">").text(&row.name).raw("</th><td>");
        in_words(html, kind, &row.cells);
        html.raw("</td></tr>");
    }
    html.raw("</tbody></table></details>");
}
