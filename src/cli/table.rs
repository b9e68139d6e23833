//! Tables for people: as wide as what they hold where there is room, else shortened, and last without their least
//! important columns. A row is one line; what must not be ambiguous is never shortened.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// What stands where something was cut.
const CUT: char = '…';
/// Before and after each cell.
const PADDING: usize = 2;
/// What is never shortened may be as long as an id, which a broken answer makes 64 KiB long. Such a cell sticks out of its
/// column rather than widening it.
const WHOLE_WIDTH_MAX: usize = 120;

/// A cell, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Never shortened.
    Whole(String),
    /// Shown in one of several forms, the longest first; a column's cells have the same number of them.
    Forms(Vec<String>),
    /// Cut at its end.
    Text(String),
    /// A file: its size is kept, and its path is cut at the beginning, because its end tells files apart.
    File {
        /// For people.
        size: String,
        /// Relative to the download folder.
        path: String,
    },
}

impl Cell {
    /// A cell that is not shortened.
    pub(crate) fn whole(text: impl Into<String>) -> Self {
        Self::Whole(text.into())
    }

    fn natural(&self, form: usize) -> usize {
        match self {
            Self::Whole(text) => text.width().min(WHOLE_WIDTH_MAX),
            Self::Text(text) => text.width(),
            Self::Forms(forms) => pick(forms, form).width(),
            Self::File { size, path } => size.width() + 2 + path.width(),
        }
    }

    const fn is_elastic(&self) -> bool {
        matches!(self, Self::Text(_) | Self::File { .. })
    }

    fn fit(&self, form: usize, width: usize) -> String {
        match self {
            Self::Whole(text) => text.clone(),
            Self::Forms(forms) => pick(forms, form).to_owned(),
            Self::Text(text) => cut_end(text, width),
            Self::File { size, path } => {
                let room = width.saturating_sub(size.width() + 2);
                // Less than this of a name says nothing: the size alone is more than a scrap.
                if path.width() > room && room < 8 {
                    return cut_end(size, width);
                }
                format!("{size}, {}", cut_start(path, room))
            }
        }
    }
}

fn pick(forms: &[String], form: usize) -> &str {
    forms.get(form).or(forms.last()).map_or("", String::as_str)
}

/// The beginning of a text, at most so wide.
fn cut_end(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut kept = take(text.chars(), width.saturating_sub(1));
    kept.push(CUT);
    kept
}

/// The end of a text, at most so wide.
fn cut_start(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let kept = take(text.chars().rev(), width.saturating_sub(1));
    std::iter::once(CUT).chain(kept.chars().rev()).collect()
}

fn take(chars: impl Iterator<Item = char>, width: usize) -> String {
    let mut room = width;
    chars
        .take_while(|c| {
            let wide = c.width().unwrap_or(0);
            let fits = wide <= room;
            room = room.saturating_sub(wide);
            fits
        })
        .collect()
}

/// A column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// In as many forms as its cells.
    pub header: Vec<String>,
    /// A column of cells that are cut is not made narrower than this.
    pub width_min: usize,
    /// Those with the highest go first when there is no room; 0 always stays.
    pub rank: u8,
    /// A cell that is wider than its column stands on a line of its own, and the rest of its row below: one long id takes
    /// no room from all the others.
    pub breaks: bool,
}

/// A column that breaks is not made narrower than this, if it may be that wide: most ids fit.
const BREAKS_BEYOND: usize = 30;

impl Column {
    /// A column with one header.
    pub(crate) fn new(header: &str, width_min: usize, rank: u8) -> Self {
        Self { header: vec![header.to_owned()], width_min, rank, breaks: false }
    }

    /// The same, whose wide cells break their row.
    pub(crate) fn breaking(self) -> Self {
        Self { breaks: true, ..self }
    }
}

/// A piece of a line: the row and the column that it shows, for its colour, and its text. The head is of no row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    pub row: Option<usize>,
    pub column: usize,
    pub text: String,
}

/// The table, line by line.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<Vec<Piece>> {
    let layout = Layout::choose(columns, rows, width);
    let head = layout.kept.iter().map(|(column, _)| pick(&columns[*column].header, layout.form).to_owned());
    let mut lines = vec![layout.line(None, head.collect())];
    for (at, row) in rows.iter().enumerate() {
        let mut cells: Vec<String> =
            layout.kept.iter().map(|(column, width)| row[*column].fit(layout.form, *width)).collect();
        let breaks = |(column, width): &(usize, usize), cell: &String| columns[*column].breaks && cell.width() > *width;
        if let (Some(first), Some(cell)) = (layout.kept.first(), cells.first_mut())
            && breaks(first, cell)
        {
            let text = format!(" {}", std::mem::take(cell));
            lines.push(vec![Piece { row: Some(at), column: first.0, text }]);
        }
        lines.push(layout.line(Some(at), cells));
    }
    lines
}

struct Layout {
    form: usize,
    /// Column and width.
    kept: Vec<(usize, usize)>,
}

impl Layout {
    fn line(&self, row: Option<usize>, cells: Vec<String>) -> Vec<Piece> {
        let last = cells.len().saturating_sub(1);
        let padded = cells.into_iter().zip(&self.kept).enumerate().map(|(at, (text, (column, width)))| {
            let gap = if at == last { 0 } else { width.saturating_sub(text.width()) + 1 };
            Piece { row, column: *column, text: format!(" {text}{}", " ".repeat(gap)) }
        });
        let mut pieces: Vec<Piece> = padded.collect();
        if let Some(piece) = pieces.last_mut() {
            piece.text.truncate(piece.text.trim_end().len());
        }
        pieces
    }

