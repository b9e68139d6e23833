//! `history`: every transition, attempt and file of a task, in the order of time.

use serde::Serialize;

use super::{
    Failure,
    args::HistoryArgs,
    output::{Out, cell, size, time},
    task_ref,
};
use crate::{
    config::Config,
    store::{AttemptRow, FileRow, Store, TransitionRow},
};

/// What happened once; `--json` tells the three apart by `type`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Entry {
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

    fn cells(&self) -> Vec<String> {
        let (what, words) = match self {
            Self::Transition(t) => {
                let change = match (&t.from_status, t.kind.as_str()) {
                    (Some(from), "status") => format!("{from} -> {}", t.to_status),
                    (_, kind) => format!("{kind}, {}", t.to_status),
                };
                let remote = time(t.remote_updated_at.as_deref());
                ("transition", format!("{change} (updated {remote}, request {})", cell(t.request_id.as_deref())))
            }
            Self::Attempt(a) => {
                let why = match (&a.reason, &a.error) {
                    (Some(reason), Some(error)) => format!(", {reason}: {error}"),
                    (Some(reason), None) => format!(", {reason}"),
                    _ => String::new(),
                };
                let bytes =
                    a.to_byte.map_or_else(String::new, |to| format!(", bytes {} to {to}", a.from_byte.unwrap_or(0)));
                ("attempt", format!("attempt {}: {}{bytes}{why}", a.attempt, a.result))
            }
            Self::File(f) => (
                "file",
                format!(
                    "revision {}: {} ({}, verified by {}, sha256 {})",
                    f.revision,
                    f.path,
                    size(f.bytes),
                    f.verified_by,
                    f.sha256
                ),
            ),
        };
        vec![time(Some(self.at())), what.to_owned(), words]
    }
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &HistoryArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let (key, row) = task_ref::find(&store, &args.task).await?;
    let mut entries: Vec<Entry> = store.transitions_of(&key).await?.into_iter().map(Entry::Transition).collect();
    entries.extend(store.attempts_of(&key).await?.into_iter().map(Entry::Attempt));
    entries.extend(store.files_of(&key).await?.into_iter().map(Entry::File));
    // Times are RFC 3339 in UTC with milliseconds, so their text sorts; equal ones stay in the order above.
    entries.sort_by(|a, b| a.at().cmp(b.at()));
    let mut out = Out::new();
    if args.json {
        for entry in &entries {
            out.json(entry)?;
        }
    } else {
        let state = row.state.as_deref().map_or_else(String::new, |s| format!(", {s}"));
        out.line(&format!("{key}: {}{state}", row.status))?;
        out.table(&["WHEN", "WHAT", "DETAILS"], &entries.iter().map(Entry::cells).collect::<Vec<_>>())?;
    }
    store.close_beside().await;
    out.finish()
}
