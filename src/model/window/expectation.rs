//! What somebody expects of an account: an export for every month or day, and by when.

use std::fmt;

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use super::{super::task::Export, span::Span};

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A calendar month.
    Month,
    /// A calendar day: 23 or 25 hours long where clocks are changed.
    Day,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Month, Self::Day];

    /// The configured word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Day => "day",
        }
    }
}

/// A pattern for the name of a task: `*` stands for any text, `?` for any one character, everything else for itself.
/// It is held against the whole name, and letters differ from capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamePattern(String);

impl NamePattern {
    /// Takes any text: there is none that is no pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it fits everything.
    #[must_use]
    pub fn is_any(&self) -> bool {
        !self.0.is_empty() && self.0.chars().all(|c| c == '*')
    }

    /// Whether it fits; a task without a name is one with an empty name.
    #[must_use]
    pub fn fits(&self, name: Option<&str>) -> bool {
        fits(self.0.as_bytes(), name.unwrap_or("").as_bytes())
    }
}

/// On bytes, of which a character has up to four. After a mismatch only the last star takes one more character, so that
/// it costs at most the product of the lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                n = next_character(name, n);
            }
            Some(byte) if *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                n = next_character(name, taken);
                star = Some((at, n));
                p = at + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Past the character that begins at `n`: the bytes that continue one begin with the bits 10.
fn next_character(name: &[u8], n: usize) -> usize {
    let more = name.iter().skip(n + 1).take_while(|byte| *byte & 0xc0 == 0x80).count();
    n + 1 + more
}

/// What the data are of, which only those who create an export say: the listing does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataType {
    /// Traffic and bandwidth.
    Flow,
    /// Requests.
    Vas,
}

impl DataType {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Flow, Self::Vas];

    /// The service's word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flow => "flow",
            Self::Vas => "vas",
        }
    }
}

/// `[[account.expect]]`: for every window of an account there shall be an export, from a day on, some time after the
/// window's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expectation {
    /// In which listing.
    pub export: Export,
    /// How long the windows are.
    pub kind: Kind,
    /// Where they begin and end.
    pub zone: TimeZone,
    /// Which tasks count.
    pub name: NamePattern,
    /// What to ask for when an export is to be created, if it was said.
    pub data: Option<DataType>,
    /// The first day; of months the first of one.
    pub from: Date,
    /// How long after its end a window is due.
    pub due: SignedDuration,
}

/// One month or day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// Month or day.
    pub kind: Kind,
    /// Its first day, in the zone of the expectation.
    pub date: Date,
    /// When it is.
    pub span: Span,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date;
        match self.kind {
            Kind::Month => write!(f, "{:04}-{:02}", date.year(), date.month()),
            Kind::Day => date.fmt(f),
        }
    }
}

impl Expectation {
    /// The windows that have ended by `now`, oldest first, each one's end the next one's begin. A day that a zone
    /// skipped, as it moved over the date line, is left out.
    pub fn windows(&self, now: Timestamp) -> impl Iterator<Item = Window> + '_ {
        let step = match self.kind {
            Kind::Month => 1.month(),
            Kind::Day => 1.day(),
        };
        let mut next = self.begin(self.from).map(|start| (self.from, start));
        let windows = std::iter::from_fn(move || {
            let (date, start) = next?;
            // The calendar ends in the year 9999, and so do the windows.
            next = date.checked_add(step).ok().and_then(|date| Some((date, self.begin(date)?)));
            let (_, end) = next?;
            (end <= now).then_some((date, start, end))
        });
        windows.filter_map(|(date, start, end)| Some(Window { kind: self.kind, date, span: Span::new(start, end)? }))
    }

    /// The first instant of a day. Where clocks are put forward at midnight that is not 00:00.
    fn begin(&self, date: Date) -> Option<Timestamp> {
        date.to_zoned(self.zone.clone()).ok().map(|zoned| zoned.timestamp())
    }

    /// When its first window begins.
    #[must_use]
    pub fn begins_at(&self) -> Option<Timestamp> {
        self.begin(self.from)
    }

    /// When a window is due.
    #[must_use]
    pub fn due_at(&self, window: &Window) -> Timestamp {
        window.span.end().checked_add(self.due).unwrap_or(Timestamp::MAX)
    }

    /// The name of its zone.
    #[must_use]
    pub fn zone_name(&self) -> String {
        self.zone.iana_name().map_or_else(|| "Asia/Shanghai".to_owned(), str::to_owned)
    }
}
