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
    completeness::{Expected, Reading},
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
    let mut reading = Reading::new(&store, &config, now);
    let (mut out, mut total) = (Out::new(), Total::default());
    while let Some(listing) = reading.next().await? {
        for expected in &listing {
            total.add(expected);
            if args.json {
                for window in expected.assessed.windows.iter().filter(|window| !window.state.is_complete()) {
                    out.json(&WindowJson::new(expected, window))?;
                }
            } else {
                lines(expected, now).iter().try_for_each(|line| out.pieces(line))?;
            }
        }
    }
    if !args.json {
        out.pieces(&total.line())?;
    }
    store.close_beside().await;
    out.finish()?;
    if total.summary.count(State::Overdue) > 0 { Err(Failure::silent()) } else { Ok(()) }
}

/// What people read of an expectation.
pub(super) fn lines(expected: &Expected, now: Timestamp) -> Vec<Vec<Piece>> {
    let groups = groups(&expected.assessed.windows);
    let gaps = groups.into_iter().flat_map(|group| gap(expected, group, now));
    let notes = expected.assessed.ignored.iter().map(|ignored| {
        let what = if ignored.has_range { "a range that is none" } else { "no range" };
        let task = &ignored.task;
        vec![Piece::plain(format!("note: task {}/{task} has {what} and counts for nothing", expected.listing))]
    });
    gaps.chain(notes).collect()
}

/// How many windows there are of each state, in all.
#[derive(Default)]
pub(super) struct Total {
    expectations: u64,
    summary: Summary,
}

impl Total {
    pub(super) fn add(&mut self, expected: &Expected) {
        self.expectations += 1;
        self.summary.extend(&expected.assessed.windows);
    }

    /// The last line.
    pub(super) fn line(&self) -> Vec<Piece> {
        if self.expectations == 0 {
            return vec![Piece::plain(windows::NOTHING_EXPECTED)];
        }
        let total = count(self.summary.total(), "window");
        vec![Piece::plain(format!("{total}: {}", windows::counts(&self.summary)))]
    }
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

#[cfg(test)]
mod tests;