    fn choose(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Self {
        let head = |column: usize, form: usize| pick(&columns[column].header, form).width();
        let widest = |column: usize, form: usize, of: &dyn Fn(&Cell) -> usize| {
            rows.iter().map(|row| of(&row[column])).fold(head(column, form), usize::max)
        };
        let natural = |column: usize, form: usize| widest(column, form, &|cell| cell.natural(form));
        let least = |column: usize, form: usize| {
            let most = |cell: &Cell| match (cell.is_elastic(), columns[column].breaks) {
                (true, _) => columns[column].width_min,
                (false, true) => BREAKS_BEYOND,
                (false, false) => usize::MAX,
            };
            widest(column, form, &|cell| cell.natural(form).min(most(cell)))
        };
        let room = width.unwrap_or(usize::MAX);
        let mut kept: Vec<usize> = (0..columns.len()).collect();
        if total(&kept, 0, &natural) <= room {
            return Self { form: 0, kept: kept.iter().map(|column| (*column, natural(*column, 0))).collect() };
        }
        let forms = columns.iter().map(|c| c.header.len()).max().unwrap_or(1);
        // Ends when everything fits, or nothing may go any more: each turn takes a column away.
        let form = loop {
            // The longest form is for those who have room for everything.
            let fits = (forms.min(2) - 1..forms).find(|form| total(&kept, *form, &least) <= room);
            let least_important =
                kept.iter().copied().filter(|c| columns[*c].rank > 0).max_by_key(|c| columns[*c].rank);
            match (fits, least_important) {
                (Some(form), _) => break form,
                (None, Some(column)) => kept.retain(|c| *c != column),
                (None, None) => break forms - 1,
            }
        };
        let mut slack = room.saturating_sub(total(&kept, form, &least));
        let mut widths: Vec<(usize, usize)> = kept.iter().map(|column| (*column, least(*column, form))).collect();
        let over = total(&kept, form, &least).saturating_sub(room);
        if let Some((column, width)) = widths.first_mut()
            && columns[*column].breaks
        {
            *width = width.saturating_sub(over).max(head(*column, form));
        }
        let mut by_rank: Vec<usize> = (0..widths.len()).collect();
        by_rank.sort_by_key(|at| (columns[widths[*at].0].breaks, columns[widths[*at].0].rank));
        // Twice what is least for each, before one gets all.
        for share in [2, usize::MAX] {
            for at in &by_rank {
                let (column, width) = widths[*at];
                let whole = natural(column, form);
                let more = match columns[column].breaks {
                    // A part of the room would break the same rows.
                    true if share == 2 || whole.saturating_sub(width) > slack => 0,
                    true => whole.saturating_sub(width),
                    false => whole.min(least(column, form).saturating_mul(share)).saturating_sub(width).min(slack),
                };
                widths[*at].1 += more;
                slack -= more;
            }
        }
        Self { form, kept: widths }
    }
}

fn total(kept: &[usize], form: usize, of: &dyn Fn(usize, usize) -> usize) -> usize {
    kept.iter().map(|column| of(*column, form).saturating_add(PADDING)).fold(0, usize::saturating_add)
}

/// A blank at which no line ends: see [`glued`].
const GLUE: char = '\u{a0}';

/// A part of a sentence that stands on one line, as a time does.
pub(crate) fn glued(text: &str) -> String {
    text.replace(' ', &GLUE.to_string())
}

/// The same text with ordinary blanks.
pub(crate) fn unglued(text: &str) -> String {
    text.replace(GLUE, " ")
}

/// Parts of a sentence on as many lines as they need: joined with commas where they fit, each later line indented. A
/// part that is too long goes on at the next blank; a word that is too long, and a command in backquotes, stay whole, so that
/// they can be copied.
pub(crate) fn flow(start: &str, parts: &[String], indent: usize, width: Option<usize>) -> Vec<String> {
    let room = width.unwrap_or(usize::MAX);
    let mut lines = vec![start.to_owned()];
    for (at, part) in parts.iter().enumerate() {
        let comma = if at + 1 < parts.len() { "," } else { "" };
        let text = format!("{part}{comma}");
        let line = lines.last().map_or(0, |line| line.width());
        let fits = line + usize::from(at > 0) + text.width() <= room;
        if fits || line <= indent {
            append(&mut lines, &text, at > 0, indent, room);
        } else if indent + text.width() <= room || at > 0 {
            lines.push(" ".repeat(indent));
            append(&mut lines, &text, false, indent, room);
        } else {
            append(&mut lines, &text, false, indent, room);
        }
    }
    lines.iter().map(|line| unglued(line.trim_end())).collect()
}

/// The words of a text; a command in backquotes is one.
fn words(text: &str) -> Vec<String> {
    let parts = text.split('`').enumerate().map(|(at, part)| if at % 2 == 1 { glued(part) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`").split(' ').map(str::to_owned).collect()
}

fn append(lines: &mut Vec<String>, text: &str, mut blank: bool, indent: usize, room: usize) {
    for word in words(text) {
        let is_fresh = lines.last().is_some_and(|line| line.trim().is_empty());
        let width = lines.last().map_or(0, |line| line.width());
        let gap = usize::from(blank && !is_fresh);
        if width + gap + word.width() > room && !is_fresh {
            lines.push(" ".repeat(indent));
        } else if gap == 1
            && let Some(line) = lines.last_mut()
        {
            line.push(' ');
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(&word);
        }
        blank = true;
    }
}

#[cfg(test)]
mod tests;
