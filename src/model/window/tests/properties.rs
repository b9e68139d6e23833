//! The rule, by property.

use proptest::{prelude::*, sample::subsequence};

use super::{super::span::without, *};

/// Hours of January 2026 in Beijing, so that ranges meet, overlap and leave gaps.
const BEGIN: &str = "2025-12-31T16:00:00Z";

fn any_task() -> impl Strategy<Value = TaskFacts> {
    let status = prop_oneof![Just("created"), Just("success"), Just("failed"), Just("odd")];
    let state = proptest::option::of(prop_oneof![
        4 => Just(DownloadState::Stored),
        1 => Just(DownloadState::Pending),
        1 => Just(DownloadState::Active),
        1 => Just(DownloadState::Abandoned),
    ]);
    let range = proptest::option::weighted(0.9, (-48_i64..800, 0_i64..400, 0_i64..2));
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    let born = prop_oneof![2 => Just(900_i64), 1 => 0_i64..800];
    (0_u32..1000, status, state, range, 0_u32..3, "[ab]", flags, (born, 0_i64..3)).prop_map(
        |(id, status, state, range, revisions, sha, (unlisted, reissued, has_creation), (born, age))| {
            let begin = at(BEGIN);
            let hour = |n: i64| begin + SignedDuration::from_hours(n);
            let range = range.map(|(from, hours, inclusive)| {
                (hour(from), hour(from + hours) - SignedDuration::from_secs(inclusive))
            });
            let revisions = match state {
                Some(DownloadState::Stored) => revisions.max(1),
                _ => 0,
            };
            TaskFacts {
                id: TaskId::parse(&id.to_string()).unwrap(),
                name: (id % 5 == 0).then(|| "other".to_owned()),
                status: Status::parse(status).unwrap(),
                created_at: has_creation.then(|| hour(born)),
                first_seen_at: hour(born.max(900) + age),
                range,
                unlisted_at: unlisted.then(|| hour(1000)),
                download: state.map(|state| DownloadFacts { state, reason: None, reissued }),
                files: (1..=revisions)
                    .map(|r| file(&id.to_string(), r, &format!("{sha}{r}"), "20251231T160000Z_20260115T155959Z"))
                    .collect(),
            }
        },
    )
}

fn tasks() -> impl Strategy<Value = Vec<TaskFacts>> {
    proptest::collection::vec(any_task(), 0..12).prop_map(|mut tasks| {
        tasks.sort_by(|a, b| a.id.cmp(&b.id));
        tasks.dedup_by(|a, b| a.id == b.id);
        tasks
    })
}

/// Archived and restated are equally good.
fn rank(state: State) -> State {
    if state == State::Restated { State::Archived } else { state }
}

fn january(kind: Kind) -> Expectation {
    Expectation { name: NamePattern::new("*"), ..expect(kind, date(2026, 1, 1)) }
}

/// From a month after to a year and two months after, where windows fade.
fn some_now() -> impl Strategy<Value = Timestamp> {
    (31_i64 * 24..426 * 24).prop_map(|hours| at(BEGIN) + SignedDuration::from_hours(hours))
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Month), Just(Kind::Day)]
}

fn sum(spans: &[Span]) -> SignedDuration {
    spans.iter().map(|span| span.length()).sum()
}

