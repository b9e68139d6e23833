//! Durations and sizes as regular expressions, in what the dialects of editors share.

use std::time::Duration;

/// The units, and their length in milliseconds.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Durations from `low` to `high`. A single number with a unit is held to the range; of sums, such as `1h 30m`, only the form.
pub(super) fn duration(low: Duration, high: Duration) -> String {
    let ms = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    let (low, high) = (ms(low), ms(high));
    let mut forms: Vec<String> = UNITS
        .into_iter()
        .filter_map(|(unit, factor)| {
            let (least, most) = (low.div_ceil(factor), high / factor);
            (least <= most).then(|| format!("0*({})\\s*{unit}", between(least, most)))
        })
        .collect();
    if low == 0 {
        forms.push("0".to_owned());
    }
    forms.push("[0-9]+\\s*(ms|s|m|h|d)(\\s*[0-9]+\\s*(ms|s|m|h|d))+".to_owned());
    format!("^\\s*({})\\s*$", forms.join("|"))
}

/// Sizes, of which only the form is held: a number, also with a fraction, and a unit.
pub(super) fn size() -> &'static str {
    "^\\s*[0-9]+(\\.[0-9]*)?\\s*([kKmMgGtTpPeE]?[iI]?[bB]?)\\s*$"
}

/// Whole numbers from `low` to `high` without leading zeros.
fn between(low: u64, high: u64) -> String {
    let mut parts = Vec::new();
    let mut low = low;
    // Each turn takes one block of numbers that differ in their last digits alone: some twenty for the longest range.
    while low <= high {
        let mut span: u64 = 1;
        // The largest block of ten, a hundred, ... that begins here and does not go past the end.
        while low != 0 && low.is_multiple_of(span * 10) && low + span * 10 - 1 <= high {
            span *= 10;
        }
        // As many of these blocks as follow each other under one leading part.
        let digit = (low / span) % 10;
        let count = ((high - low + 1) / span).min(10 - digit);
        let last = digit + count - 1;
        let head = low / span / 10;
        let head = if head == 0 { String::new() } else { head.to_string() };
        let range = if last == digit { digit.to_string() } else { format!("[{digit}-{last}]") };
        let zeros = span.ilog10();
        let tail = match zeros {
            0 => String::new(),
            1 => "[0-9]".to_owned(),
            n => format!("[0-9]{{{n}}}"),
        };
        parts.push(format!("{head}{range}{tail}"));
        low += count * span;
    }
    parts.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A matcher for what [`between`] makes: literals, classes of digits, counts, and alternatives.
    fn matches(pattern: &str, text: &str) -> bool {
        pattern.split('|').any(|form| {
            let (mut rest, mut form) = (text.as_bytes(), form.as_bytes());
            while !form.is_empty() {
                let (low, high, used) = match form {
                    [b'[', low, b'-', high, b']', ..] => (*low, *high, 5),
                    [digit, ..] => (*digit, *digit, 1),
                    [] => return false,
                };
                form = &form[used..];
                let mut times = 1;
                if let [b'{', count, b'}', after @ ..] = form {
                    times = count - b'0';
                    form = after;
                }
                for _ in 0..times {
                    match rest {
                        [digit, after @ ..] if (low..=high).contains(digit) => rest = after,
                        _ => return false,
                    }
                }
            }
            rest.is_empty()
        })
    }

    #[test]
    fn a_range_of_numbers_is_exactly_what_its_pattern_matches() {
        for (low, high) in [(0, 0), (0, 9), (1, 1), (7, 1234), (10, 99), (100, 100), (9, 1000), (123, 4567), (0, 2000)]
        {
            let pattern = between(low, high);
            for n in 0..=5000 {
                assert_eq!(
                    matches(&pattern, &n.to_string()),
                    (low..=high).contains(&n),
                    "{n} in {low}..={high}: {pattern}"
                );
            }
        }
        let pattern = between(10, 86_400_000);
        for (n, is_in) in [(9, false), (10, true), (86_400_000, true), (86_400_001, false), (864_000_000, false)] {
            assert_eq!(matches(&pattern, &n.to_string()), is_in, "{n}: {pattern}");
        }
    }
}
