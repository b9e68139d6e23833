//! The rule.
//!
//! A window is complete when files of fitting tasks cover all of it, each its range up to when its task was created: what
//! had not come about by then it cannot hold. One file that covers the whole window counts before
//! several that do so together: the one with the shortest range, and of equal ranges that of the newest task in its
//! newest revision. Only files of the very same range are compared: where such have other bytes than the one that
//! counts, the window was restated.
//!
//! Another archived task never makes a window worse, the order of the tasks does not matter, and a window that is beyond
//! reach for one reason alone, time, stays so.

use std::cmp::Reverse;

use jiff::Timestamp;

use super::{
    super::task::TaskId,
    deadline::Horizon,
    expectation::{Expectation, Window},
    facts::{Fate, FileFacts, TaskFacts},
    span::{Span, without},
};

/// What a window is, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Files cover all of it.
    Archived,
    /// The same, and there are several versions of what counts.
    Restated,
    /// Not due yet, and what lacks is on its way.
    Pending,
    /// Not due yet, and for some of it there is nothing.
    Missing,
    /// Not due yet, and for some of it all there is has failed.
    Failed,
    /// Due, and not archived; it can be mended.
    Overdue,
    /// Some of it lacks and can be exported no more.
    BeyondReach,
}

impl State {
    /// Every state, from best to worst.
    pub const ALL: [Self; 7] =
        [Self::Archived, Self::Restated, Self::Pending, Self::Missing, Self::Failed, Self::Overdue, Self::BeyondReach];

    /// The word in tables, JSON, metrics and log lines.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived",
            Self::Restated => "restated",
            Self::Pending => "pending",
            Self::Missing => "missing",
            Self::Failed => "failed",
            Self::Overdue => "overdue",
            Self::BeyondReach => "beyond_reach",
        }
    }

    /// Whether all of the window is archived.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self, Self::Archived | Self::Restated)
    }
}

/// A file that covers some of a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counts {
    /// Whose it is.
    pub task: TaskId,
    /// Which of its revisions.
    pub revision: u32,
    /// Where it is, relative to the download folder.
    pub path: String,
    /// The digest of its bytes.
    pub sha256: String,
    /// What of the range that it was exported for it can hold; may be longer than the window.
    pub range: Span,
}

/// A task that would cover some of what lacks, and did not yet or never will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undelivered {
    /// Which task.
    pub task: TaskId,
    /// The service's last word on it.
    pub status: String,
    /// How it stands with its file; never stored.
    pub fate: Fate,
    /// Its range.
    pub range: Span,
    /// When it will leave the listing, if it is there and waits for its delivery.
    pub leaves_listing_at: Option<Timestamp>,
    /// Since when it is no longer listed.
    pub unlisted_at: Option<Timestamp>,
}

/// How it stands with a window, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowState {
    /// Which window.
    pub window: Window,
    /// In one word.
    pub state: State,
    /// When it is due.
    pub due_at: Timestamp,
    /// The files that count, in order of their ranges. All of them together cover all that does not lack.
    pub counts: Vec<Counts>,
    /// Files of the same range as one that counts, with other bytes: what was restated.
    pub superseded: Vec<Counts>,
    /// What no file covers, in order.
    pub lacking: Vec<Span>,
    /// What of it can be exported no more, and is on no way to come.
    pub lost: Vec<Span>,
    /// What of it somebody has to export: nothing that is on its way there is likely to arrive, and the service still can.
    pub to_create: Vec<Span>,
    /// The tasks of what lacks, oldest first.
    pub undelivered: Vec<Undelivered>,
    /// Tasks that were asked for some of what lacks, too early to have it.
    pub early: Vec<Early>,
    /// Until when all that lacks can be exported, or what is left of it: also what is on its way, which may come to nothing.
    pub export_by: Option<Timestamp>,
    /// Whether its first hours can be exported no more.
    pub is_fading: bool,
    /// When the first task that waits for its delivery leaves the listing.
    pub deliver_by: Option<Timestamp>,
}

