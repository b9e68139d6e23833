//! `gaps`: the windows that are expected and not archived, and what to do about each.

use jiff::Timestamp;

use super::{
    Failure,
    args::GapsArgs,
    output::{Out, Piece},
    window_json::WindowJson,
    windows,
};
use crate::{
    clock,
    completeness::{self, Expected},
    config::Config,
    model::window::{EXPORT_MAX, Kind, State, Summary, WindowState, words},
    store::Store,
    text::count,
};

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &GapsArgs) -> Result<(), Failure> {
    let config = windows::chosen(config, args.account.as_deref(), args.export)?;
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let now = clock::now();
    let expected = completeness::read(&store, &config, now).await?;
    let mut out = Out::new();
    if args.json {
        for (expected, window) in windows::all(&expected).filter(|(_, window)| !window.state.is_complete()) {
            out.json(&WindowJson::new(expected, window))?;
        }
    } else {
        for line in report(&expected, now) {
            out.pieces(&line)?;
        }
    }
    store.close_beside().await;
    out.finish()?;
    let overdue = windows::all(&expected).any(|(_, window)| window.state == State::Overdue);
    if overdue { Err(Failure::silent()) } else { Ok(()) }
}

/// What people read.
pub(super) fn report(expected: &[Expected], now: Timestamp) -> Vec<Vec<Piece>> {
    if expected.is_empty() {
        return vec![vec![Piece::plain(windows::NOTHING_EXPECTED)]];
    }
    let mut lines = Vec::new();
    for expected in expected {
        for group in groups(&expected.assessed.windows) {
            lines.extend(gap(expected, group, now));
        }
        for ignored in &expected.assessed.ignored {
            let what = if ignored.has_range { "a range that is none" } else { "no range" };
            let task = &ignored.task;
            lines.push(vec![Piece::plain(format!(
                "note: task {}/{task} has {what} and counts for nothing",
                expected.listing
            ))]);
        }
    }
    lines.push(vec![Piece::plain(summary(expected))]);
    lines
}

/// Windows side by side of which the same is to be said, which is without naming a task but one that came too early for all
/// of them, are one gap.
fn groups(windows: &[WindowState]) -> Vec<&[WindowState]> {
    let same = |a: &WindowState, b: &WindowState| {
        let bare = |w: &WindowState| w.undelivered.is_empty() && w.counts.is_empty();
        let is_whole = |w: &WindowState| w.lost == w.lacking;
        a.state == b.state && bare(a) && bare(b) && is_whole(a) == is_whole(b) && a.early == b.early
    };
    windows.chunk_by(same).filter(|group| group.first().is_some_and(|w| !w.state.is_complete())).collect()
}

fn gap(expected: &Expected, group: &[WindowState], now: Timestamp) -> Vec<Vec<Piece>> {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return Vec::new() };
    let kind = expected.expectation.kind;
    let dates = if group.len() == 1 {
        first.window.to_string()
    } else {
        format!("{} to {} ({})", first.window, last.window, count(group.len() as u64, kind.as_str()))
    };
    // Of several the first is due first.
    let due = format!("due {}, {}", words::second(first.due_at), words::until(first.due_at, now));
    let why = words::why(first);
    let head = format!(" {}{}, {due}: {why}", windows::title(expected, None), dates);
    let mut lines =
        vec![vec![Piece::state(first.state, words::state(first.state)), Piece::plain(":"), Piece::plain(head)]];
    let export = expected.expectation.export;
    for merged in merged(group, kind) {
        let steps = words::advice(&merged, export, expected.expectation.data, now);
        lines.extend(steps.into_iter().map(|step| vec![Piece::plain(format!("    {step}"))]));
    }
    lines
}

/// Days side by side are exported together, a month at most: of a group the first window stands for as many as fit, with
/// what is to be created for all of them.
fn merged(group: &[WindowState], kind: Kind) -> Vec<WindowState> {
    let mut merged: Vec<WindowState> = Vec::new();
    for window in group {
        let joined = merged.last_mut().filter(|_| kind == Kind::Day).and_then(|before| {
            let ([a], [b]) = (&mut before.to_create[..], &window.to_create[..]) else { return None };
            let both = crate::model::window::Span::new(a.start(), b.end())
                .filter(|both| a.end() == b.start() && both.length() <= EXPORT_MAX)?;
            *a = both;
            Some(())
        });
        if joined.is_none() {
            merged.push(window.clone());
        }
    }
    merged
}

/// How many there are of each state.
fn summary(expected: &[Expected]) -> String {
    let summary = Summary::of(windows::all(expected).map(|(_, window)| window));
    format!("{}: {}", count(summary.total(), "window"), windows::counts(&summary))
}

#[cfg(test)]
mod tests;
