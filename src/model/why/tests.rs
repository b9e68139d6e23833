use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const STATES: [DownloadState; 4] =
    [DownloadState::Pending, DownloadState::Active, DownloadState::Stored, DownloadState::Abandoned];

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
}

fn polls() -> Polls {
    Polls {
        last_poll_at: Some(at(-4)),
        last_beat_at: Some(at(-60)),
        sweep_due: false,
        is_failing: false,
        interval: 10 * MINUTE,
        full_sweep_interval: 360 * MINUTE,
    }
}

/// Listed as success, configured, in a program that runs and has room.
fn facts(download: Option<Download>) -> Facts {
    Facts {
        status: Status::Success,
        is_unlisted: false,
        changed_at: at(-30),
        download,
        listing: Some(Listing { polls: polls(), walk_interval: MINUTE }),
        is_running: Some(true),
        is_space_low: false,
        horizon: SignedDuration::from_hours(1),
    }
}

fn download(state: DownloadState) -> Download {
    Download {
        state,
        is_active: state == DownloadState::Active,
        has_link: matches!(state, DownloadState::Pending | DownloadState::Active),
        is_wanted: false,
        recheck: false,
        not_before: None,
        failures: 0,
        reason: None,
    }
}

fn short(facts: &Facts) -> (Verdict, Step, Due, Vec<Remedy>) {
    let answer = explain(facts, at(0));
    (answer.verdict, answer.next, answer.due, answer.remedies)
}

#[test]
fn without_a_download_the_status_and_the_listing_say_it() {
    let with = |status: &str, is_unlisted, changed| {
        let status = Status::parse(status).unwrap();
        short(&Facts { status, is_unlisted, changed_at: at(changed), ..facts(None) })
    };
    let (hours_47, hours_49) = (-47 * 60, -49 * 60);
    for word in ["created", "reticulating"] {
        assert_eq!(with(word, false, hours_47), (Verdict::Unfinished, Step::Poll, Due::At(at(6)), vec![]));
        assert_eq!(with(word, false, hours_49), (Verdict::Unwatched, Step::Sweep, Due::At(at(300)), vec![]));
        let gone = (Verdict::LeftEarly, Step::Nothing, Due::Never, vec![Remedy::CreateAgain]);
        assert_eq!(with(word, true, hours_47), gone);
    }
    let failed = (Verdict::FailedThere, Step::Nothing, Due::Never, vec![Remedy::CreateAgain]);
    assert_eq!(with("failed", false, 0), failed);
    assert_eq!(with("failed", true, 0), failed);
    assert_eq!(with("success", false, 0), (Verdict::Unqueued, Step::Poll, Due::At(at(6)), vec![]));
    assert_eq!(with("success", true, 0).0, Verdict::LeftEarly);
}

#[test]
fn what_waits_waits_for_a_link_for_its_time_for_room_or_for_its_turn() {
    let pending = download(DownloadState::Pending);
    let again = Download { recheck: true, has_link: true, ..download(DownloadState::Stored) };
    for waits in [pending, again] {
        let of = |d: Download| short(&facts(Some(d)));
        assert_eq!(of(waits), (Verdict::WaitsForTurn, Step::Attempt, Due::Now, vec![]));
        let timed = Download { not_before: Some(at(3)), failures: 2, reason: Some(Reason::Network), ..waits };
        assert_eq!(of(timed), (Verdict::WaitsForTime, Step::Attempt, Due::At(at(3)), vec![]));
        let past = Download { not_before: Some(at(-3)), ..waits };
        assert_eq!(of(past).0, Verdict::WaitsForTurn);
        let set_back = Download { not_before: Some(at(61)), ..waits };
        assert_eq!(of(set_back), (Verdict::WaitsForTurn, Step::Attempt, Due::Now, vec![]));
        let wanted = Download { has_link: false, is_wanted: true, ..waits };
        assert_eq!(of(wanted), (Verdict::WaitsForLink, Step::Walk, Due::Within(MINUTE), vec![]));
        let withdrawn = Download { has_link: false, ..waits };
        assert_eq!(of(withdrawn), (Verdict::Withdrawn, Step::Sweep, Due::At(at(300)), vec![]));
        let back_to = |status| short(&Facts { status, ..facts(Some(withdrawn)) }).1;
        assert_eq!((back_to(Status::Created), back_to(Status::Failed)), (Step::Poll, Step::Sweep));

        let gone = short(&Facts { is_unlisted: true, ..facts(Some(wanted)) });
        assert_eq!(gone, (Verdict::WaitsForNothing, Step::Walk, Due::Within(MINUTE), vec![Remedy::CreateAgain]));
        let full = short(&Facts { is_space_low: true, ..facts(Some(waits)) });
        assert_eq!(full, (Verdict::WaitsForSpace, Step::Attempt, Due::Now, vec![Remedy::FreeSpace]));
        let timed = short(&Facts { is_space_low: true, ..facts(Some(timed)) });
        assert_eq!(timed.0, Verdict::WaitsForTime);
    }
    assert!(explain(&facts(Some(again)), at(0)).is_again);
    assert!(!explain(&facts(Some(pending)), at(0)).is_again);
}

