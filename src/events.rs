//! Every line that an operator may alert on: one function per event, with stable names and fields.
//!
//! Nothing else logs above debug. A field that does not apply is left out. The message can be read alone; the fields
//! can be queried. Neither ever holds a key, a token or the query of a signed link.

mod ids;

use std::time::Duration;

use tracing::{error, info, warn};

use crate::{
    model::{
        download::{Reason, VerifiedBy},
        task::{AccountName, ListingKey, TaskKey},
    },
    text::count,
};

pub use self::ids::{MESSAGE_IDS, message_id};

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

/// What a finished poll says of itself.
#[derive(Debug, Clone)]
pub struct PollCompleted {
    /// `quick` or `full`.
    pub mode: &'static str,
    /// Pages read.
    pub pages: u64,
    /// Calls made for them, retries included.
    pub calls: u64,
    /// Distinct tasks seen.
    pub tasks: u64,
    /// What the service counts.
    pub total: Option<u64>,
    /// Whether a full sweep saw all of an unchanging listing; absent for a quick poll.
    pub consistent: Option<bool>,
    /// Transitions recorded.
    pub changed: u64,
    /// How long it took.
    pub duration: Duration,
}

/// `poll.completed`, always, also when nothing changed.
pub fn poll_completed(listing: &ListingKey, p: &PollCompleted) {
    info!(
        target: "cdn_usaged::poll",
        event = "poll.completed", account = %listing.account, export = %listing.export, mode = p.mode, pages = p.pages,
        calls = p.calls, tasks = p.tasks, total = p.total, consistent = p.consistent, changed = p.changed,
        duration_ms = millis(p.duration),
        "{} of {listing}: {} on {}, {} changed",
        if p.mode == "full" { "full sweep" } else { "poll" }, count(p.tasks, "task"), count(p.pages, "page"), p.changed
    );
}

/// `poll.failed`: warn, error from the third in a row.
pub fn poll_failed(
    listing: &ListingKey,
    in_a_row: u32,
    error: &str,
    code: Option<&str>,
    request_id: Option<&str>,
    retry_in: Option<Duration>,
) {
    let (account, export) = (&listing.account, &listing.export);
    let retry_in_ms = retry_in.map(millis);
    if in_a_row >= 3 {
        error!(target: "cdn_usaged::poll", event = "poll.failed", %account, %export, error, code, request_id, retry_in_ms,
            "the poll of {listing} failed, {in_a_row} times in a row: {error}");
    } else {
        warn!(target: "cdn_usaged::poll", event = "poll.failed", %account, %export, error, code, request_id, retry_in_ms,
            "the poll of {listing} failed: {error}");
    }
}

/// `poll.suspect`: the listing is suddenly empty, or under half of what it was.
pub fn poll_suspect(listing: &ListingKey, total: u64, previous: u64) {
    error!(
        target: "cdn_usaged::poll",
        event = "poll.suspect", account = %listing.account, export = %listing.export, total, previous,
        "{listing} shrank from {previous} to {total} tasks; nothing is marked unlisted for 24 h"
    );
}

/// `api.throttled`
pub fn api_throttled(account: &AccountName, code: &str, wait: Duration) {
    warn!(target: "cdn_usaged::api", event = "api.throttled", %account, code, wait_ms = millis(wait),
        "the service throttles account {account} ({code}); all of its calls wait {} ms", millis(wait));
}

/// `credentials.rejected`: at onset and then hourly.
pub fn credentials_rejected(account: &AccountName, error: &str, code: Option<&str>, request_id: Option<&str>) {
    error!(target: "cdn_usaged::api", event = "credentials.rejected", %account, error, code, request_id,
        "the credentials of account {account} do not work: {error}");
}

/// `credentials.refreshed`: other temporary keys are in use.
pub fn credentials_refreshed(account: &AccountName, origin: &str, expires_at: &str) {
    info!(target: "cdn_usaged::api", event = "credentials.refreshed", %account, origin, expires_at,
        "account {account} has keys of {origin}, good until {expires_at}");
}

/// `credentials.refresh_failed`: those that are in use are still good.
pub fn credentials_refresh_failed(account: &AccountName, error: &str, expires_at: Option<&str>) {
    warn!(target: "cdn_usaged::api", event = "credentials.refresh_failed", %account, error, expires_at,
        "the keys of account {account} could not be replaced ahead of their end ({}): {error}", expires_at.unwrap_or("not known"));
}

/// `row.rejected`: a row of a listing that cannot be read; the rest of its page counts.
pub fn row_rejected(listing: &ListingKey, task_id: Option<&str>, error: &str) {
    warn!(target: "cdn_usaged::poll", event = "row.rejected", account = %listing.account, export = %listing.export, task_id, error,
        "a row of {listing} cannot be read and is kept raw: {error}");
}

