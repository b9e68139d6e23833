use super::*;
use crate::model::task::TaskId;

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = RECHECK_AT_MOST_EVERY;

/// When the file was fetched, and the task's update time then.
fn fetched() -> Timestamp {
    Timestamp::from_second(1_767_225_600).unwrap()
}

/// When the task is seen.
fn now() -> Timestamp {
    fetched() + HOUR * 240
}

fn link(name: &str) -> SignedUrl {
    SignedUrl::parse(&format!("https://files.example/{name}?Signature=x")).unwrap()
}

/// A download that nobody waits for anything of.
fn queued(state: DownloadState) -> Queued {
    Queued {
        state,
        link: None,
        wanted: false,
        recheck: false,
        reissued_at: None,
        rechecked_at: None,
        fetched_updated_at: Some(fetched()),
        changed_at: fetched(),
    }
}

fn seen(status: Status, link: Option<SignedUrl>) -> TaskSnapshot {
    TaskSnapshot {
        id: TaskId::parse("1").unwrap(),
        name: None,
        status,
        created_at: None,
        updated_at: Some(fetched()),
        range_start: None,
        range_end: None,
        link,
    }
}

fn success(link: Option<SignedUrl>) -> TaskSnapshot {
    seen(Status::Success, link)
}

fn decide(queued: &Queued, kind: Option<Kind>, seen: &TaskSnapshot) -> Option<Change> {
    on_listed(Some(queued), kind, seen, None, now())
}

#[test]
fn every_word_is_its_own_and_is_read_again() {
    let reasons = [
        "network",
        "expired",
        "gone",
        "http",
        "integrity",
        "no_link",
        "too_large",
        "refused_host",
        "not_an_export",
        "disk",
    ];
    assert_eq!(Reason::ALL.map(Reason::as_str), reasons);
    assert_eq!(Reason::ALL.map(|r| Reason::from_word(&r.to_string())), Reason::ALL.map(Some));
    assert_eq!(Reason::from_word("weather"), None);
    let results = ["stored", "unchanged", "failed", "abandoned", "interrupted"];
    assert_eq!(AttemptResult::ALL.map(AttemptResult::as_str), results);
    let verified = [VerifiedBy::Crc64, VerifiedBy::Md5, VerifiedBy::Length];
    assert_eq!(verified.map(VerifiedBy::as_str), ["crc64", "md5", "length"]);
    for state in [DownloadState::Pending, DownloadState::Active, DownloadState::Stored, DownloadState::Abandoned] {
        assert_eq!(DownloadState::from_word(state.as_str()), Some(state));
    }
    assert_eq!(DownloadState::Pending.as_str(), "pending");
    assert_eq!(DownloadState::from_word("lost"), None);
}

#[test]
fn a_download_begins_with_the_first_sight_of_a_success() {
    let begin = |seen: &TaskSnapshot| on_listed(None, Some(Kind::First), seen, None, now());
    assert_eq!(begin(&success(None)), Some(Change::Create));
    assert_eq!(begin(&success(Some(link("a")))), Some(Change::Create));
    for word in ["created", "failed", "baking"] {
        assert_eq!(begin(&seen(Status::parse(word).unwrap(), Some(link("a")))), None, "{word}");
    }
}

#[test]
fn what_waits_is_withdrawn_when_its_task_is_no_success_any_more() {
    let failed = seen(Status::parse("failed").unwrap(), None);
    let linked = |state, recheck| Queued { link: Some(link("a")), recheck, ..queued(state) };
    let wanted = |state, recheck| Queued { wanted: true, recheck, ..queued(state) };
    let idle = |state, recheck| Queued { recheck, ..queued(state) };
    for (before, change) in [
        (linked(DownloadState::Pending, false), Some(Change::Withdraw)),
        (wanted(DownloadState::Pending, false), Some(Change::Withdraw)),
        (idle(DownloadState::Pending, false), None),
        (linked(DownloadState::Stored, true), Some(Change::Withdraw)),
        (wanted(DownloadState::Stored, true), Some(Change::Withdraw)),
        (idle(DownloadState::Stored, true), None),
        (linked(DownloadState::Stored, false), None),
        (linked(DownloadState::Active, false), None),
        (linked(DownloadState::Abandoned, false), None),
    ] {
        assert_eq!(decide(&before, Some(Kind::Status), &failed), change, "{before:?}");
        let noted = change.or(Some(Change::Note));
        assert_eq!(decide(&before, Some(Kind::Reissued), &failed), noted, "reissued, {before:?}");
    }
}

