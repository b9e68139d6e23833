//! Listings whose counters and pages do not fit together.

use cloudsim::{GatewayFault, GatewayMatch, Order, PastEnd, TaskSpec};

use super::assert_nothing_lost;
use crate::common::{DETAIL, MAIN, Running, World};

/// The most calls that one poll of a small listing may need, whatever the service says: three passes of the pages
/// there are and of eight barren ones, with those that are in flight when they end.
const CALLS_MAX: u64 = 60;

/// A daemon that has stored so many tasks, a few of them to a page.
async fn settled(world: &mut World, count: usize) -> Running {
    world.set("poll.page_size", "10");
    for n in 1..=count {
        world.add_small(&[&n.to_string()]);
    }
    let daemon = world.daemon().await;
    world.until_stored(&daemon, count).await;
    daemon
}

/// Waits until two sweeps, which could make a task unlisted, and a quick poll are done that began after now, and asserts
/// that each had an end.
async fn assert_bounded(daemon: &Running, name: &str) {
    let before = daemon.events("poll.completed").len() + 1;
    let since = || daemon.events("poll.completed").into_iter().skip(before).collect::<Vec<_>>();
    let count = |mode: &str| since().iter().filter(|p| p["mode"] == mode).count();
    daemon
        .until(&format!("{name}: two sweeps and a quick poll end"), async || count("full") >= 2 && count("quick") >= 1)
        .await;
    let dear: Vec<_> = since().into_iter().filter(|p| p["calls"].as_u64().unwrap() > CALLS_MAX).collect();
    assert!(dear.is_empty(), "{name}: {dear:?}");
}

/// Has each fault bend pages for some polls, at a service that says this of pages beyond the last: the polls end, nothing
/// fails, nothing is taken to be gone, and what is new is stored.
async fn assert_endured(past_end: PastEnd, faults: Vec<(&str, GatewayMatch, GatewayFault)>) {
    let mut world = World::hasty().await;
    for (key, time) in [("interval", "10ms"), ("idle_interval", "10ms"), ("full_sweep_interval", "50ms")] {
        world.set(&format!("poll.{key}"), &format!("{time:?}"));
    }
    world.cloud.settings().set_past_end(past_end);
    let daemon = settled(&mut world, 25).await;
    let count = faults.len();
    for (n, (name, pages, fault)) in faults.into_iter().enumerate() {
        world.cloud.script_gateway(pages, fault, u32::MAX);
        world.add_small(&[name]);
        assert_bounded(&daemon, name).await;
        world.cloud.clear_scripts();
        let stored = 25 + n + 1;
        daemon
            .until(&format!("{name} is over and all is stored"), async || world.count("stored").await == stored)
            .await;
        let failed = daemon.events("poll.failed");
        assert!(failed.is_empty(), "{name}: {failed:?}");
    }
    assert_nothing_lost(&world, daemon, i64::try_from(25 + count).unwrap()).await;
}

#[tokio::test]
async fn a_total_that_is_absurd_negative_or_missing_costs_few_calls_and_no_task() {
    let total = |name: &'static str, token: &str| {
        (name, GatewayMatch::Any, GatewayFault::Total(Some(token.to_owned()).filter(|t| !t.is_empty())))
    };
    let faults = vec![
        total("a million millions", "1000000000000"),
        total("more pages than there are numbers", "999999999"),
        total("a million", "1000000"),
        total("negative", "-1"),
        total("one", "1"),
        total("a word", "\"many\""),
        total("null", "null"),
        total("missing", ""),
    ];
    assert_endured(PastEnd::Error, faults).await;
}

#[tokio::test]
async fn pages_that_repeat_each_other_or_are_empty_or_short_cost_few_calls_and_no_task() {
    let any = |name, fault| (name, GatewayMatch::Any, fault);
    let faults = vec![
        any("the same page for ever", GatewayFault::SamePage(1)),
        any("every row twice", GatewayFault::RepeatRows),
        ("an empty page in the middle", GatewayMatch::Page(2), GatewayFault::EmptyPage),
        ("an empty page at the end", GatewayMatch::Page(3), GatewayFault::EmptyPage),
        ("rows missing from a page", GatewayMatch::Page(1), GatewayFault::DropRows(4)),
    ];
    assert_endured(PastEnd::Empty, faults).await;
}

#[tokio::test]
async fn a_page_size_smaller_than_asked_for_is_paged_by_and_a_wrong_one_is_survived() {
    let any = |name, fault| (name, GatewayMatch::Any, fault);
    let echo = |token: &str| GatewayFault::EchoPageSize(token.to_owned());
    let faults = vec![
        any("fewer than asked for", GatewayFault::ServeFewer(3)),
        any("one echoed", echo("1")),
        any("none echoed", echo("0")),
        any("less than none echoed", echo("-5")),
        any("a word echoed", echo("\"all\"")),
        any("too many echoed", echo("1000000")),
    ];
    assert_endured(PastEnd::LastPage, faults).await;
}

