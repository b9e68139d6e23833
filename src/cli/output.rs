//! Results on standard output: JSON Lines, or lines and tables for people.

use std::io::{self, BufWriter, StdoutLock, Write as _};

use serde::Serialize;

use super::{
    Failure,
    screen::Screen,
    table::{self, Cell, Column},
};
use crate::{model::window::State, text};

/// The text of the failure that a closed pipe leads to; never shown.
pub(super) const BROKEN_PIPE: &str = "standard output was closed";

/// Rows that a table holds before it is printed: its columns are as wide as its widest cell, so it has to wait for
/// all of them; a longer result is printed as several tables.
pub(super) const TABLE_ROWS_MAX: usize = 1_000;

/// A colour, on a terminal that wants any. What it means is said in words, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// None.
    Plain,
    /// It is as it should be.
    Good,
    /// It goes on by itself.
    Waiting,
    /// A person should look.
    Bad,
}

impl Paint {
    const fn begin(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Waiting => "\u{1b}[33m",
            Self::Bad => "\u{1b}[31m",
        }
    }

    /// Whether this is a good word of a status or a state.
    pub(crate) fn of_word(word: &str) -> Self {
        match word {
            "success" | "stored" => Self::Good,
            "failed" | "abandoned" => Self::Bad,
            "pending" | "active" => Self::Waiting,
            _ => Self::Plain,
        }
    }
}

/// Standard output, locked and buffered.
pub(crate) struct Out {
    writer: BufWriter<StdoutLock<'static>>,
    screen: Screen,
}

/// A piece of a line, which may have a colour. The words alone say everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    text: String,
    state: Option<State>,
}

impl Piece {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), state: None }
    }

    /// In the colour of a state.
    pub(crate) fn state(state: State, text: impl Into<String>) -> Self {
        Self { text: text.into(), state: Some(state) }
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// The colour of a state, as the terminal's own palette has it.
const fn colour(state: State) -> &'static str {
    match state {
        State::Archived => "32",
        State::Restated => "36",
        State::Pending => "34",
        State::Missing => "39",
        State::Failed => "35",
        State::Overdue => "1;31",
        State::BeyondReach => "2",
    }
}

impl Out {
    /// In local time.
    pub(crate) fn new() -> Self {
        Self::in_zone(false)
    }

    /// In local time, or in UTC.
    pub(crate) fn in_zone(utc: bool) -> Self {
        Self { writer: BufWriter::new(io::stdout().lock()), screen: Screen::of_stdout(utc) }
    }

    /// Where it is shown.
    pub(crate) const fn screen(&self) -> &Screen {
        &self.screen
    }

    /// One line of pieces, coloured on a terminal, without blanks at its end.
    pub(crate) fn pieces(&mut self, pieces: &[Piece]) -> Result<(), Failure> {
        let used = pieces.iter().rposition(|piece| !piece.text.trim_end().is_empty()).map_or(0, |last| last + 1);
        for (i, piece) in pieces[..used].iter().enumerate() {
            let shown = text::visible(if i + 1 == used { piece.text.trim_end() } else { &piece.text });
            match piece.state.filter(|_| self.screen.colours) {
                Some(state) => write!(self.writer, "\u{1b}[{}m{shown}\u{1b}[0m", colour(state)),
                None => write!(self.writer, "{shown}"),
            }
            .map_err(failure)?;
        }
        writeln!(self.writer).map_err(failure)
    }

    /// One line of text, with control characters from the network made visible.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.painted(Paint::Plain, line)
    }

    /// The same in a colour.
    pub(crate) fn painted(&mut self, paint: Paint, line: &str) -> Result<(), Failure> {
        self.write(paint, &text::visible(line))?;
        self.end_line()
    }

    /// One object, on one line, with control characters from the network escaped.
    pub(crate) fn json(&mut self, row: &impl Serialize) -> Result<(), Failure> {
        let line = serde_json::to_string(row).map_err(|e| failure(e.into()))?;
        writeln!(self.writer, "{}", text::json_visible(&line)).map_err(failure)
    }

    /// A table; nothing when it has no rows. Its cells have been made visible. `paint` gives the colour of a cell, by its
    /// row and column.
    pub(crate) fn table(
        &mut self,
        columns: &[Column],
        rows: &[Vec<Cell>],
        paint: impl Fn(usize, usize) -> Paint,
    ) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        for line in table::lines(columns, rows, self.screen.width) {
            for piece in line {
                let paint = piece.row.map_or(Paint::Plain, |row| paint(row, piece.column));
                self.write(paint, &piece.text)?;
            }
            self.end_line()?;
        }
        Ok(())
    }

    /// Text that has been made visible.
    fn write(&mut self, paint: Paint, text: &str) -> Result<(), Failure> {
        if paint == Paint::Plain || !self.screen.colours {
            return self.writer.write_all(text.as_bytes()).map_err(failure);
        }
        // The words alone: blanks that fill a column have no colour.
        let (words, before) = (text.trim(), text.len() - text.trim_start().len());
        let after = &text[before + words.len()..];
        write!(self.writer, "{}{}{words}\u{1b}[0m{after}", &text[..before], paint.begin()).map_err(failure)
    }

    fn end_line(&mut self) -> Result<(), Failure> {
        writeln!(self.writer).map_err(failure)
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

/// An optional cell, with control characters made visible.
pub(crate) fn cell(value: Option<&str>) -> String {
    text::visible(value.unwrap_or("-")).into_owned()
}
