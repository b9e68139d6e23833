//! `retry`: puts downloads back into the queue.

use std::path::Path;

use serde::Serialize;

use super::{Failure, args::RetryArgs, output::Out, owner, task_ref};
use crate::{
    clock,
    config::Config,
    fetch::{Area, Condition},
    model::task::TaskKey,
    store::{Store, TaskFilter, TaskRow},
};

#[derive(Serialize)]
struct Line<'a> {
    account: &'a str,
    export: &'a str,
    task_id: &'a str,
    queued: bool,
    message: String,
}

/// Runs the command.
pub(crate) async fn run(config_path: &Path, config: &Config, args: &RetryArgs) -> Result<(), Failure> {
    let state_dir = &config.storage.state_dir;
    let words = if args.abandoned { "retry --abandoned".to_owned() } else { format!("retry {}", args.tasks.join(" ")) };
    owner::refuse_root(config_path, state_dir, &words, args.as_root)?;
    // What is not there yet is not made: there is nothing to retry.
    Store::open_read_only(state_dir).await?.close_beside().await;
    let store = Store::open(state_dir).await?;
    let outcome = retry_all(&store, config, args).await;
    store.close_beside().await;
    outcome
}

async fn retry_all(store: &Store, config: &Config, args: &RetryArgs) -> Result<(), Failure> {
    let mut chosen = Vec::new();
    if args.abandoned {
        let filter = TaskFilter { state: Some("abandoned".to_owned()), ..TaskFilter::default() };
        for row in store.tasks(&filter, u64::MAX, 0).await? {
            chosen.push((task_ref::key_of(&row)?, row));
        }
    } else {
        for reference in &args.tasks {
            chosen.push(task_ref::find(store, reference).await?);
        }
    }
    let area = Area::at(&config.storage.download_dir);
    let mut out = Out::new();
    let mut refused = false;
    for (key, row) in &chosen {
        let Answer { queued, refused: is_refused, message } = retry_one(store, &area, key, row).await?;
        refused |= is_refused;
        if args.json {
            let TaskRow { account, export, task_id, .. } = row;
            out.json(&Line { account, export, task_id, queued, message })?;
        } else {
            out.line(&format!("{key}: {message}"))?;
        }
    }
    if chosen.is_empty() && !args.json {
        out.line("no download is abandoned")?;
    }
    out.finish()?;
    if refused { Err(Failure::silent()) } else { Ok(()) }
}

/// Looks at a stored file before it is fetched again: a whole one stays. Says whether it is pending again, and whether
/// that is as it should be.
async fn retry_one(store: &Store, area: &Area, key: &TaskKey, row: &TaskRow) -> Result<Answer, Failure> {
    let Some(state) = row.state.as_deref() else {
        return Ok(Answer::refused(format!("has no download, its status is {}", row.status)));
    };
    let (mut why, mut damaged) = (format!("was {state}"), None);
    if let ("stored", Some(path)) = (state, &row.path) {
        let bytes = u64::try_from(row.bytes.unwrap_or(0)).unwrap_or(0);
        match area.condition(path, bytes, row.sha256.as_deref().unwrap_or("")).await {
            Condition::Whole => {
                let message = format!("{path} is whole, nothing to do");
                return Ok(Answer { queued: false, refused: false, message });
            }
            Condition::Missing => why = format!("{path} is missing"),
            Condition::Damaged(_) => damaged = Some(path),
        }
    }
    // Within the one step that puts it back: an attempt that runs meanwhile must not find half of it.
    let mut kept = None;
    let moves = || damaged.map_or(Ok(()), |path| area.move_damaged(path).map(|place| kept = place));
    if !store.requeue(key, clock::now(), moves).await? {
        return Ok(Answer::refused("an attempt is under way; try again when it has ended".to_owned()));
    }
    if let (Some(path), Some(kept)) = (damaged, kept) {
        why = format!("{path} was damaged and is kept as {kept}");
    }
    Ok(Answer { queued: true, refused: false, message: format!("{why}; it is pending again") })
}

struct Answer {
    queued: bool,
    refused: bool,
    message: String,
}

impl Answer {
    const fn refused(message: String) -> Self {
        Self { queued: false, refused: true, message }
    }
}
