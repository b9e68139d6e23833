//! `history`: every transition, attempt and file of a task, in the order of time.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Failure,
    args::HistoryArgs,
    output::Out,
    screen::{Screen, size, span},
    table::flow,
    task_ref,
};
use crate::{
    config::Config,
    model::task::TaskKey,
    store::{AttemptRow, FileRow, Store, TransitionRow},
    text::visible,
};

/// What happened once; `--json` tells the three apart by `type`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Entry {
    Transition(TransitionRow),
    Attempt(AttemptRow),
    File(FileRow),
}

impl Entry {
    fn at(&self) -> &str {
        match self {
            Self::Transition(t) => &t.observed_at,
            Self::Attempt(a) => &a.ended_at,
            Self::File(f) => &f.stored_at,
        }
    }

    /// What happened, in parts of a sentence, the first of which says most.
    fn parts(&self, screen: &Screen) -> (&'static str, Vec<String>) {
        match self {
            Self::Transition(t) => {
                let change = match (&t.from_status, t.kind.as_str()) {
                    (Some(from), "status") => format!("{from} -> {}", t.to_status),
                    (_, kind) => format!("{kind}, {}", t.to_status),
                };
                let updated = t.remote_updated_at.as_deref().map(|at| format!("updated {}", local(screen, at)));
                (
                    "transition",
                    [Some(change), updated, request(t.request_id.as_deref())].into_iter().flatten().collect(),
                )
            }
            Self::Attempt(a) => {
                let took =
                    between(&a.started_at, &a.ended_at).map(|t| format!(" after {}", took(t))).unwrap_or_default();
                let bytes = a.to_byte.map(|to| {
                    let from = a.from_byte.unwrap_or(0);
                    format!("{} (bytes {from} to {to})", size(to.saturating_sub(from)))
                });
                let why = a.reason.as_ref().map(|reason| match &a.error {
                    Some(error) => format!("{reason}: {error}"),
                    None => reason.clone(),
                });
                let head = format!("attempt {}: {}{took}", a.attempt, a.result);
                // Of one that went well nobody asks the vendor's support.
                let request = a.reason.as_ref().and_then(|_| request(a.request_id.as_deref()));
                ("attempt", [Some(head), bytes, request, why].into_iter().flatten().collect())
            }
            Self::File(f) => {
                let head = format!("revision {}: {}, verified by {}", f.revision, size(f.bytes), f.verified_by);
                ("file", vec![head, f.path.clone(), format!("sha256 {}", f.sha256)])
            }
        }
    }
}

fn request(id: Option<&str>) -> Option<String> {
    id.map(|id| format!("request {id}"))
}

fn local(screen: &Screen, stored: &str) -> String {
    stored.parse().map_or_else(|_| stored.to_owned(), |at| screen.time(at))
}

fn between(from: &str, to: &str) -> Option<jiff::SignedDuration> {
    Some(to.parse::<Timestamp>().ok()?.duration_since(from.parse().ok()?))
}

/// Most attempts are short: to the tenth of a second then.
fn took(length: jiff::SignedDuration) -> String {
    match length.as_millis() {
        millis @ 0..10_000 => format!("{}.{} s", millis / 1_000, millis / 100 % 10),
        _ => span(length),
    }
}

/// Further lines of an entry begin here: what is long and must stay whole, as a path or a digest, fits behind it.
const INDENT: usize = 4;

/// The story of a task for people.
pub(super) fn lines(title: &str, entries: &[Entry], screen: &Screen) -> Vec<String> {
    let times = screen.times(entries.iter().map(|e| Some(e.at())));
    let when = times.header("WHEN");
    let width = times.forms.iter().map(|forms| forms[0].len()).fold(when.len(), usize::max);
    let mut lines = vec![visible(title).into_owned(), format!(" {when:width$}  WHAT        DETAILS")];
    for (entry, [at, ..]) in entries.iter().zip(&times.forms) {
        let (what, parts) = entry.parts(screen);
        let parts: Vec<String> = parts.iter().map(|part| visible(part).into_owned()).collect();
        lines.extend(flow(&format!(" {at:width$}  {what:10}  "), &parts, INDENT, screen.width));
    }
    lines
}

/// All that happened to a task.
pub(super) async fn entries(store: &Store, key: &TaskKey) -> Result<Vec<Entry>, Failure> {
    let mut entries: Vec<Entry> = store.transitions_of(key).await?.into_iter().map(Entry::Transition).collect();
    entries.extend(store.attempts_of(key).await?.into_iter().map(Entry::Attempt));
    entries.extend(store.files_of(key).await?.into_iter().map(Entry::File));
    // Times are RFC 3339 in UTC with milliseconds, so their text sorts; equal ones stay in the order above.
    entries.sort_by(|a, b| a.at().cmp(b.at()));
    Ok(entries)
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &HistoryArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let (key, row) = task_ref::find(&store, &args.task).await?;
    let entries = entries(&store, &key).await?;
    let mut out = Out::in_zone(args.utc);
    if args.json {
        for entry in &entries {
            out.json(entry)?;
        }
    } else {
        let state = row.state.as_deref().map_or_else(String::new, |s| format!(", {s}"));
        for line in lines(&format!("{key}: {}{state}", row.status), &entries, out.screen()) {
            out.line(&line)?;
        }
    }
    store.close_beside().await;
    out.finish()
}
