//! Keys, permissions and the clock.

use std::time::Duration;

use cloudsim::{AccountSpec, ApiError, GatewayFault, GatewayMatch, TaskSpec};
use jiff::SignedDuration;

use super::{assert_nothing_lost, of};
use crate::common::{DETAIL, MAIN, USAGE, World};

#[tokio::test]
async fn a_clock_that_is_off_is_measured_and_costs_one_call_and_one_line_a_poll_until_it_is_mended() {
    let mut world = World::hasty().await;
    world.set("retry.call_attempts", "8");
    world.cloud.add_tasks(MAIN, DETAIL, (0..120).map(|_| TaskSpec::default().with_status("failed")));
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 2).await;
    for (server, said) in [(1230, "is 20 min behind the service"), (-36_030, "is 10 h ahead of the service")] {
        let called = world.cloud.gateway_call_count();
        let before = daemon.log().len();
        world.cloud.clock().set_skew(SignedDuration::from_secs(server));
        let failed = daemon.await_more("poll.failed", 4).await;
        let calls = world.cloud.gateway_call_count() - called;
        let last = failed.last().unwrap();
        let error = last["error"].as_str().unwrap();
        assert!(error.contains(said) && error.contains("NTP"), "{error}");
        assert_eq!(last["code"], "InvalidTimeStamp.Expired");
        let said_since = daemon.log().split_off(before);
        let loud: Vec<_> = said_since.iter().filter(|e| e["level"] == "error" || e["level"] == "warn").collect();
        assert!(loud.iter().all(|e| e["event"] == "poll.failed"), "{loud:?}");
        // A sweep may have been under way, four pages at a time.
        assert!(calls <= loud.len() as u64 + 16, "{calls} calls for {} lines", loud.len());
        world.cloud.clock().set_skew(SignedDuration::ZERO);
        daemon.await_more("poll.completed", 1).await;
    }
    world.add_small(&["1"]);
    world.until_stored(&daemon, 1).await;
    world.assert_all_stored(daemon, 1).await;
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, 121);
}

#[tokio::test]
async fn keys_that_are_disabled_or_unknown_for_a_while_are_complained_of_once_and_then_everything_is_done() {
    let mut world = World::hasty().await;
    world.add_account("other", AccountSpec::new("LTAIother", "secret-of-other"), &[DETAIL]);
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let keys = AccountSpec::new(MAIN, "secret-of-main");
    for (n, code) in ["InvalidAccessKeyId.Inactive", "InvalidAccessKeyId.NotFound"].into_iter().enumerate() {
        if n == 0 {
            world.cloud.set_account_active(MAIN, false);
        } else {
            world.cloud.remove_account(MAIN);
        }
        let rejected = daemon.await_events("credentials.rejected", n + 1).await;
        assert_eq!((rejected[n]["code"].as_str(), rejected[n]["account"].as_str()), (Some(code), Some("main")));
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(code));
        daemon.await_more("poll.failed", 3).await;
        assert_eq!(daemon.events("credentials.rejected").len(), n + 1);
        world.cloud.add_account(keys.clone());
        world.until_stored(&daemon, n + 2).await;
    }
    assert!(of(&daemon.events("poll.failed"), "other").is_empty());
    assert_nothing_lost(&world, daemon, 3).await;
}

#[tokio::test]
async fn keys_that_are_rotated_on_disk_are_used_from_then_on() {
    let world = World::hasty().await;
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let mut old = MAIN.to_owned();
    for n in 2..=4 {
        // As it is done by hand: the new ones are made, put into place, seen at work, and then the old ones go.
        let new = AccountSpec::new(format!("LTAIrotated{n}"), format!("secret-{n}"));
        world.cloud.add_account_keys(&old, new.clone());
        world.write_keys("main", &new);
        let used = || world.cloud.gateway_calls().iter().filter(|c| c.access_key_id == new.access_key_id).count();
        daemon.until("the new keys are used", async || used() >= 2).await;
        world.cloud.remove_account(&old);
        old.clone_from(&new.access_key_id);
        world.cloud.add_task(&old, DETAIL, TaskSpec::default().with_id(n.to_string()));
        world.until_stored(&daemon, n).await;
    }
    // A poll may meet the files while one of them is written: one complaint for each rotation at most.
    let rejected = daemon.events("credentials.rejected");
    assert!(rejected.len() <= 3, "{rejected:?}");
    assert_nothing_lost(&world, daemon, 4).await;
}

#[tokio::test]
async fn a_token_that_expires_is_complained_of_once_and_the_one_that_replaces_it_on_disk_is_used() {
    let mut world = World::hasty().await;
    world.forget_account("main");
    // The gateway goes on judging dates by the wall clock, or time could not pass faster for the token alone.
    world.cloud.clock().set_dates_by_wall(true);
    let token = |world: &World, n: u32| {
        let end = world.cloud.clock().now() + Duration::from_secs(3600);
        let keys = AccountSpec::new(format!("STS.{n}"), format!("secret-{n}"));
        keys.with_token(format!("token-{n}")).with_token_expiry(end)
    };
    world.add_account("main", token(&world, 1), &[DETAIL]);
    world.cloud.add_task("STS.1", DETAIL, TaskSpec::default().with_id("1"));
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    world.cloud.clock().advance(Duration::from_secs(3601));
    let rejected = daemon.await_events("credentials.rejected", 1).await;
    assert_eq!(rejected[0]["code"], "InvalidSecurityToken.Expired");
    world.cloud.add_task("STS.1", DETAIL, TaskSpec::default().with_id("2"));
    daemon.await_more("poll.failed", 3).await;
    let second = token(&world, 2);
    world.cloud.set_account_keys("STS.1", second.clone());
    world.write_keys("main", &second);
    world.until_stored(&daemon, 2).await;
    assert_eq!(daemon.events("credentials.rejected").len(), 1);
    assert_nothing_lost(&world, daemon, 2).await;
}

#[tokio::test]
async fn a_permission_that_one_export_lacks_does_not_touch_the_other_and_is_noticed_when_given() {
    let mut world = World::hasty().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("u"));
    let denied = GatewayFault::Error(ApiError::forbidden());
    world.cloud.script_gateway(GatewayMatch::Export(USAGE), denied, u32::MAX);
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let failed = daemon.await_events("poll.failed", 3).await;
    daemon.await_more("poll.completed", 5).await;
    world.add_small(&["2"]);
    world.until_stored(&daemon, 2).await;
    for event in &failed {
        assert_eq!((event["export"].as_str(), event["code"].as_str()), (Some("usage"), Some("Forbidden.RAM")));
        assert!(event["error"].as_str().unwrap().contains("must allow the action cdn:Describe"), "{event}");
    }
    let calls = world.cloud.gateway_calls().iter().filter(|c| c.export == Some(USAGE)).count();
    let polls = daemon.events("poll.failed").len();
    assert!(calls <= polls + 1, "{calls} calls in {polls} polls: what is denied is not tried again at once");
    assert!(daemon.events("credentials.rejected").is_empty(), "the keys are not at fault");
    world.cloud.clear_scripts();
    world.until_stored(&daemon, 3).await;
    assert_nothing_lost(&world, daemon, 3).await;
}
