//! What an expression of PromQL names. promtool judges its syntax; this finds the names in it.

use std::collections::BTreeSet;

/// A series selector.
#[derive(Debug, PartialEq, Eq)]
pub struct Selector {
    pub metric: String,
    /// Label, operator and value.
    pub matchers: Vec<(String, String, String)>,
}

/// The metrics, and the labels by which results are grouped or matched.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Names {
    pub selectors: Vec<Selector>,
    pub labels: BTreeSet<String>,
}

fn is_metric(word: &str) -> bool {
    word.starts_with("cdn_usaged_") || word.starts_with("process_") || ["up", "ALERTS"].contains(&word)
}

fn is_grouping(word: &str) -> bool {
    ["by", "without", "on", "ignoring", "group_left", "group_right"].contains(&word)
}

/// Finds them.
pub fn names(expression: &str) -> Names {
    let mut found = Names::default();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        if first == '"' {
            let end = rest[1..].find('"').unwrap_or_else(|| panic!("a string without an end: {expression}"));
            rest = &rest[end + 2..];
        } else if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':').unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            let next = after.trim_start();
            if is_metric(word) {
                let mut matchers = Vec::new();
                if let Some(inside) = next.strip_prefix('{') {
                    (matchers, rest) = read_matchers(inside);
                }
                found.selectors.push(Selector { metric: word.to_owned(), matchers });
            } else if is_grouping(word) && next.starts_with('(') {
                let end = next.find(')').unwrap_or_else(|| panic!("no end of the labels: {expression}"));
                let labels = next[1..end].split(',').map(str::trim).filter(|l| !l.is_empty());
                found.labels.extend(labels.map(str::to_owned));
                rest = &next[end + 1..];
            }
        } else {
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

fn read_matchers(mut rest: &str) -> (Vec<(String, String, String)>, &str) {
    let mut matchers = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', ',']);
        if let Some(after) = rest.strip_prefix('}') {
            return (matchers, after);
        }
        let (label, after) = rest.split_at(rest.find(['=', '!']).unwrap());
        let (operator, after) = after.split_at(after.find('"').unwrap());
        let (value, after) = after[1..].split_once('"').unwrap();
        matchers.push((label.trim().to_owned(), operator.trim().to_owned(), value.to_owned()));
        rest = after;
    }
}

#[test]
fn names_are_found_wherever_they_stand_in_an_expression() {
    let found = names(
        "sum by (account, le) (rate(cdn_usaged_a_total{account=~\"$account\", code=\"by (x) cdn_usaged_no\"}[5m])) \
         > on (job) group_left () (3 * process_b) or absent(up{job=\"c\"})",
    );
    let matcher = |l: &str, o: &str, v: &str| (l.to_owned(), o.to_owned(), v.to_owned());
    let selectors = [
        (
            "cdn_usaged_a_total",
            vec![matcher("account", "=~", "$account"), matcher("code", "=", "by (x) cdn_usaged_no")],
        ),
        ("process_b", Vec::new()),
        ("up", vec![matcher("job", "=", "c")]),
    ];
    let selectors = selectors.map(|(metric, matchers)| Selector { metric: metric.to_owned(), matchers });
    assert_eq!(found.selectors, selectors);
    assert_eq!(found.labels, ["account", "job", "le"].map(str::to_owned).into());
}
