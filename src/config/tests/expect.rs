use jiff::{SignedDuration, civil::date, tz::TimeZone};

use super::*;
use crate::model::window::{DataType, Kind};

fn expect(text: &str) -> Result<Config, ConfigError> {
    parse(&format!("[[account]]\nexports = ['usage-detail', 'usage']\n[[account.expect]]\n{text}"))
}

#[test]
fn an_expectation_needs_no_more_than_its_beginning() {
    let config = expect("from = '2026-02'").unwrap();
    let [expected] = config.accounts[0].expect.as_slice() else { panic!("{config:?}") };
    assert_eq!((expected.export, expected.kind, expected.from), (Export::UsageDetail, Kind::Month, date(2026, 2, 1)));
    assert_eq!((expected.name.as_str(), expected.data), ("*", None));
    assert_eq!((expected.due, expected.zone_name().as_str()), (SignedDuration::from_hours(72), "Asia/Shanghai"));
    // The default zone is known without a database, and is the same.
    let begin = expected.begins_at().unwrap();
    assert_eq!(begin.to_string(), "2026-01-31T16:00:00Z");
    assert!(parse(MINIMAL).unwrap().accounts[0].expect.is_empty());
}

#[test]
fn every_key_of_an_expectation_is_read() {
    let config = expect(
        "export = 'usage-detail'\nwindow = 'day'\ntime_zone = 'UTC'\nname = 'requests*'\ntype = 'vas'\nfrom = '2026-01-31'\ndue = '36h'\n\
         [[account.expect]]\nexport = 'usage'\nfrom = '2026-01-01'",
    )
    .unwrap();
    let [detail, usage] = config.accounts[0].expect.as_slice() else { panic!("{config:?}") };
    assert_eq!((detail.kind, &detail.zone, detail.name.as_str()), (Kind::Day, &TimeZone::UTC, "requests*"));
    assert_eq!((detail.data, detail.from), (Some(DataType::Vas), date(2026, 1, 31)));
    assert_eq!(detail.due, SignedDuration::from_hours(36));
    assert_eq!((usage.export, usage.from), (Export::Usage, date(2026, 1, 1)));
    let only = parse("[[account]]\nexports = ['usage']\n[[account.expect]]\nfrom = '2026-01'").unwrap();
    assert_eq!(only.accounts[0].expect[0].export, Export::Usage, "the first of the account's exports is the default");
}

#[test]
fn what_is_wrong_with_an_expectation_is_said_with_what_is_allowed() {
    for (text, expected) in [
        ("", ":3: account[0].expect[0].from: is missing: the first month that there shall be, such as \"2026-01\""),
        ("window = 'day'", "from: is missing: the first day that there shall be, such as \"2026-01-31\""),
        (
            "from = '2026-01-02'",
            ":4: account[0].expect[0].from: is \"2026-01-02\"; allowed: a month such as \"2026-01\"",
        ),
        ("from = '2026-13'", "allowed: a month such as"),
        ("from = '2026-1'", "allowed: a month such as"),
        ("from = '2014-12'", "from the years 2015 to 2099"),
        ("from = 2026-01-01", "from: must be text in quotes, but is a date"),
        ("window = 'day'\nfrom = '2026-01'", "allowed: a day such as \"2026-01-31\""),
        ("window = 'day'\nfrom = '2026-01-01T00:00:00'", "allowed: a day such as"),
        ("from = '2026-01'\nwindow = 'week'", "window: is \"week\"; allowed: month, day"),
        ("from = '2026-01'\nwindow = 'mnth'", "did you mean \"month\"?; allowed: month, day"),
        ("from = '2026-01'\ntime_zone = 'Asia/Shangri-La'", "is not a time zone that this machine knows"),
        ("from = '2026-01'\nexport = 'usage-detial'", "did you mean \"usage-detail\"?"),
        ("from = '2026-01'\nname = ''", "name: is empty; \"*\" fits every name"),
        ("from = '2026-01'\ntype = 'traffic'", "type: is \"traffic\"; allowed: flow, vas"),
        ("from = '2026-01'\nexport = 'usage'\ntype = 'flow'", "type: belongs to export = \"usage-detail\""),
        ("from = '2026-01'\ndue = '181d'", "due: is \"181d\", which is not within \"0ms\" to \"180d\""),
        ("from = '2026-01'\nduw = '1d'", "duw: unknown key, did you mean \"due\"?"),
        (
            "from = '2026-01'\n[[account.expect]]\nfrom = '2026-02'",
            "expect[1].name: an earlier one of this account has the same export, window and name",
        ),
    ] {
        let error = expect(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let error = parse("[[account]]\n[[account.expect]]\nexport = 'usage'\nfrom = '2026-01'").unwrap_err().to_string();
    assert!(error.contains("is not among the account's exports"), "{error}");
}
