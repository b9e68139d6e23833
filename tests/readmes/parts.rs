//! A document in parts, in their order.

use std::collections::BTreeSet;

/// A part of a document, and the line where it begins.
#[derive(Debug)]
pub struct Part {
    pub line: usize,
    pub kind: Kind,
}

/// What a part is.
#[derive(Debug)]
pub enum Kind {
    Heading {
        level: usize,
        title: String,
    },
    /// Between fences.
    Block {
        language: String,
        lines: Vec<String>,
    },
    /// Of a table; the row of dashes is none.
    Row {
        is_head: bool,
        cells: Vec<String>,
    },
    /// Anything else, up to an empty line: its lines joined, and how many there were.
    Paragraph {
        text: String,
        lines: usize,
    },
}

/// Takes a document apart.
pub fn parts(document: &str) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut is_after_blank = false;
    let mut lines = document.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let before = parts.last_mut().map(|part| &mut part.kind).filter(|_| !is_after_blank);
        is_after_blank = line.trim().is_empty();
        let kind = if is_after_blank {
            continue;
        } else if let Some(language) = line.strip_prefix("```") {
            let shown = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
            Kind::Block { language: language.to_owned(), lines: shown.map(str::to_owned).collect() }
        } else if line.starts_with('#') {
            let level = line.bytes().take_while(|b| *b == b'#').count();
            Kind::Heading { level, title: line[level..].trim().to_owned() }
        } else if line.starts_with('|') {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
            if cells.iter().all(|cell| !cell.is_empty() && cell.bytes().all(|b| b == b'-' || b == b':')) {
                continue;
            }
            Kind::Row { is_head: !matches!(before, Some(Kind::Row { .. })), cells }
        } else if let Some(Kind::Paragraph { text, lines }) = before {
            text.push(' ');
            text.push_str(line.trim());
            *lines += 1;
            continue;
        } else {
            Kind::Paragraph { text: line.trim().to_owned(), lines: 1 }
        };
        parts.push(Part { line: at + 1, kind });
    }
    parts
}

/// The code in a text.
pub fn spans(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The text without its code and without where its links lead.
pub fn words(text: &str) -> String {
    let prose: String = text.split('`').step_by(2).flat_map(|prose| [prose, " "]).collect();
    let mut pieces = prose.split("](");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |words, piece| words + " " + piece.split_once(')').map_or(piece, |(_, rest)| rest))
}

/// The numbers in a text, code apart.
pub fn numbers(text: &str) -> BTreeSet<String> {
    words(text).split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).map(str::to_owned).collect()
}

/// The words of a text that are spelled as in the program, code apart.
pub fn names(text: &str) -> BTreeSet<String> {
    let words = words(text);
    let words = words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    words.filter(|word| word.len() > 1 && is_name(word)).map(str::to_owned).collect()
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
}

/// The items of a list in a cell that are one word each, such as fields and levels.
pub fn items(text: &str) -> BTreeSet<&str> {
    let items = text.split([',', ';', '，', '；', '、', '（']).map(str::trim);
    items.filter(|item| is_name(item)).collect()
}

/// Where the links and pictures of a text lead.
pub fn targets(text: &str) -> Vec<&str> {
    let mut targets: Vec<_> = text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    targets.sort_unstable();
    targets
}

/// How often something is bold, such as the words that begin a paragraph.
pub fn bold(text: &str) -> usize {
    text.split('`').step_by(2).map(|prose| prose.matches("**").count()).sum()
}