/// A committed change of a task.
#[derive(Debug, Clone)]
pub struct Transition<'a> {
    /// Which kind of change.
    pub kind: &'static str,
    /// The task's name.
    pub name: Option<&'a str>,
    /// The status before; absent for the first sight.
    pub from: Option<&'a str>,
    /// The status now.
    pub to: &'a str,
    /// The service's update time.
    pub remote_updated_at: Option<&'a str>,
    /// The call that showed it.
    pub request_id: Option<&'a str>,
    /// Whether a person may want to look: failed, unlisted, or a word nobody knows.
    pub notable: bool,
}

/// `task.transition`: info; warn for failed, unlisted and unknown words. Only after its commit.
pub fn task_transition(task: &TaskKey, t: &Transition<'_>) {
    let (account, export, task_id) = (&task.listing.account, &task.listing.export, task.id.as_str());
    let message = match (t.kind, t.from) {
        ("first", _) => format!("task {task} is listed for the first time, {}", t.to),
        ("status", Some(from)) => format!("task {task} went from {from} to {}", t.to),
        ("unlisted", _) => format!("task {task} is no longer listed; it was {}", t.to),
        ("relisted", _) => format!("task {task} is listed again, {}", t.to),
        ("reissued", _) => format!("task {task} was issued anew, {}", t.to),
        _ => format!("task {task} was updated, {}", t.to),
    };
    if t.notable {
        warn!(target: "cdn_usaged::task", event = "task.transition", %account, %export, task_id, kind = t.kind, name = t.name,
            from = t.from, to = t.to, remote_updated_at = t.remote_updated_at, request_id = t.request_id, "{message}");
    } else {
        info!(target: "cdn_usaged::task", event = "task.transition", %account, %export, task_id, kind = t.kind, name = t.name,
            from = t.from, to = t.to, remote_updated_at = t.remote_updated_at, request_id = t.request_id, "{message}");
    }
}

/// `link.refreshed`: a refused link was replaced through the listing.
pub fn link_refreshed(task: &TaskKey, calls: u64) {
    info!(target: "cdn_usaged::poll", event = "link.refreshed", account = %task.listing.account, export = %task.listing.export,
        task_id = task.id.as_str(), calls, "task {task} has a fresh link");
}

/// A published file.
#[derive(Debug, Clone)]
pub struct Stored<'a> {
    /// Relative to the download folder.
    pub path: &'a str,
    /// Its size.
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: &'a str,
    /// From 1.
    pub revision: u32,
    /// What it was checked against.
    pub verified_by: VerifiedBy,
    /// From 1.
    pub attempt: u32,
    /// Bytes that an earlier attempt had left.
    pub resumed_bytes: u64,
    /// From the attempt's start to its commit.
    pub duration: Duration,
}

/// `download.stored`
pub fn download_stored(task: &TaskKey, s: &Stored<'_>) {
    info!(
        target: "cdn_usaged::download",
        event = "download.stored", account = %task.listing.account, export = %task.listing.export, task_id = task.id.as_str(),
        path = s.path, bytes = s.bytes, sha256 = s.sha256, revision = s.revision, verified_by = s.verified_by.as_str(),
        attempt = s.attempt, resumed_bytes = s.resumed_bytes, duration_ms = millis(s.duration),
        "task {task} is stored as {} ({} bytes{}, verified by {})", s.path, s.bytes,
        if s.resumed_bytes > 0 { format!(", resumed at {}", s.resumed_bytes) } else { String::new() }, s.verified_by.as_str()
    );
}

/// `download.retrying`
pub fn download_retrying(task: &TaskKey, reason: Reason, error: &str, attempt: u32, retry_in: Duration) {
    warn!(target: "cdn_usaged::download", event = "download.retrying", account = %task.listing.account, export = %task.listing.export,
        task_id = task.id.as_str(), reason = reason.as_str(), error, attempt, retry_in_ms = millis(retry_in),
        "attempt {attempt} at the file of task {task} failed and is tried again in {} ms: {error}", millis(retry_in));
}

/// `download.abandoned`
pub fn download_abandoned(task: &TaskKey, reason: Reason, error: &str, attempt: u32) {
    error!(target: "cdn_usaged::download", event = "download.abandoned", account = %task.listing.account, export = %task.listing.export,
        task_id = task.id.as_str(), reason = reason.as_str(), error, attempt,
        "the file of task {task} is given up after attempt {attempt}: {error}");
}

/// A window of which something is said.
#[derive(Debug, Clone)]
pub struct Window<'a> {
    /// Its listing.
    pub listing: &'a ListingKey,
    /// The pattern of the expectation.
    pub name: &'a str,
    /// `month` or `day`.
    pub window: &'static str,
    /// Which month or day.
    pub date: &'a str,
    /// Its first second.
    pub range_start: &'a str,
    /// Its last second.
    pub range_end: &'a str,
    /// When it was due.
    pub due_at: &'a str,
    /// Why it is what it is.
    pub why: &'a str,
    /// What to do; absent when nothing is to be done, or nothing would help.
    pub advice: Option<&'a str>,
}

