//! Sweep plans over listings that lie, shift and shuffle.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A listing as a service might hold it, and how it answers.
struct Listing {
    ids: Vec<u128>,
    order: Order,
    clamp: u32,
    echoes: bool,
    calls: u64,
    total: fn(&Self) -> Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Order {
    Added,
    Newest,
    Shuffled,
}

impl Listing {
    fn of(count: u64) -> Self {
        let ids = (1..=count).map(|n| id_key(&n.to_string())).collect();
        Self { ids, order: Order::Added, clamp: 50, echoes: true, calls: 0, total: |l| Some(l.ids.len() as u64) }
    }

    fn page(&mut self, number: u32, asked: u32) -> PageFacts {
        self.calls += 1;
        let mut rows = self.ids.clone();
        match self.order {
            Order::Added => {}
            Order::Newest => rows.reverse(),
            Order::Shuffled => {
                // A different order at every call: a multiplicative walk over the rows.
                let salt = u128::from(self.calls).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
                rows.sort_by_key(|k| k.wrapping_mul(salt | 1));
            }
        }
        let size = asked.min(self.clamp);
        let from = (number as usize - 1) * size as usize;
        let keys = rows.into_iter().skip(from).take(size as usize).collect();
        PageFacts { total: (self.total)(self), size: self.echoes.then_some(size), keys, has_unreadable: false }
    }
}

/// Runs a sweep with so many pages in flight; `between` changes the listing between two answers.
fn run(listing: &mut Listing, asked: u32, concurrency: usize, mut between: impl FnMut(&mut Listing, u64)) -> Verdict {
    let mut sweep = Sweep::new(asked);
    let mut flight: VecDeque<(u32, PageFacts)> = VecDeque::new();
    for _ in 0..1_000_000 {
        match if flight.len() < concurrency { sweep.next() } else { Next::Wait } {
            Next::Read(page) => {
                let facts = listing.page(page, asked);
                flight.push_back((page, facts));
            }
            Next::Done => return sweep.verdict(),
            Next::Wait => {
                // Answers arrive out of order: the newest first, now and then.
                let turn = if listing.calls.is_multiple_of(3) { flight.pop_back() } else { flight.pop_front() };
                let (page, facts) = turn.expect("a sweep that waits has something in flight");
                sweep.answer(page, facts);
                let calls = listing.calls;
                between(listing, calls);
            }
        }
    }
    panic!("the sweep never ends");
}

fn still(_: &mut Listing, _: u64) {}

proptest! {
    #[test]
    fn a_listing_that_stands_still_is_consistent_and_whole(
        count in 0_u64..400, asked in 1_u32..=50, clamp in 1_u32..=50, concurrency in 1_usize..6, newest: bool, echoes: bool,
    ) {
        let mut listing = Listing { clamp, echoes, ..Listing::of(count) };
        listing.order = if newest { Order::Newest } else { Order::Added };
        let verdict = run(&mut listing, asked, concurrency, still);
        prop_assert_eq!(verdict.seen.len() as u64, count);
        prop_assert_eq!(verdict.total, Some(count));
        // A clamp that is not echoed hides which page is the last; then one cannot prove that nothing moved.
        if echoes || clamp >= asked || count <= u64::from(clamp) {
            prop_assert!(verdict.consistent);
        }
    }

    #[test]
    fn what_any_pass_saw_counts_as_seen_and_a_shuffled_listing_never_as_consistent_unless_all_was_seen(
        count in 0_u64..300, concurrency in 1_usize..6,
    ) {
        let mut listing = Listing { order: Order::Shuffled, ..Listing::of(count) };
        let verdict = run(&mut listing, 50, concurrency, still);
        if verdict.consistent {
            prop_assert_eq!(verdict.seen.len() as u64, count);
        }
    }

    #[test]
    fn a_row_that_goes_or_comes_on_the_way_never_gives_a_consistent_pass_that_lacks_a_row_that_stayed(
        count in 60_u64..400, concurrency in 1_usize..5, at in 1_u64..12, victim in 0_usize..60, newest: bool, adds: bool,
    ) {
        let mut listing = Listing::of(count);
        listing.order = if newest { Order::Newest } else { Order::Added };
        let before = listing.ids.clone();
        let mut changed = None;
        let verdict = run(&mut listing, 50, concurrency, |l, calls| {
            if calls == at && changed.is_none() {
                if adds {
                    l.ids.push(id_key("new"));
                    changed = Some(None);
                } else {
                    changed = Some(Some(l.ids.remove(victim)));
                }
            }
        });
        let removed = changed.flatten();
        if verdict.consistent {
            for key in before.iter().filter(|k| Some(**k) != removed) {
                prop_assert!(verdict.seen.0.contains(key));
            }
        }
    }
}

#[test]
fn a_change_during_the_first_pass_is_mended_by_the_second() {
    let mut listing = Listing { order: Order::Newest, ..Listing::of(200) };
    let verdict = run(&mut listing, 50, 1, |l, calls| {
        if calls == 2 {
            l.ids.push(id_key("new"));
        }
    });
    assert!(verdict.consistent);
    assert_eq!(verdict.seen.len(), 201);
    assert!(listing.calls <= 6 + 7 + BARREN_PAGES_MAX as u64, "{} calls", listing.calls);
}

#[test]
fn a_status_that_moves_does_not_make_a_sweep_inconsistent_because_only_ids_are_compared() {
    let mut listing = Listing::of(120);
    assert!(run(&mut listing, 50, 4, still).consistent);
    assert_eq!(listing.calls, 3 + 2, "three pages, the first and the last once more");
}

#[test]
fn one_page_alone_is_read_once() {
    for count in [0, 1, 49, 50] {
        let mut listing = Listing::of(count);
        let verdict = run(&mut listing, 50, 4, still);
        assert!(verdict.consistent);
        assert_eq!((listing.calls, verdict.seen.len() as u64, verdict.seen.is_empty()), (1, count, count == 0));
    }
}

/// (what, rows, its total, the most calls that it may cost)
type Lie = (&'static str, u64, fn(&Listing) -> Option<u64>, u64);

#[test]
fn a_total_that_lies_costs_a_bounded_number_of_calls_and_is_never_consistent() {
    let passes = u64::from(PASSES_MAX);
    let lies: [Lie; 5] = [
        ("10^12", 120, |_| Some(1_000_000_000_000), passes * (3 + 8 + 4)),
        ("missing", 120, |_| None, passes * 4),
        ("too small", 120, |_| Some(60), passes * 4),
        ("zero", 120, |_| Some(0), passes * 4),
        ("moving", 120, |l| Some(100 + l.calls), passes * 4),
    ];
    for (what, rows, total, calls_max) in lies {
        for concurrency in [1, 4] {
            let mut listing = Listing { total, ..Listing::of(rows) };
            let verdict = run(&mut listing, 50, concurrency, still);
            assert!(!verdict.consistent, "{what}");
            assert!(listing.calls <= calls_max, "{what}: {} calls", listing.calls);
            if matches!(what, "10^12" | "missing") {
                assert_eq!(verdict.seen.len() as u64, rows, "{what}: every row is seen all the same");
            }
        }
    }
}

#[test]
fn the_same_page_for_ever_ends() {
    let mut sweep = Sweep::new(50);
    let keys: Vec<u128> = (0..50).map(|n| id_key(&n.to_string())).collect();
    let mut calls = 0;
    while let Next::Read(page) = sweep.next() {
        calls += 1;
        sweep.answer(
            page,
            PageFacts { total: Some(5_000_000), size: Some(50), keys: keys.clone(), has_unreadable: false },
        );
    }
    assert_eq!(calls, PASSES_MAX * (1 + BARREN_PAGES_MAX));
    let verdict = sweep.verdict();
    assert_eq!((verdict.consistent, verdict.seen.len()), (false, 50));
}

#[test]
fn an_empty_page_in_the_middle_is_walked_over_and_the_sweep_repeated() {
    let mut listing = Listing::of(200);
    let mut sweep = Sweep::new(50);
    let mut emptied = 0;
    let mut pages = Vec::new();
    while let Next::Read(page) = sweep.next() {
        pages.push(page);
        let mut facts = listing.page(page, 50);
        if page == 2 && emptied < 1 {
            emptied += 1;
            facts.keys.clear();
        }
        sweep.answer(page, facts);
    }
    assert!(pages.starts_with(&[1, 2, 3, 4, 5]), "{pages:?}");
    let verdict = sweep.verdict();
    assert_eq!((verdict.consistent, verdict.seen.len()), (true, 200));
}

#[test]
fn a_smaller_page_size_than_asked_for_loses_no_row() {
    for echoes in [true, false] {
        let mut listing = Listing { clamp: 20, echoes, ..Listing::of(205) };
        let verdict = run(&mut listing, 50, 4, still);
        assert_eq!(verdict.seen.len(), 205, "echoes: {echoes}");
    }
}

#[test]
fn a_listing_that_is_suddenly_empty_or_under_half_is_suspect_for_a_day() {
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let day_before = now - SUSPECT_FOR;
    let suspect = |previous| Total::Suspect { previous, since: now };
    assert_eq!(judge_total(0, Some(1), None, now), suspect(1));
    assert_eq!(judge_total(9, Some(20), None, now), suspect(20));
    assert_eq!(judge_total(10, Some(20), None, now), Total::Plausible);
    assert_eq!(judge_total(1, Some(19), None, now), Total::Plausible);
    assert_eq!(judge_total(0, Some(0), None, now), Total::Plausible);
    assert_eq!(judge_total(0, None, None, now), Total::Plausible);
    assert_eq!(judge_total(0, Some(5), Some(day_before), now), Total::Plausible, "a day later it is taken as true");
    let hour = day_before + SignedDuration::from_hours(1);
    assert_eq!(judge_total(0, Some(5), Some(hour), now), Total::Suspect { previous: 5, since: hour });
}

#[test]
fn a_suspicion_that_lies_ahead_of_the_clock_begins_anew_and_lasts_a_day() {
    let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    let ahead = now + SignedDuration::from_hours(24 * 365);
    assert_eq!(judge_total(0, Some(5), Some(ahead), now), Total::Suspect { previous: 5, since: now });
    assert_eq!(judge_total(0, Some(5), Some(now), now + SUSPECT_FOR), Total::Plausible);
}

#[test]
fn two_consistent_sweeps_far_enough_apart_make_a_task_unlisted() {
    let began: Timestamp = "2026-01-01T00:10:00Z".parse().unwrap();
    let minute = SignedDuration::from_mins(1);
    assert_eq!(judge_missing(None, began, minute), Missing::Remember);
    assert_eq!(judge_missing(Some(began - SignedDuration::from_secs(59)), began, minute), Missing::TooSoon);
    assert_eq!(judge_missing(Some(began - minute), began, minute), Missing::Unlist);
    assert_eq!(judge_missing(Some(began), began, minute), Missing::TooSoon, "the same sweep");
    assert_eq!(judge_missing(Some(began + minute), began, minute), Missing::Remember, "the clock was set back");
}

/// A page of a listing of `1..=total` with so many rows a page.
fn page_of(page: u32, size: u32, total: u32) -> PageFacts {
    let keys = (1..=total).skip(((page - 1) * size) as usize).take(size as usize);
    let keys = keys.map(|n| id_key(&n.to_string())).collect();
    PageFacts { total: Some(total.into()), size: Some(size), keys, has_unreadable: false }
}

/// Everything that it asks for without waiting for an answer.
fn asked(sweep: &mut Sweep) -> Vec<u32> {
    let mut pages = Vec::new();
    while let Next::Read(page) = sweep.next() {
        pages.push(page);
    }
    pages
}

#[test]
fn an_id_is_known_by_the_first_half_of_its_hash() {
    assert_eq!(id_key("1"), 0x6b86_b273_ff34_fce1_9d6b_804e_ff5a_3f57);
    let mut set = IdSet::default();
    assert!(set.insert(id_key("1")) && !set.insert(id_key("1")));
    assert!(set.contains("1") && !set.contains("2"));
}

#[test]
fn pages_are_asked_for_together_once_the_first_says_how_many_there_are() {
    let mut sweep = Sweep::new(50);
    assert_eq!(asked(&mut sweep), [1]);
    sweep.answer(1, page_of(1, 50, 200));
    assert_eq!(asked(&mut sweep), [2, 3, 4]);
    // The last is what it is, in whatever order the answers come.
    for page in [4, 3, 2] {
        assert_eq!(sweep.next(), Next::Wait);
        sweep.answer(page, page_of(page, 50, 200));
    }
    assert_eq!(asked(&mut sweep), [1, 4], "the first and the last are read again");
    for page in [1, 4] {
        sweep.answer(page, page_of(page, 50, 200));
    }
    assert_eq!((sweep.next(), sweep.pass()), (Next::Done, 1));
    assert!(sweep.verdict().consistent);
}

#[test]
fn a_first_or_last_page_that_shows_something_else_when_it_is_read_again_costs_another_pass() {
    let (first, last) = (page_of(1, 50, 120), page_of(3, 50, 120));
    let swapped = |facts: &PageFacts| PageFacts { keys: facts.keys.iter().rev().copied().collect(), ..facts.clone() };
    let moved = |facts: &PageFacts| PageFacts { total: Some(121), ..facts.clone() };
    for (first_again, last_again) in [
        (swapped(&first), last.clone()),
        (moved(&first), last.clone()),
        (first.clone(), swapped(&last)),
        (first.clone(), moved(&last)),
        (swapped(&first), swapped(&last)),
    ] {
        // Both in flight at once, and one after the other.
        for together in [true, false] {
            let mut sweep = Sweep::new(50);
            for page in 1..=3 {
                assert_eq!(sweep.next(), Next::Read(page));
                sweep.answer(page, page_of(page, 50, 120));
            }
            assert_eq!(sweep.next(), Next::Read(1));
            if together {
                assert_eq!(sweep.next(), Next::Read(3));
            }
            sweep.answer(1, first_again.clone());
            if !together {
                assert_eq!(sweep.next(), Next::Read(3));
            }
            assert_eq!(sweep.next(), Next::Wait);
            sweep.answer(3, last_again.clone());
            assert_eq!((sweep.next(), sweep.pass()), (Next::Read(1), 2));
        }
    }
}

#[test]
fn no_page_is_asked_for_beyond_the_last_number_that_the_service_documents() {
    let mut sweep = Sweep::new(1);
    let (mut calls, mut highest) = (0, 0);
    while let Next::Read(page) = sweep.next() {
        calls += 1;
        highest = highest.max(page);
        let facts = PageFacts { total: Some(u64::MAX), size: None, keys: vec![calls], has_unreadable: false };
        sweep.answer(page, facts);
    }
    assert_eq!((highest, calls), (PAGE_NUMBER_MAX, u128::from(PAGE_NUMBER_MAX * PASSES_MAX)));
}

#[test]
fn a_row_that_cannot_be_read_is_remembered_to_the_end() {
    let mut sweep = Sweep::new(50);
    while let Next::Read(page) = sweep.next() {
        sweep.answer(page, PageFacts { has_unreadable: page == 2, ..page_of(page, 50, 150) });
    }
    assert!(sweep.verdict().has_unreadable);
}

#[test]
fn an_echoed_page_size_that_makes_no_sense_is_not_believed() {
    for size in [Some(0), Some(51), Some(u32::MAX), None] {
        let mut sweep = Sweep::new(50);
        let mut calls = 0;
        while let Next::Read(page) = sweep.next() {
            calls += 1;
            sweep.answer(page, PageFacts { size, ..page_of(page, 50, 200) });
        }
        assert_eq!((calls, sweep.verdict().consistent), (4 + 2, true), "{size:?}");
    }
}

#[test]
fn a_service_that_echoes_less_than_it_gives_is_read_to_its_last_page() {
    let mut sweep = Sweep::new(50);
    while let Next::Read(page) = sweep.next() {
        let facts = page_of(page, 50, 50);
        sweep.answer(page, PageFacts { size: Some(20), ..facts });
    }
    let verdict = sweep.verdict();
    assert_eq!((verdict.consistent, verdict.seen.len()), (true, 50));
}

#[test]
fn rows_beyond_the_page_that_should_be_the_last_are_read_and_prove_nothing() {
    // Pages are cut at 20 without a word of it.
    let mut sweep = Sweep::new(50);
    while let Next::Read(page) = sweep.next() {
        sweep.answer(page, PageFacts { size: None, ..page_of(page, 20, 30) });
    }
    let verdict = sweep.verdict();
    assert_eq!((verdict.consistent, verdict.seen.len()), (false, 30));
}
