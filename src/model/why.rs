//! Why a task is where it is, and what comes next: everything that is known of it in, one answer out. The daemon decides
//! by other rules, in [`super::download`] and [`super::observe`]; this one foretells what they will say.

use jiff::{SignedDuration, Timestamp};

use super::{
    age::age,
    download::{DownloadState, Reason},
    schedule::{Due, Polls, WATCHED_FOR},
    task::Status,
};

/// What is known of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The service's last word.
    pub status: Status,
    /// It has left the listing.
    pub is_unlisted: bool,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Our own work on it, if there was ever any.
    pub download: Option<Download>,
    /// Its listing; none when that is not configured (any more).
    pub listing: Option<Listing>,
    /// Whether an instance runs; none when that cannot be told.
    pub is_running: Option<bool>,
    /// Less than `storage.min_free` is free.
    pub is_space_low: bool,
    /// No delay is longer: a time further ahead was noted before the clock was set back.
    pub horizon: SignedDuration,
}

/// What is known of a task's download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Download {
    /// Where it stands.
    pub state: DownloadState,
    /// An attempt is under way, or was when the program ended.
    pub is_active: bool,
    /// There is a link that has not been refused.
    pub has_link: bool,
    /// Another link is waited for.
    pub is_wanted: bool,
    /// A stored task waits to be looked at again.
    pub recheck: bool,
    /// Not again before.
    pub not_before: Option<Timestamp>,
    /// Failures in a row that count.
    pub failures: u32,
    /// Why the last attempt failed; also of one that succeeded later.
    pub reason: Option<Reason>,
}

/// What is known of the listing that the task is a row of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// When it is read.
    pub polls: Polls,
    /// How often wanted links are looked for: see `poll.interval`.
    pub walk_interval: std::time::Duration,
}

/// Where a task stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// Its account or export is not configured: nothing is done.
    Unconfigured,
    /// The service still works on it.
    Unfinished,
    /// As before, for so long that only sweeps look for it.
    Unwatched,
    /// The service gave up.
    FailedThere,
    /// It left the listing before its file was fetched.
    LeftEarly,
    /// Listed as success, and not in the queue yet.
    Unqueued,
    /// In the queue, but the service says success no more.
    Withdrawn,
    /// Waits for a link from the listing.
    WaitsForLink,
    /// Waits for a link, and the listing has the task no more.
    WaitsForNothing,
    /// Waits for the time of its next attempt.
    WaitsForTime,
    /// Due: waits for a free slot, or for its host.
    WaitsForTurn,
    /// Due: waits until there is room.
    WaitsForSpace,
    /// An attempt is under way.
    Downloading,
    /// An attempt was under way when the program ended.
    CutOff,
    /// Its file is published.
    Stored,
    /// Given up after too many failures.
    Abandoned,
    /// Given up, and the listing has the task no more.
    AbandonedGone,
    /// Given up, and the service says success no more.
    AbandonedWithdrawn,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 18] = [
        Self::Unconfigured,
        Self::Unfinished,
        Self::Unwatched,
        Self::FailedThere,
        Self::LeftEarly,
        Self::Unqueued,
        Self::Withdrawn,
        Self::WaitsForLink,
        Self::WaitsForNothing,
        Self::WaitsForTime,
        Self::WaitsForTurn,
        Self::WaitsForSpace,
        Self::Downloading,
        Self::CutOff,
        Self::Stored,
        Self::Abandoned,
        Self::AbandonedGone,
        Self::AbandonedWithdrawn,
    ];

    /// The word in `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unconfigured => "unconfigured",
            Self::Unfinished => "unfinished",
            Self::Unwatched => "unwatched",
            Self::FailedThere => "failed_at_the_service",
            Self::LeftEarly => "left_the_listing",
            Self::Unqueued => "unqueued",
            Self::Withdrawn => "withdrawn",
            Self::WaitsForLink => "waits_for_link",
            Self::WaitsForNothing => "waits_for_link_of_unlisted",
            Self::WaitsForTime => "waits_for_time",
            Self::WaitsForTurn => "waits_for_turn",
            Self::WaitsForSpace => "waits_for_space",
            Self::Downloading => "downloading",
            Self::CutOff => "cut_off",
            Self::Stored => "stored",
            Self::Abandoned => "abandoned",
            Self::AbandonedGone => "abandoned_unlisted",
            Self::AbandonedWithdrawn => "abandoned_withdrawn",
        }
    }
}

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing by itself.
    Nothing,
    /// A poll looks for it.
    Poll,
    /// A full sweep looks for it.
    Sweep,
    /// A full sweep of the regular beat brings it back into the queue.
    Revival,
    /// The listing is asked for another link.
    Walk,
    /// The next attempt.
    Attempt,
    /// The attempt that is under way ends.
    End,
}