#[test]
fn a_waiting_download_takes_another_link_and_asks_for_one_when_it_has_none() {
    let none = queued(DownloadState::Pending);
    let wanted = Queued { wanted: true, ..none.clone() };
    let linked = Queued { link: Some(link("a")), ..none.clone() };
    assert_eq!(decide(&none, None, &success(None)), Some(Change::Want));
    assert_eq!(decide(&none, None, &success(Some(link("a")))), Some(Change::Link));
    assert_eq!(decide(&wanted, None, &success(None)), None);
    assert_eq!(decide(&wanted, None, &success(Some(link("a")))), Some(Change::Link));
    assert_eq!(decide(&linked, None, &success(None)), None);
    assert_eq!(decide(&linked, None, &success(Some(link("a")))), None);
    assert_eq!(decide(&linked, None, &success(Some(link("b")))), Some(Change::Link));
    for before in [none, wanted, linked] {
        assert_eq!(decide(&before, Some(Kind::Reissued), &success(None)), Some(Change::Restart), "{before:?}");
        assert_eq!(decide(&before, Some(Kind::Reissued), &success(Some(link("a")))), Some(Change::Restart));
    }
}

#[test]
fn an_attempt_under_way_is_only_given_another_link() {
    let active = Queued { link: Some(link("a")), ..queued(DownloadState::Active) };
    let looking = Queued { link: Some(link("a")), recheck: true, ..queued(DownloadState::Stored) };
    for before in [active, looking] {
        assert_eq!(decide(&before, None, &success(None)), None);
        assert_eq!(decide(&before, Some(Kind::Updated), &success(Some(link("a")))), None);
        assert_eq!(decide(&before, None, &success(Some(link("b")))), Some(Change::Link));
        assert_eq!(decide(&before, Some(Kind::Reissued), &success(Some(link("b")))), Some(Change::Link));
        assert_eq!(decide(&before, Some(Kind::Reissued), &success(Some(link("a")))), Some(Change::Note));
        assert_eq!(decide(&before, Some(Kind::Reissued), &success(None)), Some(Change::Note));
    }
}

#[test]
fn a_stored_task_is_looked_at_again_when_its_update_time_is_newer() {
    let stored = queued(DownloadState::Stored);
    let at = |updated_at| TaskSnapshot { updated_at, ..success(Some(link("a"))) };
    let second = SignedDuration::from_secs(1);
    assert_eq!(decide(&stored, Some(Kind::Updated), &at(Some(fetched() + second))), Some(Change::Recheck));
    assert_eq!(decide(&stored, None, &at(Some(fetched()))), None);
    assert_eq!(decide(&stored, Some(Kind::Updated), &at(Some(fetched() - second))), None);
    assert_eq!(decide(&stored, None, &at(None)), None);
    let unknown = Queued { fetched_updated_at: None, ..stored.clone() };
    assert_eq!(decide(&unknown, None, &at(Some(fetched()))), Some(Change::Recheck));
    assert_eq!(decide(&unknown, None, &at(None)), None);
    let without_link = TaskSnapshot { link: None, ..at(Some(fetched() + second)) };
    assert_eq!(decide(&stored, Some(Kind::Updated), &without_link), None, "there is nothing to look with");
}

#[test]
fn a_stored_task_is_looked_at_again_at_most_once_a_day() {
    let newer = TaskSnapshot { updated_at: Some(fetched() + HOUR), ..success(Some(link("a"))) };
    let rechecked = |ago| Queued { rechecked_at: Some(now() - ago), ..queued(DownloadState::Stored) };
    assert_eq!(decide(&rechecked(DAY), None, &newer), Some(Change::Recheck));
    assert_eq!(decide(&rechecked(DAY - MINUTE), None, &newer), None);
    // It was something else meanwhile: that is work on it too, and rests as long.
    let same = success(Some(link("a")));
    assert_eq!(decide(&rechecked(DAY), Some(Kind::Status), &same), Some(Change::Recheck));
    assert_eq!(decide(&rechecked(DAY - MINUTE), Some(Kind::Status), &same), None);
    assert_eq!(decide(&rechecked(DAY), Some(Kind::Relisted), &same), None);
}

