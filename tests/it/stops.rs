//! Runs that do not come to their end.

use std::fs;

use cloudsim::{GatewayFault, GatewayMatch, Object};
use rustix::process::Signal;

use crate::common::{World, csv_path, until};

#[tokio::test]
async fn a_time_limit_ends_a_run_that_waits_for_a_silent_gateway() {
    let world = World::start().await;
    world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::Hang, u32::MAX);
    let run = world.run(&["once", "--timeout", "1s", "--json"]).await.expect(1);
    assert!(run.complaint().contains("stopped before everything was done"), "{run}");
    let rows = run.rows();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0]["account"].as_str(), rows[0]["consistent"].as_bool()), (Some("main"), Some(false)));
}

#[tokio::test]
async fn a_signal_in_the_middle_of_a_file_keeps_what_is_there_and_the_next_run_goes_on_at_that_byte() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::start().await;
        let object = world.add_stalling("1");
        let once = world.spawn(&["once"]);
        let partial = world.partial_with_bytes().await;
        once.signal(signal);
        let run = once.end().await.expect(1);
        assert!(run.complaint().contains("stopped before everything was done"), "{run}");
        let there = fs::metadata(&partial).unwrap().len();
        assert!(there > 0 && there <= 700_000, "{there}");
        assert_eq!(world.attempts("1").await, [("interrupted".to_owned(), String::new())]);
        assert_eq!(world.state("1").await.as_deref(), Some("pending"));
        assert_eq!(world.number("SELECT to_byte FROM attempts").await, i64::try_from(there).unwrap());

        let run = world.once(0).await;
        assert_eq!(run.event("download.stored")["resumed_bytes"], there);
        let calls = world.cloud.oss_calls();
        assert_eq!(calls.len(), 2);
        assert_eq!(calls[1].range.as_deref(), Some(format!("bytes={there}-").as_str()));
        assert!(fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
        assert!(world.partials().is_empty());
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_kill_in_the_middle_of_a_file_leaves_nothing_stuck_and_nothing_twice() {
    let world = World::start().await;
    for n in 2..=30_u64 {
        world.add(&n.to_string(), Object::csv(n));
    }
    let object = world.add_stalling("1");
    let once = world.spawn(&["once"]);
    world.partial_with_bytes().await;
    once.signal(Signal::KILL);
    let killed = once.end().await;
    assert_eq!(killed.status.code(), None);
    assert_eq!(world.state("1").await.as_deref(), Some("active"));

    let run = world.once(0).await;
    assert_eq!(run.events("task.transition").len(), 0, "{run}");
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
    assert_eq!(world.published().len(), 30);
    assert_eq!(world.number("SELECT count(*) FROM files").await, 30);
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, 30);
    assert!(world.partials().is_empty());
    let attempts = world.attempts("1").await;
    assert_eq!(attempts[0].0, "interrupted");
    assert_eq!(attempts.last().unwrap().0, "stored");
    world.assert_sound().await;
}

#[tokio::test]
async fn kills_at_any_moment_lead_to_the_same_end() {
    let world = World::start().await;
    for n in 1..=40_u64 {
        world.add(&n.to_string(), Object::csv(n));
    }
    for stored in [1, 10, 25] {
        let once = world.spawn(&["once"]);
        until("some files are there", async || world.published().len() >= stored).await;
        once.signal(Signal::KILL);
        once.end().await;
    }
    world.once(0).await;
    let mut names: Vec<_> = (1..=40).map(|n| csv_path(&n.to_string())).collect();
    names.sort();
    assert_eq!(world.published(), names);
    for n in 1..=40_u64 {
        assert!(fs::read(world.file(&csv_path(&n.to_string()))).unwrap() == Object::csv(n).body.to_bytes());
    }
    assert_eq!(world.number("SELECT count(*) FROM files").await, 40);
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, 40);
    assert!(world.partials().is_empty());
    world.run(&["verify"]).await.expect(0);
    world.assert_sound().await;
}
