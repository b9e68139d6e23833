//! Durations and sizes as people write them.

use std::time::Duration;

use bytesize::ByteSize;

/// Largest first, so that [`show_duration`] finds the shortest spelling.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Reads `"250ms"`, `"1m"`, `"6h"`, `"1h 30m"`. Units are ms, s, m, h and d (24 hours); there are no fractions and no
/// signs. A bare number has no unit and is refused, except 0.
///
/// # Errors
/// A lower-case fragment that says what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("{text:?} is not a duration such as \"250ms\", \"1m\" or \"6h\" (units: ms, s, m, h, d)");
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(refused());
    }
    let mut millis: u64 = 0;
    // Every turn takes at least one digit off the text, so this ends.
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let tail = tail.trim_start();
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| refused())?;
        let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
        millis = number.checked_mul(factor).and_then(|n| millis.checked_add(n)).ok_or_else(refused)?;
        rest = tail.trim_start();
    }
    Ok(Duration::from_millis(millis))
}

/// The spelling that [`parse_duration`] reads back, to the millisecond.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    // One day reads better as "24h".
    let is_day = |unit: &str| unit == "d" && millis < 2 * 86_400_000;
    let fits = |unit: &str, factor: u64| millis >= factor && millis.is_multiple_of(factor) && !is_day(unit);
    let whole = UNITS.into_iter().find(|(unit, factor)| fits(unit, *factor));
    whole.map_or_else(|| format!("{millis}ms"), |(unit, factor)| format!("{}{unit}", millis / factor))
}

/// Reads `"1GiB"`, `"500 MB"`, `"1024"`: bytes.
///
/// # Errors
/// A lower-case fragment that says what is expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let text = text.trim();
    // Said here, so that it does not hang on the library's taste: a size begins with a digit.
    let has_number = text.starts_with(|c: char| c.is_ascii_digit());
    if let Some(size) = has_number.then(|| text.parse::<ByteSize>().ok()).flatten() {
        return Ok(size.as_u64());
    }
    Err(format!("{text:?} is not a size such as \"1GiB\", \"500MB\" or \"64KiB\""))
}

/// The spelling that [`parse_size`] reads back, exactly.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    const UNITS: [(&str, u32); 5] = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)];
    let whole = UNITS.into_iter().find(|(_, shift)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift));
    whole.map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("250ms", 250),
            ("1m", 60_000),
            ("6h", 21_600_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            (" 15 s ", 15_000),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_examples() {
        for text in [
            "",
            " ",
            "5",
            "-1m",
            "1.5h",
            "1 month",
            "1y",
            "m",
            "1mm",
            "P1D",
            "1m,",
            "1M",
            "99999999999999999999ms",
            "300000000000d",
            "1µs",
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.contains("\"6h\"") && error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units() {
        for (text, bytes) in [
            ("1GiB", 1 << 30),
            ("1 GiB", 1 << 30),
            ("1KiB", 1024),
            ("500MB", 500_000_000),
            ("1024", 1024),
            ("0", 0),
            ("1.5KiB", 1536),
            ("7B", 7),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GiB", "-1GiB", "1 apple", "one"] {
            assert!(parse_size(text).unwrap_err().contains("\"1GiB\""), "{text}");
        }
    }

    #[test]
    fn what_is_shown_reads_back_the_same() {
        for millis in [0, 1, 999, 1000, 1500, 60_000, 90_000, 3_600_000, 86_400_000, 2_592_000_000] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration), "{millis}");
        }
        for bytes in [0, 1, 1023, 1024, 1025, 1 << 20, 3 << 30, 1 << 50] {
            assert_eq!(parse_size(&show_size(bytes)), Ok(bytes), "{bytes}");
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
        assert_eq!(show_size(4 << 30), "4GiB");
    }
}
