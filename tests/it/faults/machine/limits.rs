//! File descriptors that run out.

use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::common::{Running, World, finish, get};

/// What the daemon may have open from now on.
fn limit(daemon: &Running, descriptors: u64) {
    let pid = Pid::from_raw(i32::try_from(daemon.pid()).unwrap());
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(descriptors), maximum: Some(1024) }).unwrap();
}

/// A world in which what was given up comes back with the next sweep, which is soon.
async fn hasty() -> World {
    let mut world = World::start().await;
    world.set("poll.full_sweep_interval", "\"100ms\"");
    world
}

#[tokio::test]
async fn too_few_descriptors_to_start_with_are_said_and_cost_nothing() {
    let world = World::start().await;
    world.add_small(&["1"]);
    for descriptors in [8, 10] {
        for words in ["once", "run"] {
            let run = finish(&mut world.after(&format!("ulimit -n {descriptors}"), &[words])).await.expect(1);
            assert!(run.complaint().contains("Too many open files"), "{run}");
        }
    }
    world.once(0).await;
    world.assert_whole().await;
}

#[tokio::test]
async fn descriptors_that_run_out_hold_the_work_up_until_there_are_some() {
    let mut world = hasty().await;
    let address = world.serve_http();
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    // Fewer than it has: nothing more can be opened, no file and no connection.
    limit(&daemon, 3);
    world.add_small(&["2", "3", "4", "5"]);
    let failed = daemon.await_events("poll.failed", 3).await;
    assert!(failed.iter().all(|e| e["error"].as_str().unwrap().contains("Too many open files")), "{failed:?}");
    limit(&daemon, 1024);
    world.until_stored(&daemon, 5).await;
    daemon.until("/livez is well", async || get(&address, "/livez").await.is_some_and(|(s, _)| s == 200)).await;
    daemon.stop().await;
    world.assert_whole().await;
}

#[tokio::test]
async fn a_daemon_with_too_few_descriptors_for_its_slots_stores_everything_all_the_same() {
    let mut world = hasty().await;
    world.set("download.concurrency", "16");
    world.cloud.settings().set_oss_latency(Duration::from_millis(100));
    let ids: Vec<String> = (1..=24).map(|n| n.to_string()).collect();
    world.add_small(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let daemon = Running::start(&mut world.after("ulimit -n 28", &["run"]));
    daemon.await_events("daemon.ready", 1).await;
    world.until_stored(&daemon, 24).await;
    let run = daemon.stop().await;
    assert!(run.stderr.contains("Too many open files"), "there were enough");
    world.assert_whole().await;
}
