//! The rule, by example.

mod properties;

use jiff::{SignedDuration, Timestamp, civil::date, tz::TimeZone};

use super::{
    super::{
        download::{DownloadState, Reason},
        task::{Export, Status, TaskId},
    },
    sample::beijing,
    *,
};

const HORIZON: Horizon = Horizon::DOCUMENTED;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn expect(kind: Kind, from: jiff::civil::Date) -> Expectation {
    Expectation {
        export: Export::UsageDetail,
        kind,
        zone: beijing(),
        name: NamePattern::new("*"),
        data: None,
        from,
        due: SignedDuration::from_hours(72),
    }
}

fn task(id: &str, status: &str, range: (&str, &str)) -> TaskFacts {
    TaskFacts {
        id: TaskId::parse(id).unwrap(),
        name: None,
        status: Status::parse(status).unwrap(),
        created_at: Some(at("2026-09-01T00:00:00Z")),
        first_seen_at: at("2026-09-01T00:10:00Z"),
        range: Some((at(range.0), at(range.1))),
        unlisted_at: None,
        download: None,
        files: Vec::new(),
    }
}

fn download(state: DownloadState) -> Option<DownloadFacts> {
    Some(DownloadFacts { state, reason: Some(Reason::Gone), reissued: false })
}

/// August, whose download was given up.
fn given_up_for(reason: Reason) -> TaskFacts {
    let download = DownloadFacts { state: DownloadState::Abandoned, reason: Some(reason), reissued: false };
    TaskFacts { download: Some(download), ..task("3", "success", AUGUST) }
}

fn file(id: &str, revision: u32, sha256: &str, range: &str) -> FileFacts {
    FileFacts { revision, path: format!("main/usage-detail/{range}_{id}.csv"), sha256: sha256.to_owned() }
}

const AUGUST: (&str, &str) = ("2026-07-31T16:00:00Z", "2026-08-31T15:59:59Z");
const AUGUST_NAME: &str = "20260731T160000Z_20260831T155959Z";

fn stored(id: &str, range: (&str, &str), sha256: &str) -> TaskFacts {
    let files = vec![file(id, 1, sha256, "unknown_unknown")];
    TaskFacts { download: download(DownloadState::Stored), files, ..task(id, "success", range) }
}

/// August 2026 in Beijing, at a time.
fn august(tasks: &[TaskFacts], now: &str) -> WindowState {
    let assessed = assess(&expect(Kind::Month, date(2026, 8, 1)), tasks, at(now), &HORIZON);
    assessed.windows.into_iter().next().unwrap()
}

/// Before August is due, and after.
const EARLY: &str = "2026-09-02T00:00:00Z";
const LATE: &str = "2026-09-10T00:00:00Z";

fn span(start: &str, end: &str) -> Span {
    Span::new(at(start), at(end)).unwrap()
}