impl Step {
    /// The word in `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Poll => "poll",
            Self::Sweep => "sweep",
            Self::Revival => "revival",
            Self::Walk => "link",
            Self::Attempt => "attempt",
            Self::End => "end_of_attempt",
        }
    }
}

/// What a person has to do, or can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remedy {
    /// Nothing happens until the program runs.
    Start,
    /// The account or export has to be configured.
    Configure,
    /// The listing cannot be read: its error says what to do.
    MendListing,
    /// Make room on the disk.
    FreeSpace,
    /// Do away with what the attempts failed of.
    MendCause(Reason),
    /// Bring it back at once.
    Retry,
    /// Create the export again at the service.
    CreateAgain,
}

impl Remedy {
    /// The word in `--json`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Configure => "configure",
            Self::MendListing => "mend_listing",
            Self::FreeSpace => "free_space",
            Self::MendCause(_) => "mend_cause",
            Self::Retry => "retry",
            Self::CreateAgain => "create_again",
        }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where the task stands.
    pub verdict: Verdict,
    /// It is stored already, and what waits is another look at it.
    pub is_again: bool,
    /// What happens next.
    pub next: Step,
    /// And when.
    pub due: Due,
    /// What a person has to do, or can; nothing when it goes on by itself.
    pub remedies: Vec<Remedy>,
}

/// Says why.
#[must_use]
pub fn explain(facts: &Facts, now: Timestamp) -> Answer {
    let verdict = judge(facts, now);
    let next = step(verdict, facts, now);
    let is_again = facts.download.is_some_and(|d| d.state == DownloadState::Stored) && verdict != Verdict::Stored;
    Answer { verdict, is_again, next, due: due(next, facts, now), remedies: remedies(verdict, next, facts) }
}

fn judge(facts: &Facts, now: Timestamp) -> Verdict {
    match facts.download {
        Some(Download { state: DownloadState::Stored, recheck: false, is_active: false, .. }) => Verdict::Stored,
        _ if facts.listing.is_none() => Verdict::Unconfigured,
        None => undownloaded(facts, now),
        Some(d) if d.is_active && facts.is_running == Some(false) => Verdict::CutOff,
        Some(d) if d.is_active => Verdict::Downloading,
        Some(Download { state: DownloadState::Abandoned, .. }) => match facts.status {
            _ if facts.is_unlisted => Verdict::AbandonedGone,
            Status::Success => Verdict::Abandoned,
            _ => Verdict::AbandonedWithdrawn,
        },
        Some(d) => waiting(&d, facts, now),
    }
}

fn undownloaded(facts: &Facts, now: Timestamp) -> Verdict {
    match facts.status {
        Status::Failed => Verdict::FailedThere,
        _ if facts.is_unlisted => Verdict::LeftEarly,
        Status::Success => Verdict::Unqueued,
        Status::Created | Status::Other(_) if is_watched(facts, now) => Verdict::Unfinished,
        Status::Created | Status::Other(_) => Verdict::Unwatched,
    }
}

/// Whether every poll looks for it, for its status alone.
fn is_watched(facts: &Facts, now: Timestamp) -> bool {
    !facts.is_unlisted && !facts.status.is_finished() && age(facts.changed_at, now) <= WATCHED_FOR
}

