//! A service that asks to be left alone. Codes and hints are tried one by one beside the client.

use std::time::Duration;

use cloudsim::{AccountSpec, ApiError, GatewayFault, GatewayMatch, TaskSpec};

use super::{Failing, assert_nothing_lost, assert_outlasted, of};
use crate::common::{DETAIL, MAIN, World};

/// The delays of the defaults, a 500th of each: minutes pass in a second.
async fn shrunk() -> World {
    let mut world = World::start().await;
    world.set("poll.interval", "\"120ms\"");
    world.set("poll.idle_interval", "\"120ms\"");
    world.set("retry.base", "\"1ms\"");
    world.set("retry.max", "\"600ms\"");
    world.set("retry.call_attempts", "8");
    world
}

#[tokio::test]
async fn throttling_that_lasts_for_minutes_loses_nobody_and_calls_stay_few() {
    let mut world = shrunk().await;
    world.add_account("other", AccountSpec::new("LTAIother", "secret-of-other"), &[DETAIL]);
    world.cloud.add_task("LTAIother", DETAIL, TaskSpec::default().with_id("o"));
    world.add_small(&["1"]);
    let of_main = GatewayMatch::Account(MAIN.to_owned());
    world.cloud.script_gateway(of_main, GatewayFault::Error(ApiError::throttling()), u32::MAX);
    let daemon = world.daemon().await;
    let failed = daemon.await_events("poll.failed", 4).await;
    let calls: Vec<_> = world.cloud.gateway_calls().into_iter().filter(|c| c.access_key_id == MAIN).collect();
    let throttled = daemon.events("api.throttled");
    assert!(failed.iter().chain(&throttled).all(|e| e["account"] == "main" && e["code"] == "Throttling.User"));
    // Eight a poll, each after the wait that was said; what a busy machine adds only makes it longer.
    assert!(calls.len() <= 8 * (failed.len() + 1), "{} calls in {} polls", calls.len(), failed.len());
    let waits: Vec<_> = throttled.iter().map(|e| Duration::from_millis(e["wait_ms"].as_u64().unwrap())).collect();
    for (n, pair) in calls.windows(2).enumerate() {
        assert!(pair[1].at - pair[0].at >= waits[n], "call {} did not wait {:?}", n + 1, waits[n]);
    }
    // By chance all of them are short once in some million runs.
    assert!(waits.iter().max() > Some(&Duration::from_millis(32)), "the waits do not grow: {waits:?}");
    assert_eq!(world.state("o").await.as_deref(), Some("stored"), "the other account does not wait");
    assert!(of(&daemon.events("poll.completed"), "other").len() >= failed.len());
    world.cloud.clear_scripts();
    world.until_stored(&daemon, 2).await;
    assert_nothing_lost(&world, daemon, 2).await;
}

#[tokio::test]
async fn each_code_of_throttling_is_said_and_waited_for() {
    let world = World::hasty().await;
    let failing = |code: &'static str, status| Failing {
        name: code,
        fault: GatewayFault::Error(ApiError::new(code, status)),
        said: code,
        attempts: 2,
    };
    let faults = vec![
        failing("Throttling.User", 400),
        failing("Throttling.Api", 400),
        failing("Throttling", 503),
        failing("Rejected.Throttling", 429),
        failing("FlowControlError", 400),
        failing("ServiceBusy", 400),
    ];
    assert_outlasted(&world, faults).await;
}

#[tokio::test]
async fn a_nonce_that_is_refused_costs_one_more_call_and_no_wait() {
    let mut world = World::hasty().await;
    // Who waits between two attempts does not come to an end here.
    world.set("retry.base", "\"300s\"");
    world.set("retry.max", "\"300s\"");
    world.set("retry.call_attempts", "4");
    world.add_small(&["1"]);
    let used = || GatewayFault::Error(ApiError::new("SignatureNonceUsed", 400));
    world.cloud.script_gateway(GatewayMatch::Any, used(), 3);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    assert!(daemon.events("poll.failed").is_empty());
    let calls = world.cloud.gateway_calls();
    assert_eq!(calls[..4].iter().filter(|c| c.outcome == "SignatureNonceUsed").count(), 3);
    let nonces: std::collections::BTreeSet<_> = calls.iter().map(|c| &c.nonce).collect();
    assert_eq!(nonces.len(), calls.len(), "a nonce came twice");
    // A service that refuses every nonce is not asked without end.
    world.cloud.script_gateway(GatewayMatch::Any, used(), u32::MAX);
    world.add_small(&["2"]);
    let called = world.cloud.gateway_call_count();
    let failed = daemon.await_more("poll.failed", 3).await;
    let calls = world.cloud.gateway_call_count() - called;
    assert!(calls <= 4 * (daemon.events("poll.failed").len() as u64 + 1), "{calls} calls");
    assert_eq!(failed[2]["code"], "SignatureNonceUsed");
    world.cloud.clear_scripts();
    world.until_stored(&daemon, 2).await;
    assert_nothing_lost(&world, daemon, 2).await;
}