#[test]
fn a_month_has_its_own_length_and_begins_at_midnight_of_its_zone() {
    let expectation = expect(Kind::Month, date(2024, 1, 1));
    let windows: Vec<_> = expectation.windows(at("2024-03-31T16:00:00Z")).collect();
    assert_eq!(windows.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2024-01", "2024-02", "2024-03"]);
    assert_eq!(windows[1].span, span("2024-01-31T16:00:00Z", "2024-02-29T16:00:00Z"));
    assert_eq!(expectation.windows(at("2024-03-31T15:59:59Z")).count(), 2, "a window is there once it has ended");
    assert_eq!(expectation.windows(at("2023-01-01T00:00:00Z")).count(), 0);
}

#[test]
fn a_day_is_an_hour_shorter_or_longer_where_clocks_are_changed() {
    let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
    let hours = |from, zone: &TimeZone| {
        let expectation = Expectation { zone: zone.clone(), ..expect(Kind::Day, from) };
        expectation.windows(at("2030-01-01T00:00:00Z")).take(3).map(|w| w.span.length().as_hours()).collect::<Vec<_>>()
    };
    assert_eq!(hours(date(2026, 3, 7), &zone), [24, 23, 24]);
    assert_eq!(hours(date(2026, 10, 31), &zone), [24, 25, 24]);
    // Clocks that are put forward at midnight: the day begins at one.
    let zone = TimeZone::posix("EET-2EEST,M4.5.5/0,M10.5.4/24").unwrap();
    assert_eq!(hours(date(2026, 4, 23), &zone), [24, 23, 24]);
    let expectation = Expectation { zone, ..expect(Kind::Day, date(2026, 4, 24)) };
    let first = expectation.windows(at("2030-01-01T00:00:00Z")).next().unwrap();
    assert_eq!(first.span, span("2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"));
}

#[test]
fn a_pattern_is_held_against_the_whole_name() {
    for (pattern, name, is) in [
        ("*", "", true),
        ("**", "anything", true),
        ("", "", true),
        ("", "x", false),
        ("traffic*", "traffic, July", true),
        ("traffic*", "my traffic", false),
        ("*traffic", "my traffic", true),
        ("*a*b*", "xxaxxbxx", true),
        ("*a*b*", "xxbxxaxx", false),
        ("*ab", "aab", true),
        ("a?c", "abc", true),
        ("a?c", "ac", false),
        ("刷?", "刷新", true),
        ("刷?", "刷新了", false),
        ("*?新", "刷新", true),
        ("*??d", "\u{e9}d", false),
        ("Traffic", "traffic", false),
        ("a[b]", "a[b]", true),
    ] {
        assert_eq!(NamePattern::new(pattern).fits(Some(name)), is, "{pattern:?} {name:?}");
    }
    assert!(NamePattern::new("*").fits(None) && !NamePattern::new("a*").fits(None));
}

#[test]
fn a_window_is_archived_when_one_file_covers_it_or_several_do_together() {
    let whole = august(&[stored("1", AUGUST, "a")], LATE);
    assert_eq!((whole.state, whole.counts.len(), whole.lacking.len()), (State::Archived, 1, 0));
    let exclusive = stored("1", (AUGUST.0, "2026-08-31T16:00:00Z"), "a");
    assert_eq!(august(&[exclusive], LATE).state, State::Archived);
    let longer = stored("1", ("2026-06-30T16:00:00Z", "2026-09-15T15:59:59Z"), "a");
    assert_eq!(august(&[longer], LATE).state, State::Archived);
    let half = stored("1", (AUGUST.0, "2026-08-14T15:59:59Z"), "a");
    let rest = stored("2", ("2026-08-14T16:00:00Z", AUGUST.1), "b");
    let both = august(&[rest, half.clone()], LATE);
    assert_eq!((both.state, both.counts.len()), (State::Archived, 2));
    assert_eq!(both.counts[0].task.as_str(), "1", "in the order of their ranges");
    let partial = august(&[half], LATE);
    assert_eq!(partial.state, State::Overdue);
    assert_eq!(partial.lacking, [span("2026-08-14T16:00:00Z", "2026-08-31T16:00:00Z")]);
    assert_eq!(partial.to_create, partial.lacking);
}

#[test]
fn one_file_for_the_window_counts_before_longer_ones_and_before_pieces() {
    let quarter = stored("3", ("2026-06-30T16:00:00Z", "2026-09-30T15:59:59Z"), "q");
    let piece = stored("4", (AUGUST.0, "2026-08-14T15:59:59Z"), "p");
    let state = august(&[quarter, piece, stored("1", AUGUST, "a")], LATE);
    assert_eq!(state.counts.iter().map(|c| c.task.as_str()).collect::<Vec<_>>(), ["1"]);
    assert_eq!(state.state, State::Archived, "files of other ranges are not compared");
}

#[test]
fn the_newest_version_counts_and_that_others_differ_is_said() {
    let mut newer = stored("2", AUGUST, "b");
    newer.created_at = Some(at("2026-09-03T00:00:00Z"));
    let state = august(&[newer.clone(), stored("1", AUGUST, "a")], LATE);
    assert_eq!((state.state, state.counts[0].task.as_str()), (State::Restated, "2"));
    assert_eq!(state.superseded.iter().map(|c| c.task.as_str()).collect::<Vec<_>>(), ["1"]);
    newer.files[0].sha256 = "a".to_owned();
    assert_eq!(august(&[newer, stored("1", AUGUST, "a")], LATE).state, State::Archived, "the same bytes");

    let mut revised = stored("1", AUGUST, "a");
    revised.files = vec![file("1", 1, "a", AUGUST_NAME), file("1", 2, "b", AUGUST_NAME)];
    let state = august(&[revised], LATE);
    assert_eq!((state.state, state.counts[0].revision, state.superseded[0].revision), (State::Restated, 2, 1));
}

#[test]
fn an_id_that_was_issued_anew_keeps_its_old_file_and_waits_for_the_new_one() {
    let july = ("2026-06-30T16:00:00Z", "2026-07-31T15:59:59Z");
    let mut reissued = TaskFacts { files: vec![file("1", 1, "a", AUGUST_NAME)], ..stored("1", july, "a") };
    reissued.download = Some(DownloadFacts { state: DownloadState::Stored, reason: None, reissued: true });
    let both = |task: &TaskFacts| {
        let assessed = assess(&expect(Kind::Month, date(2026, 7, 1)), std::slice::from_ref(task), at(EARLY), &HORIZON);
        assessed.windows.iter().map(|w| (w.state, w.undelivered.len())).collect::<Vec<_>>()
    };
    assert_eq!(both(&reissued), [(State::Overdue, 1), (State::Archived, 0)]);
    reissued.files.push(file("1", 2, "b", "20260630T160000Z_20260731T155959Z"));
    reissued.download = download(DownloadState::Stored);
    assert_eq!(both(&reissued), [(State::Archived, 0), (State::Archived, 0)], "two ranges are no restatement");
    // Had the new export the same bytes, there is one file for both.
    reissued.files.pop();
    assert_eq!(both(&reissued), [(State::Archived, 0), (State::Archived, 0)]);
}

#[test]
fn before_it_is_due_a_window_is_pending_failed_or_missing() {
    let state = |tasks: &[TaskFacts]| august(tasks, EARLY).state;
    let created = task("1", "created", AUGUST);
    let failed = task("2", "failed", AUGUST);
    let given_up = TaskFacts { download: download(DownloadState::Abandoned), ..task("3", "success", AUGUST) };
    let unlisted = TaskFacts { unlisted_at: Some(at(EARLY)), ..created.clone() };
    assert_eq!(state(&[]), State::Missing);
    assert_eq!(state(std::slice::from_ref(&created)), State::Pending);
    assert_eq!(state(&[task("1", "reticulating", AUGUST)]), State::Pending);
    assert_eq!(state(&[task("1", "success", AUGUST)]), State::Pending, "a success without a download yet");
    assert_eq!(state(&[TaskFacts { download: download(DownloadState::Active), ..created.clone() }]), State::Pending);
    assert_eq!(state(std::slice::from_ref(&failed)), State::Failed);
    assert_eq!(state(std::slice::from_ref(&given_up)), State::Failed);
    assert_eq!(
        state(&[given_up_for(Reason::Network)]),
        State::Failed,
        "a retry may bring it, but nobody retries by itself"
    );
    let stuck = TaskFacts { created_at: Some(at("2026-08-31T16:00:00Z")), ..created.clone() };
    assert_eq!(state(std::slice::from_ref(&stuck)), State::Pending);
    assert_eq!(august(&[stuck], "2026-09-02T16:00:00Z").state, State::Failed, "after two days");
    assert_eq!(state(&[failed.clone(), created.clone()]), State::Pending, "another is on its way");
    assert_eq!(state(&[failed, stored("4", AUGUST, "a"), given_up]), State::Archived, "a later success");
    assert_eq!(state(std::slice::from_ref(&unlisted)), State::Missing);
    let damaged = TaskFacts { download: download(DownloadState::Pending), ..stored("1", AUGUST, "a") };
    assert_eq!(state(&[damaged]), State::Pending, "its file is being fetched again");
    let half = task("1", "created", (AUGUST.0, "2026-08-14T15:59:59Z"));
    let state = august(&[half], EARLY);
    assert_eq!((state.state, state.lacking.len(), state.undelivered.len()), (State::Missing, 1, 1));
    assert_eq!(state.to_create, [span("2026-08-14T16:00:00Z", "2026-08-31T16:00:00Z")]);
}

#[test]
fn from_when_it_is_due_on_a_window_that_lacks_anything_is_overdue() {
    let due = at("2026-09-03T16:00:00Z");
    let before = due - SignedDuration::from_millis(1);
    let created = [TaskFacts { created_at: Some(at(EARLY)), ..task("1", "created", AUGUST) }];
    let state = august(&created, &before.to_string());
    assert_eq!((state.state, state.due_at), (State::Pending, due));
    assert_eq!(august(&created, &due.to_string()).state, State::Overdue);
    let soon = at(EARLY) + SignedDuration::from_hours(48);
    let before = (soon - SignedDuration::from_secs(1)).to_string();
    assert_eq!(august(&created, &before).to_create, [], "nothing has to be created while a task is under way");
    assert_eq!(august(&created, &soon.to_string()).to_create.len(), 1, "which does not take days");
    assert_eq!(august(&[task("1", "success", AUGUST)], LATE).to_create, [], "its file can still be fetched");
    assert_eq!(august(&[given_up_for(Reason::Network)], LATE).to_create, [], "nor while a retry may bring it");
    for reason in [Reason::Gone, Reason::NoLink, Reason::NotAnExport] {
        assert_eq!(august(&[given_up_for(reason)], LATE).to_create.len(), 1, "there is nothing to fetch: {reason}");
    }
    assert_eq!(august(&[task("2", "failed", AUGUST)], LATE).to_create.len(), 1);
}

#[test]
fn a_file_has_nothing_of_what_came_about_after_its_task_was_created() {
    let early = TaskFacts { created_at: Some(at("2026-08-15T00:00:00Z")), ..stored("1", AUGUST, "a") };
    let state = august(std::slice::from_ref(&early), LATE);
    assert_eq!((state.state, state.counts.len()), (State::Overdue, 1));
    assert_eq!(state.lacking, [span("2026-08-15T00:00:00Z", "2026-08-31T16:00:00Z")]);
    assert_eq!(state.to_create, state.lacking);
    assert_eq!(
        words::why(&state),
        "no file covers 2026-08-15T00:00:00Z to 2026-08-31T15:59:59Z; task 1 was created on 2026-08-15T00:00:00Z and has \
         nothing later"
    );
    let rest = stored("2", ("2026-08-14T16:00:00Z", AUGUST.1), "b");
    let state = august(&[early.clone(), rest], LATE);
    assert_eq!((state.state, state.early.len()), (State::Archived, 0));
    // What has not been created yet is on no way to come, and what was asked for before it began is nothing at all.
    let pending = TaskFacts { download: None, ..early };
    assert_eq!(august(&[pending], EARLY).state, State::Missing);
    let before = TaskFacts { created_at: Some(at("2026-07-01T00:00:00Z")), ..stored("3", AUGUST, "a") };
    let assessed = assess(&expect(Kind::Month, date(2026, 8, 1)), &[before], at(LATE), &HORIZON);
    assert_eq!((assessed.windows[0].state, assessed.windows[0].early.len()), (State::Overdue, 1));
    assert_eq!(assessed.ignored, [], "its range is one");
}

#[test]
fn what_can_still_be_exported_is_not_left_to_a_download_that_may_fail_too_late() {
    // The task leaves the listing after August fades.
    let late = TaskFacts { created_at: Some(at("2027-07-01T00:00:00Z")), ..given_up_for(Reason::Network) };
    let state = august(std::slice::from_ref(&late), "2027-07-25T00:00:00Z");
    assert_eq!((state.state, state.to_create.len()), (State::Overdue, 1));
    assert_eq!(state.export_by, Some(at("2027-07-31T16:00:00Z")));
    let waiting = TaskFacts { download: download(DownloadState::Pending), ..late };
    assert_eq!(august(std::slice::from_ref(&waiting), "2027-07-25T00:00:00Z").to_create.len(), 1);
    assert_eq!(august(&[waiting], "2027-07-02T00:00:00Z").to_create, [], "it has just been created");
}

#[test]
fn until_when_a_window_can_be_had_is_when_it_begins_to_fade() {
    // Where a zone is half an hour off, a month begins within an hour.
    let zone = TimeZone::fixed(jiff::tz::Offset::from_seconds(5 * 3600 + 1800).unwrap());
    let expectation = Expectation { zone, ..expect(Kind::Month, date(2026, 8, 1)) };
    let state = |now: Timestamp| assess(&expectation, &[], now, &HORIZON).windows.swap_remove(0);
    let by = state(at(LATE)).export_by.unwrap();
    assert_eq!(by, at("2027-07-31T18:00:00Z"));
    assert_eq!(state(by).state, State::Overdue);
    let after = state(by + SignedDuration::from_secs(1));
    assert!(!state(at(LATE)).is_fading && !state(by - SignedDuration::from_secs(1)).is_fading && after.is_fading);
    assert_eq!((after.state, after.lost.len()), (State::BeyondReach, 1));
}

#[test]
fn an_export_that_is_to_be_created_is_never_longer_than_the_service_takes() {
    // Where clocks are put back, October has an hour more than 31 days.
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let expectation = Expectation { zone, ..expect(Kind::Month, date(2026, 10, 1)) };
    let state = assess(&expectation, &[], at("2026-11-10T00:00:00Z"), &HORIZON).windows.swap_remove(0);
    let create = words::create(&state, Export::Usage, None);
    let ranges: Vec<_> = create.iter().map(|c| (c.start.as_str(), c.end.as_str())).collect();
    assert_eq!(
        ranges,
        [("2026-09-30T22:00:00Z", "2026-10-31T21:59:59Z"), ("2026-10-31T22:00:00Z", "2026-10-31T22:59:59Z")]
    );
}

#[test]
fn of_tasks_of_one_second_the_one_with_the_higher_number_is_newer() {
    let state = august(&[stored("9", AUGUST, "a"), stored("10", AUGUST, "b")], LATE);
    assert_eq!(state.counts[0].task.as_str(), "10");
}

#[test]
fn beyond_reach_is_what_can_be_exported_no_more_and_is_not_on_its_way() {
    // 365 days after its first instant a month begins to fade.
    let edge = at(AUGUST.0) + SignedDuration::from_hours(365 * 24);
    let after = (edge + SignedDuration::from_secs(1)).to_string();
    assert_eq!(august(&[], &edge.to_string()).state, State::Overdue);
    let state = august(&[], &after);
    assert_eq!((state.state, state.lost.len(), state.to_create.len()), (State::BeyondReach, 1, 1));
    assert_eq!(state.lost[0].length(), SignedDuration::from_hours(1), "on full hours");
    assert_eq!(august(&[], "2028-01-01T00:00:00Z").to_create, []);
    assert_eq!(august(&[task("1", "created", AUGUST)], &after).state, State::Overdue, "it may come");
    let given_up = TaskFacts { download: download(DownloadState::Abandoned), ..task("3", "success", AUGUST) };
    assert_eq!(august(std::slice::from_ref(&given_up), &after).state, State::Overdue, "a retry may bring it");
    let unlisted = TaskFacts { unlisted_at: Some(at(LATE)), ..given_up };
    assert_eq!(august(&[unlisted], &after).state, State::BeyondReach);
    assert_eq!(august(&[stored("1", AUGUST, "a")], "2040-01-01T00:00:00Z").state, State::Archived);
}

#[test]
fn a_task_that_waits_has_until_it_leaves_the_listing() {
    let created = task("1", "created", AUGUST);
    let leaves = at("2026-11-29T00:00:00Z");
    assert_eq!(HORIZON.leaves_listing_at(&created), Some(leaves));
    let state = august(std::slice::from_ref(&created), LATE);
    assert_eq!((state.deliver_by, state.export_by), (Some(leaves), Some(at("2027-07-31T16:00:00Z"))));
    let unborn = TaskFacts { created_at: None, ..created.clone() };
    assert_eq!(HORIZON.leaves_listing_at(&unborn), Some(at("2026-11-29T00:10:00Z")), "from its first sight on");
    assert_eq!(HORIZON.leaves_listing_at(&stored("1", AUGUST, "a")), None);
    assert_eq!(HORIZON.leaves_listing_at(&task("1", "failed", AUGUST)), None);
    assert_eq!(HORIZON.leaves_listing_at(&TaskFacts { unlisted_at: Some(leaves), ..created }), None);
    assert_eq!(august(&[], LATE).export_by, Some(at("2027-07-31T16:00:00Z")));
}

#[test]
fn a_task_without_a_range_counts_for_nothing_and_is_said() {
    let without_range = TaskFacts { range: None, ..stored("1", AUGUST, "a") };
    let wrong_way = stored("2", (AUGUST.1, AUGUST.0), "a");
    let other_name = TaskFacts { name: Some("requests".to_owned()), range: None, ..stored("3", AUGUST, "a") };
    let expectation = Expectation { name: NamePattern::new(""), ..expect(Kind::Month, date(2026, 8, 1)) };
    let assessed = assess(&expectation, &[without_range, wrong_way, other_name], at(LATE), &HORIZON);
    assert_eq!(assessed.windows[0].state, State::Overdue);
    let ignored: Vec<_> = assessed.ignored.iter().map(|i| (i.task.as_str(), i.has_range)).collect();
    assert_eq!(ignored, [("1", false), ("2", true)]);
}

#[test]
fn why_and_what_to_do_are_said_in_words() {
    let half = stored("1", (AUGUST.0, "2026-08-14T15:59:59Z"), "a");
    let failed = task("2", "failed", AUGUST);
    let given_up =
        TaskFacts { range: Some((at("2026-08-29T16:00:00Z"), at(AUGUST.1))), ..given_up_for(Reason::Network) };
    let gone = TaskFacts { unlisted_at: Some(at(LATE)), ..task("4", "created", AUGUST) };
    let pending = TaskFacts {
        created_at: Some(at("2026-09-09T00:00:00Z")),
        ..task("5", "created", ("2026-08-28T16:00:00Z", "2026-08-29T15:59:59Z"))
    };
    let state = august(&[half, failed, given_up, gone, pending], LATE);
    assert_eq!(
        words::why(&state),
        "no file covers 2026-08-14T16:00:00Z to 2026-08-31T15:59:59Z; task 2 failed, the download of task 3 was given up \
         (network), task 4 left the listing on 2026-09-10T00:00:00Z before it was delivered, 1 more"
    );
    assert_eq!(
        words::advice(&state, Export::UsageDetail, Some(DataType::Flow), at(LATE)),
        [
            "retry the download of task 3 (it leaves the listing in 80 days)",
            "create an export: CreateUsageDetailDataExportTask StartTime=2026-08-14T16:00:00Z \
             EndTime=2026-08-28T15:59:59Z Type=flow (possible until 2027-08-14T16:00:00Z, in 338 days)",
        ]
    );
    let three: Vec<_> = ["1", "2", "3"].map(|id| task(id, "failed", AUGUST)).into();
    assert_eq!(words::why(&august(&three, LATE)), "no file covers it; task 1 failed, task 2 failed, task 3 failed");
    let way = [task("1", "success", AUGUST), task("2", "created", AUGUST)];
    assert_eq!(
        words::why(&august(&way, EARLY)),
        "no file covers it; the file of task 1 is on its way, task 2 is created"
    );
    assert_eq!(words::why(&august(&[stored("1", AUGUST, "a")], LATE)), "task 1 revision 1");
    let restated = [stored("1", AUGUST, "a"), stored("2", AUGUST, "b")];
    assert_eq!(words::why(&august(&restated, LATE)), "task 2 revision 1 counts, other bytes have task 1 revision 1");
    let fading = august(&[], "2027-08-01T00:30:00Z");
    assert_eq!(
        words::why(&fading),
        "no file covers it; no task is known; 2026-07-31T16:00:00Z to 2026-08-01T00:59:59Z can be exported no more"
    );
    let advice = words::advice(&fading, Export::Usage, None, at("2027-08-01T00:30:00Z"));
    assert!(
        advice[0]
            .ends_with("StartTime=2026-08-01T01:00:00Z EndTime=2026-08-31T15:59:59Z (its oldest hours fade first)"),
        "{advice:?}"
    );
    assert_eq!(words::why(&august(&[], "2028-01-01T00:00:00Z")), "no file covers it; no task is known");
    let nothing = august(&[], LATE);
    assert_eq!(words::why(&nothing), "no file covers it; no task is known");
    assert_eq!(words::create(&nothing, Export::Usage, None)[0].data, None);
    assert_eq!(words::create(&nothing, Export::UsageDetail, None)[0].data, Some("flow|vas"));
    assert_eq!(words::until(at(EARLY), at(LATE)), "8 days ago");
    assert_eq!(words::until(at("2026-09-02T01:30:00Z"), at(EARLY)), "in 90 minutes");
    assert_eq!(words::until(at("2026-09-03T12:00:00Z"), at(EARLY)), "in 36 hours");
}

#[test]
fn what_is_configured_and_what_is_shown_has_its_word() {
    assert_eq!(
        State::ALL.map(words::state),
        ["archived", "restated", "pending", "missing", "failed", "overdue", "beyond reach"]
    );
    let fates = [Fate::Stored, Fate::Pending, Fate::Failed, Fate::Abandoned(None), Fate::Lost];
    assert_eq!(fates.map(Fate::as_str), ["stored", "pending", "failed", "abandoned", "unlisted"]);
    assert_eq!(Kind::ALL.map(Kind::as_str), ["month", "day"]);
    for (pattern, is_any) in [("*", true), ("**", true), ("", false), ("a*", false), ("*a", false)] {
        let pattern = NamePattern::new(pattern);
        assert_eq!((pattern.is_any(), NamePattern::new(pattern.as_str()) == pattern), (is_any, true), "{pattern:?}");
    }
    let expectation = expect(Kind::Month, date(2026, 8, 1));
    assert_eq!((expectation.begins_at(), expectation.zone_name()), (Some(at(AUGUST.0)), "Asia/Shanghai".to_owned()));
    assert_eq!(Expectation { zone: TimeZone::UTC, ..expectation }.zone_name(), "UTC");
}

#[test]
fn a_link_may_serve_when_its_task_is_listed_no_more() {
    let waits = TaskFacts { download: download(DownloadState::Pending), ..task("1", "success", AUGUST) };
    for gone in
        [TaskFacts { unlisted_at: Some(at(EARLY)), ..waits.clone() }, TaskFacts { status: Status::Failed, ..waits }]
    {
        assert_eq!((gone.fate(), august(&[gone], EARLY).state), (Fate::Pending, State::Pending));
    }
}
