//! One broken account among many.

use std::time::Duration;

use cloudsim::{AccountSpec, ApiError, GatewayFault, GatewayMatch, TaskSpec};

use super::{Door, assert_nothing_lost, of};
use crate::common::{DETAIL, Running, World};

const WELL: [&str; 4] = ["a", "b", "c", "d"];

/// So many polls of every other account end while the broken one is in its first failure.
const POLLS: usize = 12;

fn keys(name: &str) -> String {
    format!("LTAI{name}")
}

/// Five accounts with a task each; none of them waits for anything that is not scripted.
async fn five() -> World {
    let mut world = World::start().await;
    world.forget_account("main");
    for name in WELL.into_iter().chain(["broken"]) {
        world.add_account(name, AccountSpec::new(keys(name), "a-secret"), &[DETAIL]);
        world.cloud.add_task(&keys(name), DETAIL, TaskSpec::default().with_id(format!("of {name}")));
    }
    // Longer than the test: whoever waits for the broken one is seen to.
    world.set("poll.request_timeout", "\"600s\"");
    world.set("retry.base", "\"600s\"");
    world.set("retry.max", "\"600s\"");
    world
}

/// Waits until every healthy account has had its polls, and says how far apart their calls came.
async fn pace(world: &World, daemon: &Running) -> Duration {
    let fewest = || {
        let polls = daemon.events("poll.completed");
        WELL.iter().map(|name| of(&polls, name).len()).min()
    };
    daemon.until("every healthy account is polled", async || fewest() >= Some(POLLS)).await;
    let calls = world.cloud.gateway_calls();
    let times: Vec<_> = calls.iter().filter(|c| c.access_key_id != keys("broken")).map(|c| c.at).collect();
    world.cloud.clear_history();
    (times[times.len() - 1] - times[0]) / u32::try_from(times.len()).unwrap()
}

/// The others have their polls and their files while the broken account is in its first failure; then it is mended. The
/// two paces are shown, not judged.
async fn assert_costs_only_itself(name: &str, world: &World, mend: impl FnOnce()) {
    let daemon = world.daemon().await;
    let beside = pace(world, &daemon).await;
    world.until_stored(&daemon, WELL.len()).await;
    for event in ["poll.completed", "poll.failed"] {
        let events = daemon.events(event);
        assert!(of(&events, "broken").is_empty(), "{name}: the broken account is not at its first failure: {events:?}");
    }
    assert!(daemon.events("poll.failed").is_empty());
    daemon.stop().await;
    mend();
    let daemon = world.daemon().await;
    let alone = pace(world, &daemon).await;
    world.until_stored(&daemon, WELL.len() + 1).await;
    eprintln!(
        "{name}: the polls of the others came {beside:.2?} apart beside it, {alone:.2?} when it was mended, ratio {:.2}",
        beside.div_duration_f64(alone)
    );
    assert_nothing_lost(world, daemon, 5).await;
}

fn of_broken() -> GatewayMatch {
    GatewayMatch::Account(keys("broken"))
}

#[tokio::test]
async fn an_account_that_hears_nothing_costs_four_others_no_poll() {
    let world = five().await;
    world.cloud.script_gateway(of_broken(), GatewayFault::Hang, u32::MAX);
    assert_costs_only_itself("hang", &world, || world.cloud.clear_scripts()).await;
}

#[tokio::test]
async fn an_account_whose_connections_break_costs_four_others_no_poll() {
    let world = five().await;
    world.cloud.script_gateway(of_broken(), GatewayFault::Reset, u32::MAX);
    assert_costs_only_itself("reset", &world, || world.cloud.clear_scripts()).await;
}

#[tokio::test]
async fn an_account_that_is_throttled_costs_four_others_no_poll() {
    let world = five().await;
    let throttled = ApiError::throttling().with_header("x-acs-retry-after", "600000");
    world.cloud.script_gateway(of_broken(), GatewayFault::Error(throttled), u32::MAX);
    assert_costs_only_itself("throttled", &world, || world.cloud.clear_scripts()).await;
}

#[tokio::test]
async fn an_account_whose_endpoint_is_dead_costs_four_others_no_poll() {
    let mut world = five().await;
    let door = Door::closed();
    world.set_endpoint_of("broken", &door.endpoint());
    let mut open = None;
    assert_costs_only_itself("dead endpoint", &world, || open = Some(door.open(&world))).await;
}
