//! Where results are shown to people: how wide it is, whether it has colours, and what time it is there.

use std::io::{self, IsTerminal as _};

use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};

use crate::config::Environment;
pub(crate) use crate::text::{size, span};

/// Fewer columns than this are taken for a mistake: nothing can be shown in them.
const WIDTH_MIN: usize = 20;

/// Where results are shown.
#[derive(Debug, Clone)]
pub(crate) struct Screen {
    /// Columns; none where nothing ends a line, as in a pipe.
    pub width: Option<usize>,
    /// A terminal that wants them.
    pub colours: bool,
    /// In which times are shown.
    pub zone: TimeZone,
}

impl Screen {
    /// Standard output: as wide as `COLUMNS` says, or else the terminal. Local time is that of `TZ`, or else the machine's.
    pub(crate) fn of_stdout(utc: bool) -> Self {
        let (environment, stdout) = (Environment::process(), io::stdout());
        let is_terminal = stdout.is_terminal();
        let named = environment.text("COLUMNS").and_then(|text| text.trim().parse().ok());
        let measured = || is_terminal.then(terminal_size::terminal_size).flatten().map(|(width, _)| width.0.into());
        let is_dumb = environment.text("TERM").is_some_and(|term| term == "dumb");
        let plain = is_dumb || environment.text("NO_COLOR").is_some();
        Self {
            width: named.or_else(measured).filter(|width| *width >= WIDTH_MIN),
            colours: is_terminal && !plain,
            zone: if utc { TimeZone::UTC } else { TimeZone::system() },
        }
    }

    /// A stored time in a sentence: local, to the second, with its offset.
    pub(crate) fn time(&self, at: Timestamp) -> String {
        let zoned = at.to_zoned(self.zone.clone());
        format!("{} {}", zoned.strftime("%Y-%m-%d %H:%M:%S"), offset(zoned.offset()))
    }

    /// The stored times of a column, and the one offset that all of them have, if they do: it is shown once then.
    pub(crate) fn times<'t>(&self, stored: impl Iterator<Item = Option<&'t str>>) -> Times {
        let zoned: Vec<Result<jiff::Zoned, String>> = stored
            .map(|text| {
                let text = text.unwrap_or("-");
                text.parse::<Timestamp>().map(|at| at.to_zoned(self.zone.clone())).map_err(|_| text.to_owned())
            })
            .collect();
        let mut offsets: Vec<Offset> = zoned.iter().flatten().map(jiff::Zoned::offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        let common = match offsets.as_slice() {
            [] => Some(None),
            [one] => Some(Some(*one)),
            _ => None,
        };
        let shown = |zoned: &jiff::Zoned, form: &str| match common {
            Some(_) => zoned.strftime(form).to_string(),
            None => format!("{} {}", zoned.strftime(form), offset(zoned.offset())),
        };
        let forms = zoned
            .iter()
            .map(|zoned| match zoned {
                Ok(zoned) => [
                    shown(zoned, "%Y-%m-%d %H:%M:%S"),
                    shown(zoned, "%Y-%m-%d %H:%M"),
                    zoned.strftime("%Y-%m-%d").to_string(),
                ],
                Err(text) => [text.clone(), text.clone(), text.clone()],
            })
            .collect();
        Times { forms, zone: common.flatten().map(offset) }
    }
}

/// A column of times.
pub(crate) struct Times {
    /// Each to the second, to the minute, and to the day.
    pub forms: Vec<[String; 3]>,
    /// The offset of all of them; none when they differ, and each has its own, or when there is no time among them.
    pub zone: Option<String>,
}

impl Times {
    /// The head of the column, with the offset that holds for all of it.
    pub(crate) fn header(&self, word: &str) -> String {
        self.zone.as_ref().map_or_else(|| word.to_owned(), |zone| format!("{word} ({zone})"))
    }
}

/// An offset from UTC for people.
fn offset(offset: Offset) -> String {
    if offset == Offset::UTC {
        return "UTC".to_owned();
    }
    let seconds = offset.seconds();
    let (sign, seconds) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs());
    format!("{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(zone: &str) -> Screen {
        Screen { width: None, colours: false, zone: TimeZone::posix(zone).unwrap() }
    }

    #[test]
    fn times_are_local_and_their_offset_is_shown_once_unless_they_differ() {
        let stored = [Some("2026-01-31T16:00:00.000Z"), None, Some("2026-07-31T16:00:59.999Z"), Some("broken")];
        let of = |zone: &str| screen(zone).times(stored.into_iter());
        let shanghai = of("CST-8");
        assert_eq!(shanghai.header("WHEN"), "WHEN (+08:00)");
        assert_eq!(shanghai.forms[0], ["2026-02-01 00:00:00", "2026-02-01 00:00", "2026-02-01"]);
        assert_eq!((&*shanghai.forms[1][0], &*shanghai.forms[3][0]), ("-", "broken"));
        let berlin = of("CET-1CEST,M3.5.0,M10.5.0/3");
        assert_eq!(berlin.header("WHEN"), "WHEN");
        assert_eq!(berlin.forms[0][0], "2026-01-31 17:00:00 +01:00");
        assert_eq!(berlin.forms[2], ["2026-07-31 18:00:59 +02:00", "2026-07-31 18:00 +02:00", "2026-07-31"]);
        assert_eq!(of("UTC0").header("WHEN"), "WHEN (UTC)");
        let none = screen("UTC0").times([None].into_iter());
        assert_eq!(none.header("WHEN"), "WHEN");
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(screen("NST3:30").time(at("2026-01-31T16:00:00Z")), "2026-01-31 12:30:00 -03:30");
    }
}
