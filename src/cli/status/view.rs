//! The one screen.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Report, Row};
use crate::{
    cli::{
        around::Instance,
        output::Paint,
        screen::{Screen, size, span},
        table::{self, Cell, Column, flow},
    },
    config::show_size,
    model::{
        age::age,
        overview::Concern,
        schedule::{Due, Polls},
    },
    text::{count, visible},
};

/// The lines, each with its colour.
pub(in crate::cli) fn lines(report: &Report, screen: &Screen) -> Vec<(Paint, String)> {
    let view = View { report, screen };
    let mut lines = view.head();
    lines.push((Paint::Plain, String::new()));
    lines.extend(view.listings());
    lines.push((Paint::Plain, String::new()));
    lines.extend(view.counts());
    lines.extend(view.work());
    lines.extend(view.next());
    lines.push((Paint::Plain, String::new()));
    lines.extend(view.verdict());
    lines
}

struct View<'a> {
    report: &'a Report,
    screen: &'a Screen,
}

/// A file size that a disk or many files have.
fn large(bytes: u64) -> String {
    size(i64::try_from(bytes).unwrap_or(i64::MAX))
}

impl View<'_> {
    fn plain(&self, start: &str, parts: &[String]) -> Vec<(Paint, String)> {
        self.painted(Paint::Plain, start, parts)
    }

    fn painted(&self, paint: Paint, start: &str, parts: &[String]) -> Vec<(Paint, String)> {
        let parts: Vec<String> = parts.iter().map(|part| visible(part).into_owned()).collect();
        flow(start, &parts, 11, self.screen.width).into_iter().map(|line| (paint, line)).collect()
    }

    fn ago(&self, at: Timestamp) -> String {
        if at > self.report.now {
            return "in the future: the clock was set back".to_owned();
        }
        format!("{} ago", span(age(at, self.report.now)))
    }

    fn head(&self) -> Vec<(Paint, String)> {
        let version = env!("CARGO_PKG_VERSION");
        let (paint, parts) = match &self.report.instance {
            Instance::Running(holder) => {
                let pid = holder.pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
                let since = holder.since.map(|at| format!("since {} ({})", self.screen.time(at), self.ago(at)));
                (Paint::Good, [Some(format!("running, pid {pid}")), since])
            }
            Instance::Stopped => (Paint::Waiting, [Some("not running".to_owned()), None]),
            Instance::Unknown(error) => (Paint::Waiting, [Some(format!("cannot tell whether it runs: {error}")), None]),
        };
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let mut lines = self.painted(paint, &format!("cdn-usaged {version}: "), &parts);
        lines.extend(self.plain("now        ", &[self.screen.time(self.report.now)]));
        for disk in &self.report.disks {
            let free = match disk.free_bytes {
                None => "not there yet".to_owned(),
                Some(free) => {
                    let least = show_size(self.report.min_free_bytes);
                    let verb = if disk.is_low { "less than" } else { "min_free" };
                    let what = if disk.is_low { format!("min_free {least}") } else { least };
                    format!("{} free ({verb} {what})", large(free))
                }
            };
            let name = if disk.folder == "state" { "state      " } else { "files      " };
            let paint = if disk.is_low { Paint::Bad } else { Paint::Plain };
            lines.extend(self.painted(paint, name, &[disk.path.display().to_string(), free]));
        }
        lines
    }

    fn listings(&self) -> Vec<(Paint, String)> {
        let columns = [
            Column::new("LISTING", 0, 0).breaking(),
            Column::new("TASKS", 0, 1),
            Column::new("READ", 0, 0),
            Column::new("READ WHOLE", 0, 0),
            Column::new("NEXT", 0, 0),
            Column::new("NEXT WHOLE", 0, 2),
        ];
        let rows: Vec<Vec<Cell>> = self.report.rows.iter().map(|row| self.listing(row)).collect();
        let mut lines = Vec::new();
        for line in table::lines(&columns, &rows, self.screen.width) {
            let row = line.first().and_then(|piece| piece.row).and_then(|at| self.report.rows.get(at));
            let is_bad = row.is_some_and(|row| row.polls.is_some() && row.known.error.is_some());
            let text: String = line.into_iter().map(|piece| piece.text).collect();
            lines.push((if is_bad { Paint::Bad } else { Paint::Plain }, text));
        }
        lines
    }

    fn listing(&self, row: &Row) -> Vec<Cell> {
        let at = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), |at| self.ago(at));
        let next = |due: fn(&Polls, Timestamp) -> Due| match (&row.polls, self.report.comes(due, row)) {
            (None, _) => "unconfigured".to_owned(),
            (Some(_), Some(due)) => self.comes(due),
            (Some(_), None) => "-".to_owned(),
        };
        let total = row.tasks.values().sum::<u64>();
        [
            row.key.to_string(),
            total.to_string(),
            at(row.known.last_poll_at),
            at(row.known.last_consistent_sweep_at),
            next(Polls::next_poll),
            next(Polls::next_sweep),
        ]
        .map(Cell::whole)
        .into()
    }

    fn comes(&self, due: Due) -> String {
        match due {
            Due::Never | Due::AtStart => "-".to_owned(),
            Due::Now => "now".to_owned(),
            Due::At(at) => format!("in {}", span(at.duration_since(self.report.now))),
            Due::Within(pause) => {
                format!("in {} or less", span(SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX)))
            }
        }
    }

    fn counts(&self) -> Vec<(Paint, String)> {
        let mut statuses: BTreeMap<&str, u64> = BTreeMap::new();
        for row in self.report.rows.iter().filter(|row| row.polls.is_some()) {
            for (word, n) in &row.tasks {
                *statuses.entry(word).or_insert(0) += n;
            }
        }
        let statuses: Vec<String> = statuses.iter().map(|(word, n)| format!("{n} {word}")).collect();
        let statuses = if statuses.is_empty() { vec!["none".to_owned()] } else { statuses };
        let mut states: Vec<String> = Vec::new();
        for state in ["active", "pending", "stored", "abandoned"] {
            let n = self.report.count(state);
            let more = match (state, n) {
                (_, 0) => String::new(),
                ("stored", _) => format!(" ({})", large(self.report.stored_bytes())),
                ("abandoned", _) => {
                    let reasons = self.report.abandoned_by_reason();
                    format!(" ({})", reasons.iter().map(|(r, n)| format!("{n} {r}")).collect::<Vec<_>>().join(", "))
                }
                ("pending", _) if self.report.wanted > 0 => format!(" ({} without a link)", self.report.wanted),
                _ => String::new(),
            };
            states.push(format!("{n} {state}{more}"));
        }
        let mut lines = self.plain("tasks      ", &statuses);
        lines.extend(self.plain("downloads  ", &states));
        lines
    }

    fn work(&self) -> Vec<(Paint, String)> {
        let runs = self.report.instance.is_running() != Some(false);
        let mut lines = Vec::new();
        for (at, job) in self.report.attempting.iter().enumerate() {
            let since = job.active_since.parse().map_or_else(|_| job.active_since.clone(), |at| self.ago(at));
            let since = since.trim_end_matches(" ago");
            let verb = if runs { format!("for {since}") } else { "cut off".to_owned() };
            let text = format!("{}/{}/{}, attempt {}, {verb}", job.account, job.export, job.task_id, job.attempt);
            lines.extend(self.plain(if at == 0 { "under way  " } else { "           " }, &[text]));
        }
        lines
    }

    /// What comes, the soonest first.
    fn next(&self) -> Vec<(Paint, String)> {
        if self.report.instance.is_running() == Some(false) {
            return self.plain("next       ", &["nothing, until an instance runs".to_owned()]);
        }
        let mut events: Vec<(Option<Timestamp>, String)> = Vec::new();
        for row in &self.report.rows {
            match self.report.comes(Polls::next_poll, row) {
                Some(Due::At(at)) => events.push((Some(at), format!("poll of {}", row.key))),
                Some(Due::Now) => events.push((Some(self.report.now), format!("poll of {}", row.key))),
                _ => {}
            }
            if let Some(Due::At(at)) = self.report.comes(Polls::next_beat, row) {
                events.push((Some(at), format!("full sweep of {}, which brings back what was given up", row.key)));
            }
        }
        for retry in &self.report.retrying {
            let reason = retry.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            let attempt = retry.attempt.saturating_add(1);
            let text = format!("attempt {attempt} at {}/{}/{}{reason}", retry.account, retry.export, retry.task_id);
            events.push((retry.not_before.parse().ok(), text));
        }
        events.sort();
        events.truncate(NEXT_MAX);
        let mut lines = Vec::new();
        for (at, text) in events {
            let when = at.map_or_else(|| "soon".to_owned(), |at| self.comes_at(at));
            lines.extend(
                self.plain(if lines.is_empty() { "next       " } else { "           " }, &[format!("{when}: {text}")]),
            );
        }
        lines
    }

    fn comes_at(&self, at: Timestamp) -> String {
        if at <= self.report.now {
            return "now".to_owned();
        }
        format!("in {}", span(at.duration_since(self.report.now)))
    }

    fn verdict(&self) -> Vec<(Paint, String)> {
        let concerns = &self.report.concerns;
        if concerns.is_empty() {
            let text = match self.report.instance.is_running() {
                Some(false) => "Nothing runs at the moment, and nothing needs a person.",
                _ => "All is well: nothing needs a person.",
            };
            return vec![(Paint::Good, text.to_owned())];
        }
        let mut lines = Vec::new();
        for text in concerns.iter().map(|c| concern(self.report, c)) {
            let wrapped = flow("! ", &[visible(&text).into_owned()], 2, self.screen.width);
            lines.extend(wrapped.into_iter().map(|line| (Paint::Bad, line)));
        }
        let needs = if concerns.len() == 1 { "needs" } else { "need" };
        lines.push((Paint::Bad, format!("{} {needs} a person.", count(concerns.len() as u64, "thing"))));
        lines
    }
}