/// A task that was created before all that it was asked for had come about: its file cannot hold the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Early {
    /// Which task.
    pub task: TaskId,
    /// When it was created.
    pub created_at: Timestamp,
}

/// A task that fits and counts for nothing, since its range is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ignored {
    /// Which task.
    pub task: TaskId,
    /// Whether the listing has a range that cannot be read as one; else it has none.
    pub has_range: bool,
}

/// All windows of an expectation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Assessed {
    /// Those that have ended, oldest first.
    pub windows: Vec<WindowState>,
    /// Tasks that cannot be put into any.
    pub ignored: Vec<Ignored>,
}

/// What touches a window.
#[derive(Debug, Clone, Default)]
struct Known<'f> {
    files: Vec<Candidate<'f>>,
    /// Tasks whose present file is not stored, and what they would cover.
    others: Vec<(&'f TaskFacts, Span)>,
    /// What tasks were asked for after they were created.
    early: Vec<(&'f TaskFacts, Span)>,
}

/// A task that would cover some of what lacks.
struct Other<'f> {
    task: &'f TaskFacts,
    range: Span,
    fate: Fate,
    /// It is likely to.
    promises: bool,
}

/// A file with what decides between it and others.
#[derive(Debug, Clone, Copy)]
struct Candidate<'f> {
    task: &'f TaskFacts,
    file: &'f FileFacts,
    range: Span,
}

impl Candidate<'_> {
    /// The shortest first, then the newest task, then its newest revision.
    fn preference(&self) -> impl Ord + use<'_> {
        (self.range.length(), Reverse((self.task.age_key(), self.file.revision)))
    }

    fn counts(&self) -> Counts {
        Counts {
            task: self.task.id.clone(),
            revision: self.file.revision,
            path: self.file.path.clone(),
            sha256: self.file.sha256.clone(),
            range: self.range,
        }
    }
}

/// Assesses every window of an expectation that has ended by `now`. `tasks` are those of its listing, all of them or those
/// that may touch its windows.
#[must_use]
pub fn assess(expectation: &Expectation, tasks: &[TaskFacts], now: Timestamp, horizon: &Horizon) -> Assessed {
    let windows: Vec<Window> = expectation.windows(now).collect();
    let mut fitting: Vec<&TaskFacts> =
        tasks.iter().filter(|task| expectation.name.fits(task.name.as_deref())).collect();
    fitting.sort_by_key(|task| task.age_key());
    let mut known: Vec<Known<'_>> = vec![Known::default(); windows.len()];
    let mut ignored = Vec::new();
    for task in fitting {
        for (file, range) in task.archived() {
            for i in touched(&windows, range) {
                known[i].files.push(Candidate { task, file, range });
            }
        }
        let Some(asked) = task.asked() else {
            ignored.push(Ignored { task: task.id.clone(), has_range: task.range.is_some() });
            continue;
        };
        if let Some(range) = task.span().filter(|_| task.fate() != Fate::Stored) {
            for i in touched(&windows, range) {
                known[i].others.push((task, range));
            }
        }
        let came_to_nothing = matches!(task.fate(), Fate::Failed | Fate::Lost);
        let rest = Span::new(asked.start().max(task.born_at()), asked.end());
        if let Some(rest) = rest.filter(|_| !came_to_nothing) {
            for i in touched(&windows, rest) {
                known[i].early.push((task, rest));
            }
        }
    }
    let judge = |(window, known)| judge(window, &known, expectation.due_at(&window), now, horizon);
    Assessed { windows: windows.into_iter().zip(known).map(judge).collect(), ignored }
}

/// The windows that share an instant with a range.
fn touched(windows: &[Window], range: Span) -> std::ops::Range<usize> {
    let from = windows.partition_point(|w| w.span.end() <= range.start());
    let to = windows.partition_point(|w| w.span.start() < range.end());
    from..to.max(from)
}