/// A download that is neither over nor under way: pending, or to be looked at again.
fn waiting(d: &Download, facts: &Facts, now: Timestamp) -> Verdict {
    if !d.has_link {
        return match (d.is_wanted, facts.is_unlisted) {
            (true, true) => Verdict::WaitsForNothing,
            (true, false) => Verdict::WaitsForLink,
            (false, _) => Verdict::Withdrawn,
        };
    }
    // What the queue claims: what has no time, what is due, and what lies further ahead than any delay.
    let waits = d.not_before.is_some_and(|at| at > now && at.duration_since(now) <= facts.horizon);
    match (waits, facts.is_space_low) {
        (true, _) => Verdict::WaitsForTime,
        (false, true) => Verdict::WaitsForSpace,
        (false, false) => Verdict::WaitsForTurn,
    }
}

fn step(verdict: Verdict, facts: &Facts, now: Timestamp) -> Step {
    match verdict {
        Verdict::Unconfigured
        | Verdict::Stored
        | Verdict::FailedThere
        | Verdict::LeftEarly
        | Verdict::AbandonedGone => Step::Nothing,
        Verdict::Unfinished | Verdict::Unqueued => Step::Poll,
        Verdict::Unwatched | Verdict::AbandonedWithdrawn | Verdict::Withdrawn => {
            if facts.is_unlisted {
                Step::Nothing
            } else if is_watched(facts, now) {
                Step::Poll
            } else {
                Step::Sweep
            }
        }
        Verdict::Abandoned => Step::Revival,
        Verdict::WaitsForLink | Verdict::WaitsForNothing => Step::Walk,
        Verdict::WaitsForTime | Verdict::WaitsForTurn | Verdict::WaitsForSpace | Verdict::CutOff => Step::Attempt,
        Verdict::Downloading => Step::End,
    }
}

fn due(next: Step, facts: &Facts, now: Timestamp) -> Due {
    if next == Step::Nothing {
        return Due::Never;
    }
    if facts.is_running == Some(false) {
        return Due::AtStart;
    }
    let polls = facts.listing.map(|l| l.polls);
    let of = |when: fn(&Polls, Timestamp) -> Due| polls.map_or(Due::Never, |polls| when(&polls, now));
    match next {
        Step::Nothing => Due::Never,
        Step::Poll => of(Polls::next_poll),
        Step::Sweep => of(Polls::next_sweep),
        Step::Revival => of(Polls::next_beat),
        Step::Walk => facts.listing.map_or(Due::Never, |l| Due::Within(l.walk_interval)),
        Step::End => Due::Now,
        Step::Attempt => match facts.download.and_then(|d| d.not_before) {
            Some(at) if at > now && at.duration_since(now) <= facts.horizon => Due::At(at),
            _ => Due::Now,
        },
    }
}

fn remedies(verdict: Verdict, next: Step, facts: &Facts) -> Vec<Remedy> {
    let mut remedies = Vec::new();
    let download = facts.download.filter(|d| d.failures > 0 || d.state == DownloadState::Abandoned);
    let cause = download.and_then(|d| d.reason);
    let reads_listing = matches!(next, Step::Poll | Step::Sweep | Step::Walk | Step::Revival);
    if next != Step::Nothing && facts.is_running == Some(false) {
        remedies.push(Remedy::Start);
    }
    if reads_listing && facts.listing.is_some_and(|l| l.polls.is_failing) {
        remedies.push(Remedy::MendListing);
    }
    match verdict {
        Verdict::Unconfigured => remedies.push(Remedy::Configure),
        Verdict::FailedThere | Verdict::LeftEarly | Verdict::WaitsForNothing | Verdict::AbandonedGone => {
            remedies.push(Remedy::CreateAgain);
        }
        Verdict::WaitsForSpace => remedies.push(Remedy::FreeSpace),
        Verdict::Abandoned => {
            remedies.extend(cause.map(Remedy::MendCause));
            remedies.push(Remedy::Retry);
        }
        // The next attempt fails of the same as long as the configuration says so.
        Verdict::WaitsForTime | Verdict::WaitsForTurn => {
            remedies.extend(cause.filter(|reason| reason.is_settled_here()).map(Remedy::MendCause));
        }
        Verdict::Unfinished
        | Verdict::Unwatched
        | Verdict::Unqueued
        | Verdict::Withdrawn
        | Verdict::WaitsForLink
        | Verdict::Downloading
        | Verdict::CutOff
        | Verdict::Stored
        | Verdict::AbandonedWithdrawn => {}
    }
    remedies
}

#[cfg(test)]
mod tests;
