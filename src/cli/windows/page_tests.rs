//! What the status page shows of windows, read back from its HTML as who looks at it finds it.

use std::collections::BTreeMap;

use super::year_tests::{Key, States, dates};
use crate::model::window::{State, words};

/// Everything that it says of windows.
#[derive(Default)]
pub(super) struct Shown {
    /// The shapes of the pictures, by the legend.
    pub drawn: States,
    /// What hovering over a row says.
    pub titles: States,
    /// The table in words.
    pub table: States,
    /// What lacks, with its reason; the newest only.
    pub gaps: States,
    /// How many there are of each account and state.
    pub counts: BTreeMap<(String, State), usize>,
    /// So many are overdue, by the verdict.
    pub overdue: usize,
}

/// Every piece that begins behind the one and ends before the other.
fn pieces<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    text.split(begin).skip(1).map(|rest| rest.split(end).next().unwrap()).collect()
}

fn piece<'t>(text: &'t str, begin: &str, end: &str) -> &'t str {
    pieces(text, begin, end).first().unwrap_or_else(|| panic!("no {begin} in {text}"))
}

fn state(word: &str) -> State {
    State::ALL.into_iter().find(|s| words::state(*s) == word).unwrap_or_else(|| panic!("{word:?} is no state"))
}

/// Adds a window, which must not be there yet.
fn add(states: &mut States, account: &str, row: &str, column: usize, state: State) {
    let key: Key = (account.to_owned(), format!("{row}-{:02}", column + 1));
    assert_eq!(states.insert(key, state), None, "{account} {row}-{:02} is there twice", column + 1);
}

/// `1–30 archived, 31 overdue`, or with the names of months.
fn add_words(states: &mut States, account: &str, row: &str, text: &str) {
    let column = |name: &str| match words::MONTHS.iter().position(|month| *month == name) {
        Some(month) => month,
        None => name.parse::<usize>().unwrap() - 1,
    };
    for run in text.split(", ") {
        let (range, word) = run.split_once(' ').unwrap();
        let (first, last) = range.split_once('\u{2013}').unwrap_or((range, range));
        for column in column(first)..=column(last) {
            add(states, account, row, column, state(word));
        }
    }
}

/// Class and shape of each state, by the word in the legend.
fn legend(page: &str) -> BTreeMap<&str, (State, &str)> {
    let legend = pieces(piece(page, "<ul class=\"legend\"", "</ul>"), "<li>", "</li>");
    let entry = |li: &str| state(piece(li, "</svg> ", ":"));
    legend
        .into_iter()
        .map(|li| (piece(li, "<path class=\"", "\""), (entry(li), piece(li, " d=\"M0 0", "\""))))
        .collect()
}

/// The rows of a picture.
fn add_picture(shown: &mut Shown, account: &str, svg: &str, legend: &BTreeMap<&str, (State, &str)>) {
    // Where the columns are, by the names above two of them.
    let heads: Vec<(usize, &str)> = pieces(svg, "<text class=\"head\" y=\"11\" x=\"", "</text>")
        .into_iter()
        .map(|head| head.split_once("\">").map(|(x, name)| (x.parse().unwrap(), name)).unwrap())
        .collect();
    let (margin, (second, name)) = (heads[0].0, heads[1]);
    let wide = (second - margin) / name.parse::<usize>().map_or(1, |day| day - 1);
    for row in pieces(svg, "<g ", "</g>") {
        let (name, text) = piece(row, "<title>", "</title>").split_once(": ").unwrap();
        assert_eq!(piece(row, "<text x=\"0\" y=\"10\">", "</text>"), name);
        add_words(&mut shown.titles, account, name, text);
        for path in pieces(row, "<path class=\"", "\"/>") {
            let (class, shapes) = path.split_once("\" d=\"").unwrap();
            let (state, shape) = legend[class];
            for cell in shapes.split('M').skip(1) {
                let (x, drawn) = cell.split_once(" 0").unwrap();
                assert_eq!(drawn, shape, "{account} {name}: not the shape of the legend");
                add(&mut shown.drawn, account, name, (x.parse::<usize>().unwrap() - margin) / wide, state);
            }
        }
    }
}

/// Reads a page.
pub(super) fn read(page: &str) -> Shown {
    let mut shown = Shown::default();
    let legend = legend(page);
    assert_eq!(legend.len(), State::ALL.len());
    for article in pieces(page, "<article", "</article>") {
        let account = piece(article, "<h3 id=\"", "/usage-detail ").split("\">").nth(1).unwrap();
        let counts = piece(article, "<p class=\"counts\">", "</p>");
        for count in pieces(counts, "\">", "</span>") {
            let (n, word) = count.split_once(' ').unwrap();
            shown.counts.insert((account.to_owned(), state(word)), n.parse().unwrap());
        }
        for svg in pieces(article, "<svg class=\"calendar", "</svg>") {
            add_picture(&mut shown, account, svg, &legend);
        }
        for row in pieces(article, "<th scope=\"row\">", "</td>") {
            let (name, text) = row.split_once("</th><td>").unwrap();
            add_words(&mut shown.table, account, name, text);
        }
        let gaps = pieces(article, "<ul class=\"gaps\">", "</ul>");
        for gap in gaps.iter().flat_map(|gaps| pieces(gaps, "<li><strong ", "</li>")) {
            let word = piece(gap, "\">", "</strong>");
            let range = piece(gap, "</strong> ", ", ");
            let (first, last) = range.split_once(" to ").unwrap_or((range, range));
            for date in dates(first, last) {
                assert_eq!(shown.gaps.insert((account.to_owned(), date), state(word)), None, "{gap}");
            }
        }
    }
    if let Some((before, _)) = page.split_once(" expected month") {
        shown.overdue = before.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    }
    shown
}
