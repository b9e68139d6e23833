//! TASK on the command line: an id, or ACCOUNT/EXPORT/ID.

use super::Failure;
use crate::{
    model::task::{AccountName, Export, ListingKey, TaskId, TaskKey},
    store::{Store, TaskFilter, TaskRow},
    text::visible,
};

/// Candidates that are named when an id is ambiguous.
const CANDIDATES_MAX: u64 = 20;

/// Reads ACCOUNT/EXPORT/ID; an id may itself hold slashes.
fn qualified(reference: &str) -> Option<TaskFilter> {
    let mut parts = reference.splitn(3, '/');
    let account = AccountName::parse(parts.next()?).ok()?;
    let export = Export::parse(parts.next()?).ok()?;
    Some(TaskFilter {
        account: Some(account.to_string()),
        export: Some(export.to_string()),
        task_id: Some(parts.next()?.to_owned()),
        ..TaskFilter::default()
    })
}

/// The key of a row that the store gave.
pub(crate) fn key_of(row: &TaskRow) -> Result<TaskKey, Failure> {
    Ok(TaskKey {
        listing: ListingKey {
            account: AccountName::parse(&row.account).map_err(Failure::other)?,
            export: Export::parse(&row.export).map_err(Failure::other)?,
        },
        id: TaskId::parse(&row.task_id).map_err(Failure::other)?,
    })
}

/// Finds the one task that is meant.
pub(crate) async fn find(store: &Store, reference: &str) -> Result<(TaskKey, TaskRow), Failure> {
    let mut found = Vec::new();
    if let Some(filter) = qualified(reference) {
        found = store.tasks(&filter, 1, 0).await?;
    }
    if found.is_empty() {
        let filter = TaskFilter { task_id: Some(reference.to_owned()), ..TaskFilter::default() };
        found = store.tasks(&filter, CANDIDATES_MAX, 0).await?;
    }
    let shown = visible(reference);
    match found.as_slice() {
        [] => Err(Failure::other(format!("no task {shown} is known; `cdn-usaged tasks` shows those that are"))),
        [row] => Ok((key_of(row)?, row.clone())),
        several => {
            let names: Vec<String> =
                several.iter().map(|r| format!("{}/{}/{}", r.account, r.export, visible(&r.task_id))).collect();
            let names = names.join("\n  ");
            Err(Failure::usage(format!("task {shown} is ambiguous; name one of\n  {names}")))
        }
    }
}
