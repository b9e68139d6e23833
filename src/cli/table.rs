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
}

impl Column {
    /// A column with one header.
    pub(crate) fn new(header: &str, width_min: usize, rank: u8) -> Self {
        Self { header: vec![header.to_owned()], width_min, rank }
    }
}

/// The table, line by line; each line as its cells, padded. Which column a cell belongs to is told, for its colour.
pub(crate) fn lines(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Vec<Vec<(usize, String)>> {
    let layout = Layout::choose(columns, rows, width);
    let head = layout.kept.iter().map(|(column, _)| (*column, pick(&columns[*column].header, layout.form).to_owned()));
    let body = rows.iter().map(|row| {
        layout.kept.iter().map(|(column, width)| (*column, row[*column].fit(layout.form, *width))).collect()
    });
    std::iter::once(head.collect::<Vec<_>>()).chain(body).map(|cells| pad(cells, &layout.kept)).collect()
}

fn pad(cells: Vec<(usize, String)>, kept: &[(usize, usize)]) -> Vec<(usize, String)> {
    let last = cells.len().saturating_sub(1);
    let padded = cells.into_iter().zip(kept).enumerate().map(|(at, ((column, text), (_, width)))| {
        let gap = if at == last { 0 } else { width.saturating_sub(text.width()) + 1 };
        (column, format!(" {text}{}", " ".repeat(gap)))
    });
    padded.collect()
}

struct Layout {
    form: usize,
    /// Column and width.
    kept: Vec<(usize, usize)>,
}

impl Layout {
    fn choose(columns: &[Column], rows: &[Vec<Cell>], width: Option<usize>) -> Self {
        let natural = |column: usize, form: usize| {
            let head = pick(&columns[column].header, form).width();
            rows.iter().map(|row| row[column].natural(form)).fold(head, usize::max)
        };
        let least = |column: usize, form: usize| {
            let head = pick(&columns[column].header, form).width();
            let cell = |cell: &Cell| match cell.is_elastic() {
                true => cell.natural(form).min(columns[column].width_min),
                false => cell.natural(form),
            };
            rows.iter().map(|row| cell(&row[column])).fold(head, usize::max)
        };
        let forms = columns.iter().map(|c| c.header.len()).max().unwrap_or(1);
        let room = width.unwrap_or(usize::MAX);
        let total = |kept: &[usize], form: usize, of: &dyn Fn(usize, usize) -> usize| {
            kept.iter().map(|column| of(*column, form).saturating_add(PADDING)).fold(0, usize::saturating_add)
        };
        let mut kept: Vec<usize> = (0..columns.len()).collect();
        if total(&kept, 0, &natural) <= room {
            return Self { form: 0, kept: kept.iter().map(|column| (*column, natural(*column, 0))).collect() };
        }
        // Ends when everything fits, or nothing may go any more: each turn takes a column away.
        let form = loop {
            // The longest form is for those who have room for everything.
            let fits = (forms.min(2) - 1..forms).find(|form| total(&kept, *form, &least) <= room);
            let least_important = kept.iter().copied().filter(|c| columns[*c].rank > 0).max_by_key(|c| columns[*c].rank);
            match (fits, least_important) {
                (Some(form), _) => break form,
                (None, Some(column)) => kept.retain(|c| *c != column),
                (None, None) => break forms - 1,
            }
        };
        let mut slack = room.saturating_sub(total(&kept, form, &least));
        let mut widths: Vec<(usize, usize)> = kept.iter().map(|column| (*column, least(*column, form))).collect();
        let mut by_rank: Vec<usize> = (0..widths.len()).collect();
        by_rank.sort_by_key(|at| columns[widths[*at].0].rank);
        for at in by_rank {
            let (column, width) = widths[at];
            let more = natural(column, form).saturating_sub(width).min(slack);
            widths[at].1 += more;
            slack -= more;
        }
        Self { form, kept: widths }
    }
}

/// Parts of a sentence on as many lines as they need: joined with commas where they fit, each later line indented. A
/// part that is too long goes on at the next blank; a word that is too long stays whole, so that it can be copied.
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
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

fn append(lines: &mut Vec<String>, text: &str, mut blank: bool, indent: usize, room: usize) {
    for word in text.split(' ') {
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
            line.push_str(word);
        }
        blank = true;
    }
}

#[cfg(test)]
mod tests;