fn judge<'f>(window: Window, known: &Known<'f>, due_at: Timestamp, now: Timestamp, horizon: &Horizon) -> WindowState {
    let files = &known.files;
    let other = |task: &'f TaskFacts, range: Span| {
        let promises = range.common(window.span).is_some_and(|part| horizon.promises(task, part, now));
        Other { task, range, fate: task.fate(), promises }
    };
    let lacking = window.span.without(files.iter().map(|c| c.range));
    let counting = choose(window.span, files.to_vec());
    let differs =
        |other: &&Candidate<'_>| counting.iter().any(|c| c.range == other.range && c.file.sha256 != other.file.sha256);
    let superseded: Vec<Counts> = files.iter().filter(differs).map(Candidate::counts).collect();
    let touches = |(_, range): &&(&TaskFacts, Span)| lacking.iter().any(|part| part.common(*range).is_some());
    let others: Vec<_> = known.others.iter().filter(touches).map(|(task, range)| other(task, *range)).collect();
    let of = |is: fn(&Other<'_>) -> bool| -> Vec<Span> { others.iter().filter(|o| is(o)).map(|o| o.range).collect() };
    let open = |parts: &[Span]| -> Vec<Span> { parts.iter().filter_map(|part| horizon.open(*part, now)).collect() };
    // What may come, and what is likely to.
    let gone = without(&lacking, &of(|o| matches!(o.fate, Fate::Pending | Fate::Abandoned(_))));
    let lost: Vec<Span> = gone.iter().filter_map(|part| horizon.gone(*part, now)).collect();
    let to_create = open(&without(&lacking, &of(|o| o.promises)));
    let uncovered = without(&lacking, &of(|o| o.fate == Fate::Pending && o.promises));
    let failed = of(|o| match o.fate {
        Fate::Failed | Fate::Abandoned(_) => true,
        Fate::Pending => !o.promises,
        Fate::Stored | Fate::Lost => false,
    });
    let state = if lacking.is_empty() {
        if superseded.is_empty() { State::Archived } else { State::Restated }
    } else if !lost.is_empty() {
        State::BeyondReach
    } else if due_at <= now {
        State::Overdue
    } else if uncovered.is_empty() {
        State::Pending
    } else if without(&uncovered, &failed) != uncovered {
        State::Failed
    } else {
        State::Missing
    };
    WindowState {
        window,
        state,
        due_at,
        counts: counting.iter().map(Candidate::counts).collect(),
        superseded,
        export_by: open(&lacking).first().map(|part| horizon.exported_until(part.start())),
        deliver_by: others.iter().filter_map(|o| horizon.leaves_listing_at(o.task)).min(),
        undelivered: others.iter().map(|o| undelivered(o, horizon)).collect(),
        early: known.early.iter().filter(touches).map(|(task, _)| early(task)).collect(),
        is_fading: horizon.exported_until(window.span.start()) <= now,
        lacking,
        lost,
        to_create,
    }
}

fn undelivered(Other { task, range, fate, .. }: &Other<'_>, horizon: &Horizon) -> Undelivered {
    Undelivered {
        task: task.id.clone(),
        status: task.status.as_str().to_owned(),
        fate: *fate,
        range: *range,
        leaves_listing_at: horizon.leaves_listing_at(task),
        unlisted_at: task.unlisted_at,
    }
}

fn early(task: &TaskFacts) -> Early {
    Early { task: task.id.clone(), created_at: task.born_at() }
}

/// The files that count for a window: one that covers all of it, or the fewest that do together.
fn choose(window: Span, mut files: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    files.sort_by(|a, b| a.preference().cmp(&b.preference()));
    let mut chosen = Vec::new();
    let mut lacking = vec![window];
    // Those that cover most of it first, so that few are taken; the sort is stable, so that of those that cover as much, all of
    // it perhaps, the preferred one comes first.
    files.sort_by_key(|c| Reverse(c.range.common(window).map(Span::length)));
    for candidate in files {
        let left = without(&lacking, &[candidate.range]);
        if left != lacking {
            lacking = left;
            chosen.push(candidate);
        }
    }
    chosen.sort_by_key(|c| c.range);
    chosen
}