#[tokio::test]
async fn what_a_bent_page_hides_is_found_by_the_same_sweep_if_the_next_pass_shows_it() {
    let mut world = World::start().await;
    world.set("poll.page_size", "10");
    for n in 1..=35 {
        world.add_small(&[&n.to_string()]);
    }
    world.cloud.script_gateway(GatewayMatch::Page(2), GatewayFault::EmptyPage, 1);
    let run = world.once(0).await;
    assert_eq!(world.published().len(), 35, "{run}");
    let poll = run.event("poll.completed");
    assert_eq!((poll["consistent"].as_bool(), poll["tasks"].as_u64()), (Some(true), Some(35)));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_service_that_refuses_pages_beyond_the_last_fails_no_poll_when_a_listing_shrinks() {
    let mut world = World::start().await;
    world.set("poll.page_size", "10");
    world.cloud.settings().set_past_end(PastEnd::Error);
    let add = |status: &str, count: usize| {
        world.cloud.add_tasks(MAIN, DETAIL, (0..count).map(|_| TaskSpec::default().with_status(status)))
    };
    // A task that polls look for on page 5, and soon there are only four.
    let before = add("failed", 44);
    add("created", 1);
    add("failed", 15);
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 2).await;
    for id in &before[..25] {
        world.cloud.remove_task(MAIN, DETAIL, id).unwrap();
    }
    world.add_small(&["1"]);
    world.until_stored(&daemon, 1).await;
    daemon.await_more("poll.completed", 3).await;
    assert!(daemon.events("poll.failed").is_empty(), "{:?}", daemon.events("poll.failed"));
    world.assert_all_stored(daemon, 1).await;
}

#[tokio::test]
async fn many_new_tasks_of_a_listing_that_does_not_count_them_are_all_found_at_once() {
    for total in [None, Some("1".to_owned())] {
        let mut world = World::start().await;
        world.set("poll.page_size", "10");
        world.cloud.settings().set_order(Order::NewestFirst);
        world.add_small(&["0"]);
        let daemon = world.daemon().await;
        world.until_stored(&daemon, 1).await;
        daemon.await_more("poll.completed", 2).await;
        world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::Total(total.clone()), u32::MAX);
        daemon.await_more("poll.completed", 2).await;
        let tasks = (1..=25).map(|n: u32| TaskSpec::default().with_id(n.to_string()));
        world.cloud.add_tasks(MAIN, DETAIL, tasks);
        daemon.until(&format!("with {total:?} all are stored"), async || world.count("stored").await == 26).await;
        assert_nothing_lost(&world, daemon, 26).await;
    }
}

#[tokio::test]
async fn a_listing_that_is_empty_or_half_for_a_while_is_suspect_and_goes_on_as_if_nothing_had_been() {
    let mut world = World::hasty().await;
    let daemon = settled(&mut world, 25).await;
    daemon.await_events("poll.completed", 3).await;
    let empty =
        r#"{"RequestId":"R","UsageDataPerPage":{"TotalCount":0,"PageNumber":1,"PageSize":10,"Data":{"DataItem":[]}}}"#;
    let empty = GatewayFault::Body { status: 200, content_type: "application/json".to_owned(), body: empty.into() };
    let half = [GatewayFault::Total(Some("10".to_owned())), GatewayFault::EmptyPage];
    let suspects = || daemon.events("poll.suspect");
    for (n, total) in [0, 10].into_iter().enumerate() {
        let before = suspects().len();
        if n == 0 {
            world.cloud.script_gateway(GatewayMatch::Any, empty.clone(), u32::MAX);
        } else {
            world.cloud.script_gateway(GatewayMatch::Page(1), half[0].clone(), u32::MAX);
            world.cloud.script_gateway(GatewayMatch::Any, half[1].clone(), u32::MAX);
        }
        daemon.await_events("poll.suspect", before + 4).await;
        let last = suspects().pop().unwrap();
        assert_eq!((last["total"].as_u64(), last["previous"].as_u64()), (Some(total), Some(25)), "{last}");
        assert_eq!(world.number("SELECT count(*) FROM tasks WHERE unlisted_at IS NOT NULL").await, 0);
        world.cloud.clear_scripts();
        daemon.await_more("poll.completed", 3).await;
    }
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("after"));
    world.until_stored(&daemon, 26).await;
    assert_nothing_lost(&world, daemon, 26).await;
}
