//! `[[account.expect]]`: which months or days of an account there shall be.

use std::time::Duration;

use jiff::{
    SignedDuration,
    civil::{Date, date},
    tz::{TimeZone, offset},
};

use super::reader::{Section, did_you_mean};
use crate::model::{
    task::Export,
    window::{DataType, Expectation, Kind, NamePattern},
};

/// As the bills are.
const ZONE: &str = "Asia/Shanghai";
/// A day for the cloud to make an export, and two for whoever has to see to one that failed.
const DUE: Duration = Duration::from_secs(3 * 86_400);
/// A window that is due later than this would fade before it is.
const DUE_MAX: Duration = Duration::from_secs(180 * 86_400);
/// The first day that can be expected, from before the service's exports began. It bounds how many windows there are.
const FROM_MIN: Date = date(2015, 1, 1);
/// The last, so that a slip of the pen is found.
const FROM_MAX: Date = date(2099, 12, 31);

const EXPORTS: [&str; 2] = [Export::UsageDetail.as_str(), Export::Usage.as_str()];
const WINDOWS: [&str; 2] = [Kind::Month.as_str(), Kind::Day.as_str()];
const TYPES: [&str; 2] = [DataType::Flow.as_str(), DataType::Vas.as_str()];

/// All that can be read; what is wrong is reported to the sections.
pub(super) fn expectations(sections: Vec<Section<'_>>, exports: &[Export]) -> Vec<Expectation> {
    let mut all: Vec<Expectation> = Vec::new();
    for section in sections {
        all.extend(expectation(section, exports, &all));
    }
    all
}

fn expectation(mut s: Section<'_>, exports: &[Export], before: &[Expectation]) -> Option<Expectation> {
    let default = exports.first().copied().unwrap_or(Export::UsageDetail);
    let export = s.text("export", default, |text| {
        let export = Export::parse(text).map_err(|e| format!("{e}{}", did_you_mean(text, &EXPORTS)))?;
        if exports.contains(&export) {
            Ok(export)
        } else {
            Err(format!("is {text:?}, which is not among the account's exports, so that nothing would ever be there"))
        }
    });
    let kind = kept(&mut s, "window", Kind::Month.as_str(), |text| word(text, &Kind::ALL, Kind::as_str, &WINDOWS))?;
    let zone = kept(&mut s, "time_zone", ZONE, zone);
    let name = kept(&mut s, "name", "*", |text| {
        let empty = || "is empty; \"*\" fits every name, and none".to_owned();
        (!text.is_empty()).then(|| NamePattern::new(text)).ok_or_else(empty)
    })?;
    let data = optional(&mut s, "type", |text| word(text, &DataType::ALL, DataType::as_str, &TYPES));
    if data.is_some() && export == Export::Usage {
        s.wrong("type", "belongs to export = \"usage-detail\"; exports of \"usage\" have no type");
    }
    let from = optional(&mut s, "from", |text| from(text, kind));
    if from.is_none() && !s.has("from") {
        let example = match kind {
            Kind::Month => "2026-01",
            Kind::Day => "2026-01-31",
        };
        s.wrong("from", format!("is missing: the first {} that there shall be, such as \"{example}\"", kind.as_str()));
    }
    let due = s.duration("due", DUE, Duration::ZERO..=DUE_MAX);
    if before.iter().any(|b| (b.export, b.kind, &b.name) == (export, kind, &name)) {
        s.wrong("name", "an earlier one of this account has the same export, window and name; each must differ in one");
    }
    s.finish();
    let due = SignedDuration::try_from(due).unwrap_or(SignedDuration::MAX);
    Some(Expectation { export, kind, zone: zone?, name, data, from: from?, due })
}

/// A key that is kept as the text that stands there, and what it means.
fn kept<T>(
    s: &mut Section<'_>,
    key: &'static str,
    default: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = s.text(key, default.to_owned(), |text| read(text).map(|_| text.to_owned()));
    read(&text).ok()
}

/// The same without a default.
fn optional<T>(s: &mut Section<'_>, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
    let text = s.text(key, None, |text| read(text).map(|_| Some(text.to_owned())));
    text.and_then(|text| read(&text).ok())
}

fn word<T: Copy>(text: &str, all: &[T], as_str: fn(T) -> &'static str, words: &[&str]) -> Result<T, String> {
    all.iter()
        .copied()
        .find(|one| as_str(*one) == text)
        .ok_or_else(|| format!("is {text:?}{}; allowed: {}", did_you_mean(text, words), words.join(", ")))
}

/// By its name in the system's time zone database. The default is known without one: China has had no other time since
/// 1991.
fn zone(name: &str) -> Result<TimeZone, String> {
    match TimeZone::get(name) {
        Ok(zone) => Ok(zone),
        Err(_) if name == ZONE => Ok(TimeZone::fixed(offset(8))),
        Err(_) => Err(format!(
            "{name:?} is not a time zone that this machine knows; allowed: names such as \"Asia/Shanghai\", \"Europe/Berlin\" \
             or \"UTC\" (from /usr/share/zoneinfo, of the package tzdata)"
        )),
    }
}

fn from(text: &str, kind: Kind) -> Result<Date, String> {
    let allowed = match kind {
        Kind::Month => "a month such as \"2026-01\"",
        Kind::Day => "a day such as \"2026-01-31\"",
    };
    let (low, high) = (FROM_MIN.year(), FROM_MAX.year());
    let refused = || format!("is {text:?}; allowed: {allowed}, from the years {low} to {high}");
    let month = if kind == Kind::Month && text.len() == 7 { format!("{text}-01") } else { text.to_owned() };
    // Ten characters: the library would also read a date with a time behind it.
    let date: Date = Some(month).filter(|m| m.len() == 10).and_then(|m| m.parse().ok()).ok_or_else(refused)?;
    let first = kind == Kind::Day || date.day() == 1;
    if first && (FROM_MIN..=FROM_MAX).contains(&date) { Ok(date) } else { Err(refused()) }
}