#[test]
fn a_reissued_id_is_looked_at_whenever_it_was_last() {
    let same = success(Some(link("a")));
    let stored = |reissued: Option<Timestamp>, rechecked| Queued {
        reissued_at: reissued,
        rechecked_at: rechecked,
        ..queued(DownloadState::Stored)
    };
    let recent = Some(now() - HOUR);
    assert_eq!(decide(&stored(None, recent), Some(Kind::Reissued), &same), Some(Change::Recheck));
    assert_eq!(decide(&stored(None, recent), Some(Kind::Reissued), &success(None)), Some(Change::Note));
    // Noted earlier, when there was no link to look with.
    assert_eq!(decide(&stored(Some(now() - MINUTE), None), None, &same), Some(Change::Recheck));
    assert_eq!(decide(&stored(Some(now() - MINUTE), recent), None, &same), Some(Change::Recheck));
    assert_eq!(decide(&stored(recent, recent), None, &same), None, "it was looked at since");
    assert_eq!(decide(&stored(Some(now() - HOUR * 2), recent), None, &same), None);
    // Still not fetched after a day: again.
    assert_eq!(decide(&stored(Some(now() - DAY * 2), Some(now() - DAY)), None, &same), Some(Change::Recheck));
}

#[test]
fn what_was_given_up_comes_back_with_news_or_with_a_sweep_of_the_beat() {
    let abandoned = Queued { changed_at: now() - HOUR, ..queued(DownloadState::Abandoned) };
    let same = success(Some(link("a")));
    let revive = |before| on_listed(Some(&abandoned), None, &same, before, now());
    assert_eq!(revive(None), None);
    assert_eq!(revive(Some(now())), Some(Change::Restart));
    assert_eq!(revive(Some(now() - HOUR + MINUTE)), Some(Change::Restart));
    assert_eq!(revive(Some(now() - HOUR)), None, "it was given up in this very sweep");
    assert_eq!(revive(Some(now() - HOUR * 2)), None);
    for kind in [Kind::Status, Kind::Updated, Kind::Relisted, Kind::Reissued] {
        assert_eq!(decide(&abandoned, Some(kind), &same), Some(Change::Restart), "{kind:?}");
    }
}

#[test]
fn a_failure_counts_unless_a_link_only_grew_old() {
    let failed = |reason, age, again| after_failure(4, 20, reason, age, again).failures;
    assert_eq!(failed(Reason::Expired, LINK_YOUNG, false), 4);
    assert_eq!(failed(Reason::Expired, LINK_YOUNG - SignedDuration::from_millis(1), false), 5);
    assert_eq!(failed(Reason::Expired, HOUR, true), 5, "the listing gave the refused one again");
    for reason in Reason::ALL.into_iter().filter(|r| *r != Reason::Expired) {
        assert_eq!(failed(reason, HOUR, false), 5, "{reason}");
    }
    assert_eq!(after_failure(u32::MAX, 20, Reason::Http, HOUR, false).failures, u32::MAX);
}

#[test]
fn a_download_is_given_up_with_its_last_failure_and_asks_for_a_link_when_that_may_help() {
    for reason in Reason::ALL {
        let after = |failures| after_failure(failures, 3, reason, SignedDuration::ZERO, false);
        assert_eq!(after(1), AfterFailure { failures: 2, abandoned: false, ..after(1) });
        assert_eq!(after(2), AfterFailure { failures: 3, abandoned: true, ..after(2) });
        assert!(after(7).abandoned, "the bound was lowered meanwhile");
        let helps = matches!(reason, Reason::Expired | Reason::Gone | Reason::NoLink);
        assert_eq!(after(1).wants_link, helps, "{reason}");
    }
}
