//! Results on standard output: JSON Lines, or a table for people.

use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::Failure;
use crate::text;

/// The text of the failure that a closed pipe leads to; never shown.
pub(super) const BROKEN_PIPE: &str = "standard output was closed";

/// Rows that a table holds before it is printed: its columns are as wide as its widest cell, so it has to wait for
/// all of them; a longer result is printed as several tables.
pub(super) const TABLE_ROWS_MAX: usize = 1_000;

/// Standard output, locked and buffered.
pub(crate) struct Out {
    writer: BufWriter<StdoutLock<'static>>,
    width: Option<u16>,
}

impl Out {
    pub(crate) fn new() -> Self {
        let width = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0);
        Self { writer: BufWriter::new(io::stdout().lock()), width }
    }

    /// One line of text, with control characters from the network made visible.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.writer, "{}", text::visible(line)).map_err(failure)
    }

    /// One object, on one line, with control characters from the network escaped.
    pub(crate) fn json(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(row).map_err(|e| failure(e.into()))?;
        writeln!(self.writer, "{}", text::json_visible(&line)).map_err(failure)
    }

    /// A table, with control characters from the network made visible; nothing when it has no rows.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(header.to_vec());
        if let Some(width) = self.width {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| text::visible(cell).into_owned()));
        }
        for line in table.lines() {
            writeln!(self.writer, "{}", line.trim_end()).map_err(failure)?;
        }
        Ok(())
    }

    /// Everything is written, or the command fails.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(failure)
    }
}

fn failure(e: io::Error) -> Failure {
    if e.kind() == io::ErrorKind::BrokenPipe {
        Failure::other(BROKEN_PIPE)
    } else {
        Failure::other(format!("cannot write to standard output: {e}"))
    }
}

/// An optional cell.
pub(crate) fn cell(value: Option<&str>) -> String {
    value.unwrap_or("-").to_owned()
}

/// A stored time for people: UTC, to the second.
pub(crate) fn time(value: Option<&str>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |t| t.get(..19).map_or_else(|| t.to_owned(), |s| format!("{}Z", s.replace('T', " "))),
    )
}

/// A size for people.
pub(crate) fn size(bytes: i64) -> String {
    bytesize::ByteSize(u64::try_from(bytes).unwrap_or(0)).display().iec().to_string()
}