impl Window<'_> {
    /// `main/usage-detail 2026-06 "traffic*"`.
    fn title(&self) -> String {
        let name = if self.name == "*" { String::new() } else { format!(" {:?}", self.name) };
        format!("{} {}{name}", self.listing, self.date)
    }

    fn advice(&self) -> String {
        self.advice.map_or_else(String::new, |advice| format!("; {advice}"))
    }
}

/// `window.archived`: all of a window that is expected is archived.
pub fn window_archived(w: &Window<'_>) {
    info!(
        target: "cdn_usaged::window", event = "window.archived", account = %w.listing.account, export = %w.listing.export,
        name = w.name, window = w.window, date = w.date, range_start = w.range_start, range_end = w.range_end,
        due_at = w.due_at, why = w.why,
        "{} is archived: {}", w.title(), w.why
    );
}

/// `window.overdue`: a window that is expected is due, and not archived.
pub fn window_overdue(w: &Window<'_>) {
    error!(
        target: "cdn_usaged::window", event = "window.overdue", account = %w.listing.account, export = %w.listing.export,
        name = w.name, window = w.window, date = w.date, range_start = w.range_start, range_end = w.range_end,
        due_at = w.due_at, why = w.why, advice = w.advice,
        "{} is overdue since {}: {}{}", w.title(), w.due_at, w.why, w.advice()
    );
}

/// `window.beyond_reach`: some of a window that is expected lacks, and can be exported no more.
pub fn window_beyond_reach(w: &Window<'_>) {
    error!(
        target: "cdn_usaged::window", event = "window.beyond_reach", account = %w.listing.account, export = %w.listing.export,
        name = w.name, window = w.window, date = w.date, range_start = w.range_start, range_end = w.range_end,
        due_at = w.due_at, why = w.why, advice = w.advice,
        "{} is beyond reach: {}{}", w.title(), w.why, w.advice()
    );
}

/// `storage.low`: downloads wait.
pub fn storage_low(path: &str, free_bytes: u64) {
    error!(target: "cdn_usaged::storage", event = "storage.low", path, free_bytes,
        "{free_bytes} bytes are free below {path}, less than storage.min_free allows; downloads wait");
}

/// `storage.recovered`
pub fn storage_recovered(path: &str, free_bytes: u64) {
    info!(target: "cdn_usaged::storage", event = "storage.recovered", path, free_bytes, "there is room again below {path}; downloads go on");
}

/// `store.failed`: the database could not be read or written.
pub fn store_failed(error: &str) {
    error!(target: "cdn_usaged::storage", event = "store.failed", error, "the database cannot be used: {error}");
}

/// `daemon.started`: the first line.
pub fn daemon_started() {
    let version = env!("CARGO_PKG_VERSION");
    info!(target: "cdn_usaged::daemon", event = "daemon.started", version, "cdn-usaged {version} starts");
}

/// `daemon.ready`: the configuration is valid and the database open; the service need not have answered yet.
pub fn daemon_ready() {
    info!(target: "cdn_usaged::daemon", event = "daemon.ready", "ready");
}

/// `daemon.failed`: it ends because it cannot go on; a stop that was asked for is none.
pub fn daemon_failed(error: &str) {
    error!(target: "cdn_usaged::daemon", event = "daemon.failed", error, "cdn-usaged cannot go on: {error}");
}

/// `daemon.stopping`: why it ends, such as a signal's name.
pub fn daemon_stopping(reason: &str) {
    info!(target: "cdn_usaged::daemon", event = "daemon.stopping", reason, "stopping: {reason}");
}

/// `daemon.stopped`: the last line.
pub fn daemon_stopped() {
    info!(target: "cdn_usaged::daemon", event = "daemon.stopped", "stopped");
}

/// What a reload changed. Empty lists are left out of the line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Names of accounts that are new.
    pub added: Vec<String>,
    /// Names of accounts that are gone.
    pub removed: Vec<String>,
    /// Names of accounts, and keys outside of them, that have other values.
    pub changed: Vec<String>,
}

/// `config.reloaded`
pub fn config_reloaded(r: &Reloaded) {
    let list = |names: &[String]| (!names.is_empty()).then(|| names.join(","));
    let (added, removed, changed) = (list(&r.added), list(&r.removed), list(&r.changed));
    let parts = [("added", &added), ("removed", &removed), ("changed", &changed)];
    let said: Vec<_> = parts.iter().filter_map(|(word, names)| Some(format!("{word} {}", names.as_ref()?))).collect();
    let what = if said.is_empty() { "nothing changed".to_owned() } else { said.join("; ") };
    info!(target: "cdn_usaged::daemon", event = "config.reloaded", added, removed, changed, "the configuration is read again: {what}");
}

/// `config.rejected`: everything stays as it was.
pub fn config_rejected(error: &str) {
    error!(target: "cdn_usaged::daemon", event = "config.rejected", error,
        "the configuration is not taken over, the old one stays: {error}");
}