/// Events that are shown: more would push the verdict off the screen.
const NEXT_MAX: usize = 6;

/// Where to look when a listing is not read.
const fn whence(report: &Report) -> &'static str {
    match report.instance.is_running() {
        Some(false) => "no instance runs: start it",
        _ => "look for `poll.completed` and `poll.failed` in its log",
    }
}

/// What is to be looked at, and where to begin.
pub(super) fn concern(report: &Report, concern: &Concern) -> String {
    match concern {
        Concern::LowSpace("state") => {
            "Less than storage.min_free is free below storage.state_dir: downloads wait; make room.".to_owned()
        }
        Concern::LowSpace(_) => {
            "Less than storage.min_free is free below storage.download_dir: downloads wait; make room.".to_owned()
        }
        Concern::NeverPolled(key) => format!("{key} has never been read: {}.", whence(report)),
        Concern::Failing(key) => {
            let row = report.rows.iter().find(|row| row.key == *key);
            let last = row.and_then(|row| row.known.last_poll_at).filter(|last| *last <= report.now);
            let since = last.map_or_else(|| "yet".to_owned(), |at| format!("for {}", span(age(at, report.now))));
            let error = row.and_then(|row| row.known.error.as_deref()).unwrap_or("the reason is not on record");
            format!("No poll of {key} has succeeded {since}: {error}")
        }
        Concern::Overdue(key, overdue) => format!("{key}: {overdue}; {}.", whence(report)),
        Concern::Suspect(key) => format!(
            "{key} lost more than half of its tasks at once: are its keys those of the right account? For 24 h nothing is \
             marked unlisted."
        ),
        Concern::RefusedHere(n) => {
            let fail = if *n == 1 { "download fails" } else { "downloads fail" };
            format!(
                "{n} {fail} of what the configuration says, and will as long as it does: `cdn-usaged tasks --state pending` shows \
                 them, `cdn-usaged why TASK` what to change."
            )
        }
        Concern::Lacking(n) => {
            let are = if *n == 1 { "month or day is" } else { "months or days are" };
            format!("{n} expected {are} overdue: `cdn-usaged gaps` says which, and what to do.")
        }
        Concern::Abandoned(n) => {
            let are = if *n == 1 { "download is" } else { "downloads are" };
            format!(
                "{n} {are} given up: `cdn-usaged tasks --state abandoned` shows them, `cdn-usaged why TASK` what to do."
            )
        }
    }
}
