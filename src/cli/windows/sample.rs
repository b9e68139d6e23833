//! An account with every state, on the tenth of September 2026.

use jiff::{SignedDuration, Timestamp, civil::date};

use crate::{
    completeness::Expected,
    model::{
        download::{DownloadState, Reason},
        task::{AccountName, Export, ListingKey},
        window::{DataType, Expectation, Horizon, Kind, NamePattern, TaskFacts, assess, sample},
    },
};

pub(in crate::cli) fn now() -> Timestamp {
    "2026-09-10T00:00:00Z".parse().unwrap()
}

/// A task of days of 2026.
fn task(id: &str, status: &str, from: (i8, i8), to: (i8, i8)) -> TaskFacts {
    sample::task(id, status, (2026, from.0, from.1), (2026, to.0, to.1))
}

fn with(state: DownloadState, shas: &[&str], task: TaskFacts) -> TaskFacts {
    sample::with(state, Some(Reason::Gone), shas, task)
}

/// By month from July 2025 on, and by day from the 20th of August 2026 on.
pub(in crate::cli) fn expected() -> Vec<Expected> {
    use DownloadState::{Abandoned, Stored};
    let tasks = [
        with(Stored, &["a"], task("1", "success", (1, 1), (5, 31))),
        with(Stored, &["a", "b"], task("2", "success", (6, 1), (6, 30))),
        with(Stored, &["c"], task("3", "success", (7, 1), (7, 14))),
        with(Abandoned, &[], task("4", "success", (7, 20), (7, 31))),
        task("5", "failed", (7, 15), (7, 19)),
        with(Stored, &["d"], task("6", "success", (8, 1), (8, 31))),
        with(Stored, &["e"], task("7", "success", (9, 1), (9, 5))),
        task("8", "failed", (9, 8), (9, 8)),
        task("9", "created", (9, 9), (9, 9)),
        TaskFacts { range: None, ..task("10", "success", (9, 1), (9, 2)) },
    ];
    let months = Expectation {
        export: Export::UsageDetail,
        kind: Kind::Month,
        zone: sample::beijing(),
        name: NamePattern::new("traffic*"),
        data: Some(DataType::Flow),
        from: date(2025, 7, 1),
        due: SignedDuration::from_hours(72),
    };
    let days = Expectation {
        kind: Kind::Day,
        name: NamePattern::new("*"),
        data: None,
        from: date(2026, 8, 20),
        due: SignedDuration::from_hours(36),
        ..months.clone()
    };
    let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::UsageDetail };
    [months, days]
        .into_iter()
        .map(|expectation| {
            let assessed = assess(&expectation, &tasks, now(), &Horizon::DOCUMENTED);
            Expected { listing: listing.clone(), expectation, assessed }
        })
        .collect()
}
