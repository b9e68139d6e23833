//! Stretches of time, half open, and sums and differences of them.

use jiff::{SignedDuration, Timestamp};

/// From `start` on, up to and without `end`. Never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    start: Timestamp,
    end: Timestamp,
}

impl Span {
    /// Nothing when the stretch is empty or the wrong way round.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// The range of an export as the listing has it: whole seconds, the last one included. An end on a full minute is
    /// the begin of what follows instead: the data has a point every five minutes, so that no export ends with the
    /// first second of a minute. Nothing when the range is empty or the wrong way round.
    #[must_use]
    pub fn listed(start: Timestamp, end: Timestamp) -> Option<Self> {
        let on_a_minute = end.as_second().rem_euclid(60) == 0 && end.subsec_nanosecond() == 0;
        let end = if on_a_minute { end } else { end.checked_add(SignedDuration::from_secs(1)).ok()? };
        Self::new(start, end)
    }

    /// Its first instant.
    #[must_use]
    pub const fn start(self) -> Timestamp {
        self.start
    }

    /// The first instant after it.
    #[must_use]
    pub const fn end(self) -> Timestamp {
        self.end
    }

    /// Its last second: how the service spells the end of a range.
    #[must_use]
    pub fn last_second(self) -> Timestamp {
        self.end.checked_sub(SignedDuration::from_secs(1)).unwrap_or(self.start).max(self.start)
    }

    /// What both have.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// How long it is.
    #[must_use]
    pub fn length(self) -> SignedDuration {
        self.end.duration_since(self.start)
    }

    /// What is left of it without `others`, in order.
    #[must_use]
    pub fn without(self, others: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut others: Vec<_> = others.into_iter().filter_map(|other| other.common(self)).collect();
        others.sort_unstable();
        let (mut left, mut from) = (Vec::new(), self.start);
        for other in others {
            left.extend(Self::new(from, other.start));
            from = from.max(other.end);
        }
        left.extend(Self::new(from, self.end));
        left
    }
}

/// What is left of several stretches without `others`, in the order of the former.
#[must_use]
pub fn without(spans: &[Span], others: &[Span]) -> Vec<Span> {
    spans.iter().flat_map(|span| span.without(others.iter().copied())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: i64) -> Span {
        let at = |second| Timestamp::from_second(second).unwrap();
        Span::new(at(start), at(end)).unwrap()
    }

    #[test]
    fn the_last_second_of_a_listed_range_is_included_and_a_full_minute_is_not() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let august = Span::new(at("2018-07-31T16:00:00Z"), at("2018-08-31T16:00:00Z"));
        assert_eq!(Span::listed(at("2018-07-31T16:00:00Z"), at("2018-08-31T15:59:59Z")), august);
        assert_eq!(Span::listed(at("2018-07-31T16:00:00Z"), at("2018-08-31T16:00:00Z")), august);
        assert_eq!(august.unwrap().last_second(), at("2018-08-31T15:59:59Z"));
        assert_eq!(Span::listed(at("2018-08-31T16:00:00Z"), at("2018-08-31T16:00:00Z")), None);
        assert_eq!(Span::listed(at("2018-08-31T16:00:00Z"), at("2018-07-31T15:59:59Z")), None);
        assert_eq!(Span::listed(Timestamp::MIN, Timestamp::MAX), None, "there is no second after the last");
    }

    #[test]
    fn what_is_left_is_what_no_other_has() {
        let day = span(0, 100);
        assert_eq!(day.without([]), [day]);
        assert_eq!(day.without([span(-50, 200)]), []);
        assert_eq!(day.without([span(60, 70), span(-5, 20), span(65, 80)]), [span(20, 60), span(80, 100)]);
        assert_eq!(day.without([span(0, 50), span(50, 100)]), []);
        assert_eq!(day.without([span(100, 200), span(-10, 0)]), [day]);
        assert_eq!(without(&[span(0, 10), span(20, 30)], &[span(5, 25)]), [span(0, 5), span(25, 30)]);
    }
}
