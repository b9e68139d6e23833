//! Tasks for the tests of whatever shows windows.

use jiff::{SignedDuration, Timestamp, civil::date, tz::TimeZone};

use super::{DownloadFacts, FileFacts, TaskFacts};
use crate::model::{
    download::{DownloadState, Reason},
    filename::{ContentKind, relative_path},
    task::{AccountName, Export, ListingKey, Status, TaskId},
};

pub(crate) fn beijing() -> TimeZone {
    TimeZone::fixed(jiff::tz::offset(8))
}

/// A task of whole days in Beijing, created when they were over, and not before September 2026.
pub(crate) fn task(id: &str, status: &str, from: (i16, i8, i8), to: (i16, i8, i8)) -> TaskFacts {
    let midnight = |(year, month, day)| date(year, month, day).to_zoned(beijing()).unwrap().timestamp();
    let end = midnight(to) + SignedDuration::from_hours(24) - SignedDuration::from_secs(1);
    let created_at = "2026-09-01T00:00:00Z".parse::<Timestamp>().unwrap().max(end + SignedDuration::from_secs(1));
    TaskFacts {
        id: TaskId::parse(id).unwrap(),
        name: Some("traffic".to_owned()),
        status: Status::parse(status).unwrap(),
        created_at: Some(created_at),
        first_seen_at: created_at,
        range: Some((midnight(from), end)),
        unlisted_at: None,
        download: None,
        files: Vec::new(),
    }
}

/// The same with a download, and a revision for each of these digests.
pub(crate) fn with(state: DownloadState, reason: Option<Reason>, shas: &[&str], task: TaskFacts) -> TaskFacts {
    let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::UsageDetail };
    let (start, end) = task.range.unwrap();
    let files = shas.iter().zip(1..).map(|(sha, revision)| FileFacts {
        revision,
        path: relative_path(&listing, &task.id, Some(start), Some(end), revision, ContentKind::Csv),
        sha256: (*sha).to_owned(),
    });
    let download = Some(DownloadFacts { state, reason, reissued: false });
    TaskFacts { files: files.collect(), download, ..task }
}