#[test]
fn a_cause_that_lies_in_the_configuration_is_named_before_it_is_given_up_and_any_other_after() {
    for reason in Reason::ALL {
        let failed = Download { failures: 1, reason: Some(reason), ..download(DownloadState::Pending) };
        let named = matches!(reason, Reason::TooLarge | Reason::RefusedHost);
        let expected = if named { vec![Remedy::MendCause(reason)] } else { vec![] };
        assert_eq!(short(&facts(Some(failed))).3, expected, "{reason}");
        // An earlier life of the download: its reason stays in the row.
        let fresh = Download { failures: 0, ..failed };
        assert_eq!(short(&facts(Some(fresh))).3, [], "{reason}");

        let abandoned = Download { failures: 20, reason: Some(reason), ..download(DownloadState::Abandoned) };
        let expected =
            (Verdict::Abandoned, Step::Revival, Due::At(at(300)), vec![Remedy::MendCause(reason), Remedy::Retry]);
        assert_eq!(short(&facts(Some(abandoned))), expected, "{reason}");
        let gone = short(&Facts { is_unlisted: true, ..facts(Some(abandoned)) });
        assert_eq!(gone, (Verdict::AbandonedGone, Step::Nothing, Due::Never, vec![Remedy::CreateAgain]), "{reason}");
        let withdrawn = short(&Facts { status: Status::Failed, ..facts(Some(abandoned)) });
        assert_eq!(withdrawn, (Verdict::AbandonedWithdrawn, Step::Sweep, Due::At(at(300)), vec![]), "{reason}");
    }
}

#[test]
fn an_attempt_is_under_way_only_while_something_runs() {
    let active = download(DownloadState::Active);
    let again = Download { recheck: true, is_active: true, has_link: true, ..download(DownloadState::Stored) };
    for d in [active, again] {
        let running = |is_running| short(&Facts { is_running, ..facts(Some(d)) });
        assert_eq!(running(Some(true)), (Verdict::Downloading, Step::End, Due::Now, vec![]));
        assert_eq!(running(None).0, Verdict::Downloading);
        assert_eq!(running(Some(false)), (Verdict::CutOff, Step::Attempt, Due::AtStart, vec![Remedy::Start]));
    }
}

#[test]
fn a_listing_that_cannot_be_read_holds_up_what_waits_for_it_and_nothing_else() {
    let failing = Some(Listing { polls: Polls { is_failing: true, ..polls() }, walk_interval: MINUTE });
    let of = |d| short(&Facts { listing: failing, ..facts(d) });
    let wanted = Download { has_link: false, is_wanted: true, ..download(DownloadState::Pending) };
    assert_eq!(of(Some(wanted)).3, [Remedy::MendListing]);
    let unfinished = short(&Facts { status: Status::Created, listing: failing, ..facts(None) });
    assert_eq!(unfinished.2, Due::Within(10 * MINUTE));
    assert_eq!(unfinished.3, [Remedy::MendListing]);
    assert_eq!(of(Some(download(DownloadState::Abandoned))).3, [Remedy::MendListing, Remedy::Retry]);
    assert_eq!(of(Some(download(DownloadState::Pending))).3, []);
    assert_eq!(of(Some(download(DownloadState::Stored))).3, []);
}

