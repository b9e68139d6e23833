//! What sweeps conclude, and how fast they may go.

use std::collections::BTreeSet;

use cloudsim::{Order, TaskSpec};

use crate::common::{DEADLINE, DETAIL, MAIN, World};

#[tokio::test]
async fn a_listing_shuffled_at_every_call_loses_no_task_and_a_deleted_one_is_unlisted_by_the_second_steady_sweep() {
    let mut world = World::start().await;
    // The shortest there is: any two runs of the program are further apart.
    world.set("poll.interval", "\"10ms\"");
    let ids = world.cloud.add_tasks(MAIN, DETAIL, (0..300).map(|_| TaskSpec::default().with_status("failed")));
    world.once(0).await;
    let mut seen = 0;
    for seed in 1..=4 {
        world.cloud.settings().set_order(Order::Shuffled(seed));
        // Whether a sweep of a shuffled listing is consistent is for the listing to say.
        let run = world.run(&["once"]).await;
        assert!(run.code() == 0 || run.code() == 1, "{run}");
        seen += run.events("poll.completed").len();
    }
    assert_eq!(seen, 4);
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE unlisted_at IS NOT NULL").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM transitions WHERE kind <> 'first'").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM tasks").await, 300);

    world.cloud.settings().set_order(Order::NewestFirst);
    world.cloud.remove_task(MAIN, DETAIL, &ids[150]).unwrap();
    let mut consistent = 0;
    let unlist = async {
        while world.number("SELECT count(*) FROM tasks WHERE unlisted_at IS NOT NULL").await == 0 {
            let run = world.once(0).await;
            consistent += run.events("poll.completed").iter().filter(|p| p["consistent"] == true).count();
        }
    };
    tokio::time::timeout(DEADLINE, unlist).await.unwrap();
    assert_eq!(consistent, 2);
    let unlisted = world.texts("SELECT task_id FROM tasks WHERE unlisted_at IS NOT NULL").await;
    assert_eq!(unlisted, [ids[150].as_str()]);
    let last =
        world.texts("SELECT kind || ' ' || from_status || ' ' || to_status FROM transitions ORDER BY id DESC").await;
    assert_eq!(last[0], "unlisted failed failed");

    // It comes back.
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(&ids[150]).with_status("failed"));
    world.once(0).await;
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE unlisted_at IS NOT NULL").await, 0);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_listing_suddenly_empty_is_suspect_and_nothing_is_unlisted() {
    let world = World::start().await;
    let ids = world.cloud.add_tasks(MAIN, DETAIL, (0..3).map(|_| TaskSpec::default().with_status("failed")));
    world.once(0).await;
    for id in &ids {
        world.cloud.remove_task(MAIN, DETAIL, id).unwrap();
    }
    for _ in 0..3 {
        let run = world.run(&["once"]).await;
        let suspect = run.event("poll.suspect");
        assert_eq!((suspect["total"].as_u64(), suspect["previous"].as_u64()), (Some(0), Some(3)));
    }
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE unlisted_at IS NOT NULL").await, 0);
}

#[tokio::test]
async fn no_second_has_more_calls_than_the_rate_and_the_burst_with_one_call_in_ten_throttled() {
    let mut world = World::start().await;
    world.set("rate_limit.calls_per_second", "50");
    world.set("rate_limit.burst", "5");
    world.set("poll.page_size", "1");
    world.set("poll.concurrency", "16");
    world.set("retry.call_attempts", "20");
    world.cloud.add_tasks(MAIN, DETAIL, (0..200).map(|_| TaskSpec::default().with_status("failed")));
    world.cloud.settings().set_throttle_every(Some(10));

    let run = world.once(0).await;

    let calls = world.cloud.gateway_calls();
    let throttled = calls.iter().filter(|c| c.outcome.starts_with("Throttling")).count();
    assert!(throttled >= 20, "{throttled} of {} calls were throttled", calls.len());
    assert_eq!(calls.len() - throttled, 202);
    assert_eq!(run.events("api.throttled").len(), throttled);
    let most = world.cloud.max_calls_in_a_second(MAIN);
    assert!(most <= 55, "{most} calls came within one second");
    assert!(most > 1, "calls were counted");
    let nonces: BTreeSet<_> = calls.iter().map(|c| &c.nonce).collect();
    assert_eq!(nonces.len(), calls.len(), "every attempt is signed anew");
    assert_eq!(world.number("SELECT count(*) FROM tasks").await, 200);
}