proptest! {
    #[test]
    fn what_counts_and_what_lacks_are_the_window(tasks in tasks(), now in some_now(), kind in kind()) {
        for w in assess(&january(kind), &tasks, now, &HORIZON).windows {
            let window = w.window.span;
            let counted: Vec<Span> = w.counts.iter().map(|c| c.range).collect();
            prop_assert_eq!(&window.without(counted), &w.lacking);
            prop_assert_eq!(w.state.is_complete(), w.lacking.is_empty());
            prop_assert_eq!(w.state == State::Restated, w.state.is_complete() && !w.superseded.is_empty());
            // What is lost and what is to be created are parts of what lacks, and have nothing in common.
            let mended: Vec<Span> = w.lost.iter().chain(&w.to_create).copied().collect();
            prop_assert_eq!(sum(&without(&w.lacking, &mended)) + sum(&mended), sum(&w.lacking));
            prop_assert!(w.undelivered.iter().all(|u| u.fate != Fate::Stored));
            prop_assert!(w.lacking.windows(2).all(|pair| pair[0].end() < pair[1].start()));
            // What lacks has a deadline, or is too late.
            prop_assert_eq!(w.export_by.is_none(), w.lacking.iter().all(|part| HORIZON.open(*part, now).is_none()));
            // No file has what came about after its task was created.
            let born = |id: &TaskId| tasks.iter().find(|task| task.id == *id).map(TaskFacts::born_at);
            prop_assert!(w.counts.iter().all(|c| Some(c.range.end()) <= born(&c.task)));
        }
    }

    #[test]
    fn another_archived_task_makes_no_window_worse(
        tasks in tasks(), from in 0_i64..800, hours in 1_i64..800, now in some_now(), kind in kind(), sha in "[ab]1",
    ) {
        let start = at(BEGIN) + SignedDuration::from_hours(from);
        let end = start + SignedDuration::from_hours(hours);
        let mut more = tasks.clone();
        more.push(stored("5001", (&start.to_string(), &end.to_string()), &sha));
        let before = assess(&january(kind), &tasks, now, &HORIZON).windows;
        let after = assess(&january(kind), &more, now, &HORIZON).windows;
        prop_assert_eq!(before.len(), after.len());
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(rank(after.state) <= rank(before.state), "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn the_order_of_the_tasks_does_not_matter(
        (one, other) in tasks().prop_flat_map(|tasks| (Just(tasks.clone()), Just(tasks).prop_shuffle())),
        now in some_now(), kind in kind(),
    ) {
        prop_assert_eq!(
            assess(&january(kind), &one, now, &HORIZON),
            assess(&january(kind), &other, now, &HORIZON)
        );
    }

    #[test]
    fn what_touches_no_window_changes_none(tasks in tasks(), now in some_now(), kind in kind()) {
        // As the store leaves out what ended before the first window.
        let begin = at(BEGIN);
        let ended = |task: &TaskFacts| {
            let before = |span: Option<Span>| span.is_none_or(|s| s.end() <= begin);
            task.range.is_some() && before(task.asked()) && task.archived().all(|(_, span)| span.end() <= begin)
        };
        let fewer: Vec<TaskFacts> = tasks.iter().filter(|task| !ended(task)).cloned().collect();
        prop_assert_eq!(
            assess(&january(kind), &tasks, now, &HORIZON).windows,
            assess(&january(kind), &fewer, now, &HORIZON).windows
        );
    }

    #[test]
    fn time_alone_only_makes_worse(tasks in tasks(), now in some_now(), hours in 0_i64..10_000, kind in kind()) {
        let later = now + SignedDuration::from_hours(hours);
        let (before, after) =
            (assess(&january(kind), &tasks, now, &HORIZON), assess(&january(kind), &tasks, later, &HORIZON));
        for (before, after) in before.windows.iter().zip(&after.windows) {
            prop_assert!(before.state <= after.state, "{:?} became {:?}", before, after);
        }
    }

    #[test]
    fn each_instant_belongs_to_exactly_one_window(
        zone in prop_oneof![
            Just("CST-8"), Just("EST5EDT,M3.2.0,M11.1.0"), Just("EET-2EEST,M4.5.5/0,M10.5.4/24"), Just("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0"),
        ],
        kind in kind(), year in 2015_i16..2100, month in 1_i8..=12, instant in 0_i64..400 * 86_400,
    ) {
        let expectation = Expectation { zone: TimeZone::posix(zone).unwrap(), ..expect(kind, date(year, month, 1)) };
        let now = expectation.zone.to_timestamp(date(year + 2, month, 1).at(0, 0, 0, 0)).unwrap();
        let windows: Vec<Window> = expectation.windows(now).collect();
        let instant = windows[0].span.start() + SignedDuration::from_secs(instant);
        prop_assert_eq!(windows.iter().filter(|w| w.span.start() <= instant && instant < w.span.end()).count(), 1);
        prop_assert!(windows.windows(2).all(|pair| pair[0].span.end() == pair[1].span.start()));
        prop_assert!(windows.iter().all(|w| expectation.zone.to_datetime(w.span.start()).date() == w.date));
        prop_assert_eq!(windows.last().unwrap().span.end(), now);
    }

    #[test]
    fn a_pattern_of_plain_text_and_stars_fits_as_its_pieces_do(pieces in proptest::collection::vec("[ab]{0,2}", 1..4), name in "[ab]{0,8}") {
        let pattern = NamePattern::new(&pieces.join("*"));
        let mut rest = Some(name.as_str());
        let last = pieces.len() - 1;
        for (i, piece) in pieces.iter().enumerate() {
            rest = rest.and_then(|rest| match (i == 0, i == last) {
                (true, true) => (rest == piece).then_some(""),
                (true, false) => rest.strip_prefix(piece.as_str()),
                (false, true) => rest.ends_with(piece.as_str()).then_some(""),
                (false, false) => rest.find(piece.as_str()).map(|at| &rest[at + piece.len()..]),
            });
        }
        prop_assert_eq!(pattern.fits(Some(&name)), rest.is_some());
    }

    #[test]
    fn every_subset_of_tasks_is_judged_without_a_panic(tasks in tasks().prop_flat_map(|t| { let n = t.len(); subsequence(t, 0..=n) }), seconds in any::<i32>()) {
        let now = Timestamp::from_second(i64::from(seconds)).unwrap();
        for w in assess(&january(Kind::Month), &tasks, now, &HORIZON).windows {
            prop_assert!(!words::why(&w).is_empty());
            let steps = words::advice(&w, Export::UsageDetail, None, now).len();
            // A month may be an hour longer than an export.
            prop_assert!(steps <= w.undelivered.len() + 2 * w.to_create.len());
        }
    }
}
