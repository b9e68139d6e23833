//! The keys of section 5, read from the comments of `config/default.toml`.
//!
//! Its form is simple and held by the tests of `config`: a comment stands before what it explains, `#key = default` is a
//! key, and lines of a comment that are indented are meant as they stand.

use clap_mangen::roff::{Roff, bold, roman};

use crate::body;

/// What a line of the file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Blank,
    Section(&'a str),
    Key { name: &'a str, default: &'a str },
    Comment(&'a str),
}

fn read(line: &str) -> Line<'_> {
    let line = line.trim_end();
    if line.is_empty() {
        return Line::Blank;
    }
    let shown = line.strip_prefix('#').unwrap_or(line);
    if shown.starts_with('[') && shown.ends_with(']') {
        return Line::Section(shown);
    }
    if shown.starts_with(|c: char| c.is_ascii_lowercase())
        && let Some((name, default)) = shown.split_once(" = ")
    {
        return Line::Key { name, default };
    }
    Line::Comment(shown.strip_prefix(' ').unwrap_or(shown))
}

/// Every section with its keys, as parts of a page. What stands before the first section is about the file itself.
pub(crate) fn sections(toml: &str) -> String {
    let mut roff = Roff::new();
    let mut comment = Vec::new();
    let mut is_within = false;
    for line in toml.lines().map(read) {
        match line {
            Line::Comment(text) => comment.push(text),
            Line::Section(name) => {
                roff.control("SS", [name]);
                is_within = true;
                explain(&mut roff, &comment);
                comment.clear();
            }
            Line::Key { name, default } => {
                roff.control("TP", []);
                roff.text([bold(name), roman(format!(" = {default}"))]);
                explain(&mut roff, &comment);
                comment.clear();
            }
            Line::Blank => {
                end_of_paragraph(&mut roff, &comment, is_within);
                comment.clear();
            }
        }
    }
    end_of_paragraph(&mut roff, &comment, is_within);
    body(&roff)
}

/// A comment that nothing follows belongs to the section as a whole.
fn end_of_paragraph(roff: &mut Roff, comment: &[&str], is_within: bool) {
    if is_within && comment.iter().any(|line| !line.is_empty()) {
        roff.control("PP", []);
        explain(roff, comment);
    }
}

/// Prose is filled; what is indented stands as it is.
fn explain(roff: &mut Roff, comment: &[&str]) {
    let mut lines = comment.iter().copied().skip_while(|line| line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            if lines.peek().is_some_and(|next| !next.starts_with("  ")) {
                roff.control("IP", []);
            }
        } else if line.starts_with("  ") {
            roff.control("IP", []);
            roff.control("EX", []);
            roff.text([roman(line.trim_start())]);
            while let Some(next) = lines.next_if(|next| next.starts_with("  ")) {
                roff.text([roman(next.trim_start())]);
            }
            roff.control("EE", []);
        } else {
            roff.text([roman(line)]);
        }
    }
}
