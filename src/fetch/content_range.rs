//! The header `Content-Range` of a partial answer.

/// Which bytes of how many an answer brings, counted from 0: `bytes FIRST-LAST/TOTAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte.
    pub last: u64,
    /// Bytes of the whole object.
    pub total: u64,
}

impl ContentRange {
    /// Reads the header's value. None for anything but a range that lies within a total that is told: what is unknown
    /// (`*`) is nothing to go on from.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (span, total) = value.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = span.split_once('-')?;
        let range = Self { first: number(first)?, last: number(last)?, total: number(total)? };
        (range.first <= range.last && range.last < range.total).then_some(range)
    }

    /// Whether this is all that follows such a beginning of the object.
    #[must_use]
    pub const fn is_rest_from(&self, offset: u64) -> bool {
        self.first == offset && self.last == self.total - 1
    }

    /// Bytes from the first to the last.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// Digits alone: a sign, which the standard library would take, is none.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_within_its_total_is_read() {
        let range = ContentRange::parse("bytes 5-9/10").expect("a range");
        assert_eq!(range, ContentRange { first: 5, last: 9, total: 10 });
        assert_eq!(range.bytes(), 5);
        assert!(range.is_rest_from(5) && !range.is_rest_from(4));
        assert_eq!(ContentRange::parse("bytes 0-0/1").map(|r| r.bytes()), Some(1));
        let short = ContentRange::parse("bytes 5-8/10").expect("a range");
        assert!(!short.is_rest_from(5), "the end is missing");
        let last = u64::MAX - 1;
        assert_eq!(ContentRange::parse(&format!("bytes 0-{last}/{}", u64::MAX)).map(|r| r.bytes()), Some(u64::MAX));
    }

    #[test]
    fn what_is_no_range_within_its_total_is_nothing() {
        for value in [
            "",
            "bytes */10",
            "bytes 5-9/*",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes 0-0/0",
            "bytes +5-9/10",
            "bytes -5-9/10",
            "bytes 5-9",
            "items 5-9/10",
            "bytes 5-99999999999999999999/99999999999999999999",
        ] {
            assert_eq!(ContentRange::parse(value), None, "{value}");
        }
    }
}
