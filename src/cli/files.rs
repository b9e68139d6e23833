//! `files`: the published files, for consumers that remember where they were.

use super::{
    Failure,
    args::FilesArgs,
    output::{Out, Paint, TABLE_ROWS_MAX, cell},
    screen::{Screen, size},
    table::{Cell, Column},
};
use crate::{
    config::Config,
    store::{FileRow, Store},
};

/// The columns: the id, which consumers remember, and the path, which they read, always stay.
fn table(screen: &Screen, files: &[FileRow]) -> (Vec<Column>, Vec<Vec<Cell>>) {
    let stored = screen.times(files.iter().map(|file| Some(file.stored_at.as_str())));
    let dated = vec![stored.header("STORED"), stored.header("STORED"), "STORED".to_owned()];
    let columns = vec![
        Column::new("ID", 0, 0),
        Column { header: dated, width_min: 0, rank: 1, breaks: false },
        Column::new("SIZE", 0, 0),
        Column::new("VERIFIED BY", 0, 2),
        Column::new("PATH", 0, 0),
    ];
    let rows = files.iter().zip(stored.forms).map(|(file, stored)| {
        vec![
            Cell::whole(file.id.to_string()),
            Cell::Forms(stored.into()),
            Cell::whole(size(file.bytes)),
            Cell::whole(file.verified_by.clone()),
            Cell::whole(cell(Some(&file.path))),
        ]
    });
    (columns, rows.collect())
}

/// Runs the command.
pub(crate) async fn run(config: &Config, args: &FilesArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let mut out = Out::in_zone(args.utc);
    let mut after = args.after;
    let mut none = true;
    loop {
        let files = store.files_after(after, TABLE_ROWS_MAX as u64).await?;
        if args.json {
            for file in &files {
                out.json(file)?;
            }
        } else {
            let (columns, rows) = table(out.screen(), &files);
            out.table(&columns, &rows, |_, _| Paint::Plain)?;
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
