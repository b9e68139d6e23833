//! `files`: the published files, for consumers that remember where they were.

use super::{
    Failure,
    args::FilesArgs,
    output::{Out, TABLE_ROWS_MAX, size, time},
};
use crate::{
    config::Config,
    store::{FileRow, Store},
};

fn table_row(file: &FileRow) -> Vec<String> {
    vec![
        file.id.to_string(),
        time(Some(&file.stored_at)),
        size(file.bytes),
        file.verified_by.clone(),
        file.path.clone(),
    ]
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &FilesArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let mut out = Out::new();
    let mut after = args.after;
    let mut none = true;
    loop {
        let files = store.files_after(after, TABLE_ROWS_MAX as u64).await?;
        if args.json {
            for file in &files {
                out.json(file)?;
            }
        } else {
            let rows: Vec<_> = files.iter().map(table_row).collect();
            out.table(&["ID", "STORED", "SIZE", "VERIFIED BY", "PATH"], &rows)?;
        }
        none &= files.is_empty();
        match files.last() {
            Some(last) if files.len() == TABLE_ROWS_MAX => after = last.id,
            _ => break,
        }
    }
    if none && !args.json {
        out.line(&format!("no file is published after id {}", args.after))?;
    }
    store.close_beside().await;
    out.finish()
}
