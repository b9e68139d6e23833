//! What one README has and the other lacks.

use std::collections::BTreeSet;

use crate::parts::{Kind, Part, bold, items, names, numbers, parts, spans, targets, words};

/// The headings, each in both languages.
pub const TITLES: &[(&str, &str)] = &[
    ("cdn-usaged", "cdn-usaged"),
    ("See it run", "快速体验"),
    ("Install", "安装"),
    ("Configure", "配置"),
    ("Operate", "运维"),
    ("Alert", "告警"),
];

/// Everything in which the two differ but should not. Where one has a part more than the other, only that is said, since nothing
/// behind it can be told apart.
pub fn differences(english: &str, chinese: &str) -> Vec<String> {
    let (english, chinese) = (parts(english), parts(chinese));
    let mut found = Vec::new();
    for (one, other) in english.iter().zip(&chinese) {
        let at = format!("README.md:{} and README.zh-CN.md:{}", one.line, other.line);
        if std::mem::discriminant(&one.kind) != std::mem::discriminant(&other.kind) {
            found.push(format!(
                "{at}: one of them has something more here or lacks it:\n  {:?}\n  {:?}",
                one.kind, other.kind
            ));
            return found;
        }
        found.extend(differs(&one.kind, &other.kind).map(|what| format!("{at}: {what}")));
    }
    let longest = if english.len() > chinese.len() { ("README.md", &english) } else { ("README.zh-CN.md", &chinese) };
    if let Some(Part { line, .. }) = longest.1.get(english.len().min(chinese.len())) {
        found.push(format!("{}:{line}: the other one ends before this", longest.0));
    }
    found
}

fn differs(english: &Kind, chinese: &Kind) -> Option<String> {
    match (english, chinese) {
        (Kind::Heading { level, title }, Kind::Heading { level: other_level, title: other_title }) => {
            let is_pair = TITLES.contains(&(title.as_str(), other_title.as_str()));
            let same = is_pair && level == other_level;
            (!same).then(|| format!("these headings are no pair of TITLES in tests/readmes/compare.rs, or of another level: {title:?}, {other_title:?}"))
        }
        (Kind::Block { language, lines }, Kind::Block { language: other_language, lines: other_lines }) => {
            if language != other_language {
                return Some(format!("a block of {language:?}, and one of {other_language:?}"));
            }
            let compared = |line: &String| if language == "toml" { without_comment(line) } else { line.clone() };
            let (lines, other_lines): (Vec<_>, Vec<_>) =
                (lines.iter().map(compared).collect(), other_lines.iter().map(compared).collect());
            let first = lines.iter().zip(&other_lines).find(|(one, other)| one != other);
            let pair = first.map(|(one, other)| format!("in a block:\n  {one}\n  {other}"));
            pair.or_else(|| (lines.len() != other_lines.len()).then(|| "one block is longer".to_owned()))
        }
        (Kind::Row { is_head, cells }, Kind::Row { is_head: other_is_head, cells: other_cells }) => {
            if is_head != other_is_head || cells.len() != other_cells.len() {
                return Some(format!("the tables are of another shape: {cells:?}, {other_cells:?}"));
            }
            if !is_head && cells[0] != other_cells[0] {
                return Some(format!("the first column has {:?} and {:?}", cells[0], other_cells[0]));
            }
            let pairs = cells.iter().zip(other_cells).skip(1);
            let mut found = pairs.filter_map(|(one, other)| text_differs(one, other).or_else(|| foreign(one, other)));
            let what = found.next().or_else(|| is_event(cells).then(|| fields_differ(cells, other_cells)).flatten());
            what.map(|what| format!("in the row of {}: {what}", cells[0]))
        }
        (Kind::Paragraph { text, .. }, Kind::Paragraph { text: other, .. }) => text_differs(text, other),
        _ => None,
    }
}

/// A comment may be in any language, but it stays a comment.
fn without_comment(line: &str) -> String {
    let mut in_quotes = false;
    let comment = line.char_indices().find(|(_, c)| {
        in_quotes ^= *c == '"';
        *c == '#' && !in_quotes
    });
    comment.map_or_else(|| line.to_owned(), |(at, _)| format!("{}#", &line[..at]))
}

fn text_differs(english: &str, chinese: &str) -> Option<String> {
    let (code, other_code) = (spans(english), spans(chinese));
    if code != other_code {
        let only: Vec<_> = code.symmetric_difference(&other_code).collect();
        return Some(format!("only one of them has the code {only:?}"));
    }
    let the_other = |target: &&str| *target != "README.md" && *target != "README.zh-CN.md";
    // A heading of the same document has another anchor in each language.
    let place = |target: &str| if target.starts_with('#') { "#".to_owned() } else { target.to_owned() };
    let links = |text| targets(text).into_iter().filter(the_other).map(place).collect::<Vec<_>>();
    if links(english) != links(chinese) {
        return Some(format!("links to {:?}, and to {:?}", links(english), links(chinese)));
    }
    if bold(english) != bold(chinese) {
        return Some("one of them has more in bold".to_owned());
    }
    let lacking: BTreeSet<_> = &numbers(english) - &numbers(chinese);
    (!lacking.is_empty()).then(|| format!("the Chinese one lacks the numbers {lacking:?}: {}", words(chinese)))
}

/// What a cell names without marking it as code stands in the English one too.
fn foreign(english: &str, chinese: &str) -> Option<String> {
    let only = &names(chinese) - &names(english);
    (!only.is_empty()).then(|| format!("only the Chinese one names {only:?}"))
}

/// Names of events alone have dots.
fn is_event(cells: &[String]) -> bool {
    cells.len() == 4 && spans(&cells[0]).iter().all(|name| name.contains('.')) && !spans(&cells[0]).is_empty()
}

/// Levels and fields, which are not marked as code.
fn fields_differ(english: &[String], chinese: &[String]) -> Option<String> {
    let pairs = english.iter().zip(chinese).skip(1).take(2);
    let lacking: Vec<_> = pairs.flat_map(|(one, other)| &items(one) - &items(other)).collect();
    (!lacking.is_empty()).then(|| format!("the Chinese one lacks {lacking:?}"))
}