/// Everything that can be said of a task, in every combination.
fn every_case() -> Vec<Facts> {
    let reasons: Vec<_> = Reason::ALL.into_iter().map(Some).chain([None]).collect();
    let flags = [false, true];
    let mut downloads = vec![None];
    for state in STATES {
        for (is_active, has_link) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
            for (is_wanted, recheck) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
                for (reason, not_before) in reasons.iter().flat_map(|r| [None, Some(at(3))].map(|n| (*r, n))) {
                    let failures = u32::from(reason.is_some());
                    let d = Download { state, is_active, has_link, is_wanted, recheck, not_before, failures, reason };
                    // The states that the store does not have.
                    let is_one = (state == DownloadState::Active) <= is_active
                        && (state == DownloadState::Stored || !recheck)
                        && (!matches!(state, DownloadState::Pending | DownloadState::Abandoned) || !is_active)
                        && (state != DownloadState::Stored || !is_active || recheck);
                    downloads.extend(is_one.then_some(Some(d)));
                }
            }
        }
    }
    let mut cases = Vec::new();
    for download in downloads {
        for status in ["created", "success", "failed", "odd"] {
            let status = Status::parse(status).unwrap();
            for (is_unlisted, is_configured) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
                for is_running in [Some(true), Some(false), None] {
                    for (is_space_low, is_failing) in flags.into_iter().flat_map(|a| flags.map(|b| (a, b))) {
                        let listing = Listing { polls: Polls { is_failing, ..polls() }, walk_interval: MINUTE };
                        cases.push(Facts {
                            status: status.clone(),
                            is_unlisted,
                            listing: is_configured.then_some(listing),
                            is_running,
                            is_space_low,
                            ..facts(download)
                        });
                    }
                }
            }
        }
    }
    cases
}

#[test]
fn in_every_case_the_answer_agrees_with_itself() {
    let cases = every_case();
    assert!(cases.len() > 10_000, "{}", cases.len());
    let mut seen = BTreeSet::new();
    for facts in &cases {
        let answer = explain(facts, at(0));
        let Answer { verdict, next, due, remedies, .. } = &answer;
        seen.insert(verdict.as_str());
        let context = format!("{facts:?}\n{answer:?}");
        assert_eq!(*due == Due::Never, *next == Step::Nothing, "what comes has a time: {context}");
        let stands_still = facts.is_running == Some(false) && *next != Step::Nothing;
        assert_eq!(*due == Due::AtStart, stands_still, "nothing comes while nothing runs: {context}");
        assert_eq!(remedies.contains(&Remedy::Start), stands_still, "{context}");
        // Where nothing happens by itself a person learns what to do, or there is nothing to do.
        let is_over =
            matches!(verdict, Verdict::Stored | Verdict::Withdrawn | Verdict::Unwatched | Verdict::AbandonedWithdrawn);
        assert!(*next != Step::Nothing || is_over || !remedies.is_empty(), "{context}");
        let is_done = facts.download.is_some_and(|d| d.state == DownloadState::Stored && !d.recheck && !d.is_active);
        assert_eq!(*verdict == Verdict::Stored, is_done, "{context}");
        assert_eq!(*verdict == Verdict::Unconfigured, facts.listing.is_none() && !is_done, "{context}");
        let distinct: HashSet<_> = remedies.iter().collect();
        assert_eq!(distinct.len(), remedies.len(), "{context}");
    }
    // All but the one that only time makes: every case here changed half an hour ago.
    let all: BTreeSet<_> = Verdict::ALL.iter().map(|v| v.as_str()).collect();
    assert_eq!(all.difference(&seen).collect::<Vec<_>>(), [&Verdict::Unwatched.as_str()]);
}
