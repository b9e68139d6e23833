//! What does not answer, and what comes after it.

use std::time::{Duration, Instant};

use cloudsim::{AccountSpec, ApiError, GatewayFault, GatewayMatch, LinkMode, Object, TaskSpec};
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::{DETAIL, MAIN, USAGE, World, get};

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:1";

fn of(events: &[Value], account: &str) -> usize {
    events.iter().filter(|e| e["account"] == account).count()
}

#[tokio::test]
async fn a_gateway_that_is_down_for_longer_than_a_call_is_tried_costs_only_time() {
    let world = World::hasty().await;
    world.add_small(&["1", "2", "3"]);
    world.cloud.settings().set_gateway_down(true);
    let daemon = world.daemon().await;
    let failed = daemon.await_events("poll.failed", 4).await;
    let levels: Vec<_> = failed.iter().take(4).map(|e| e["level"].as_str().unwrap()).collect();
    assert_eq!(levels, ["warn", "warn", "error", "error"]);
    assert!(failed[0]["retry_in_ms"].is_u64() && failed[0]["error"].is_string(), "{}", failed[0]);
    let told = world.texts("SELECT error FROM listings WHERE error IS NOT NULL").await;
    assert_eq!(told.len(), 1);
    world.cloud.settings().set_gateway_down(false);
    world.until_stored(&daemon, 3).await;
    daemon.await_more("poll.completed", 1).await;
    assert_eq!(world.number("SELECT count(*) FROM listings WHERE error IS NULL").await, 1);

    // Again, from the middle of a life.
    world.cloud.settings().set_gateway_down(true);
    world.add_small(&["4"]);
    let again = daemon.await_more("poll.failed", 3).await;
    assert_eq!(again[0]["level"], "warn", "a success in between begins the count anew");
    world.cloud.settings().set_gateway_down(false);
    world.until_stored(&daemon, 4).await;
    world.assert_all_stored(daemon, 4).await;
}

#[tokio::test]
async fn an_object_store_that_is_down_for_longer_than_a_download_is_tried_costs_only_time() {
    let world = World::hasty().await;
    world.add_small(&["1", "2", "3"]);
    world.cloud.settings().set_oss_down(true);
    let daemon = world.daemon().await;
    daemon.await_events("download.abandoned", 3).await;
    world.cloud.settings().set_oss_down(false);
    world.until_stored(&daemon, 3).await;
    world.assert_all_stored(daemon, 3).await;
}

#[tokio::test]
async fn both_down_at_once_cost_only_time() {
    let world = World::hasty().await;
    world.add_small(&["1", "2", "3"]);
    world.cloud.settings().set_oss_down(true);
    let daemon = world.daemon().await;
    daemon.await_events("download.retrying", 1).await;
    world.cloud.settings().set_gateway_down(true);
    daemon.await_events("poll.failed", 3).await;
    daemon.await_events("download.abandoned", 3).await;
    world.add_small(&["4"]);
    world.cloud.settings().set_gateway_down(false);
    daemon.await_more("poll.completed", 2).await;
    world.cloud.settings().set_oss_down(false);
    world.until_stored(&daemon, 4).await;
    world.assert_all_stored(daemon, 4).await;
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_pauses_its_own_downloads_and_costs_one_attempt_at_a_time() {
    let mut world = World::start().await;
    world.set("retry.base", "\"100ms\"");
    world.set("retry.max", "\"200ms\"");
    world.set("download.max_attempts", "1000");
    // The dead ones come first, and there are more of them than slots.
    for n in 0..10 {
        let link = LinkMode::Fixed(format!("{DEAD}/cdn-billing/d{n}?Expires=1"));
        let task = TaskSpec::default().with_id(format!("d{n}")).with_object(Object::csv(n)).with_link(link);
        world.cloud.add_task(MAIN, DETAIL, task);
    }
    for n in 0..10 {
        world.add(&format!("good{n}"), Object::csv(n));
    }
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 10).await;
    let dead = "SELECT count(*) FROM attempts WHERE task_id LIKE 'd%'";
    daemon.until("the dead host was tried for a while", async || world.number(dead).await >= 10).await;
    assert_eq!(world.number("SELECT count(*) FROM files WHERE task_id LIKE 'good%'").await, 10);
    // Those that were under way together at the onset cost one; later there is one at a time.
    let paid = "SELECT sum(failures) FROM downloads WHERE task_id LIKE 'd%'";
    let (made, paid) = (world.number(dead).await, world.number(paid).await);
    assert!(paid <= made && made - paid <= 4, "{made} attempts, {paid} of them paid");
    let together = "SELECT count(*) FROM attempts AS a JOIN attempts AS b ON b.id > a.id AND b.started_at < a.ended_at \
                    WHERE a.task_id LIKE 'd%' AND b.task_id LIKE 'd%' \
                      AND b.id > (SELECT id FROM attempts WHERE task_id LIKE 'd%' ORDER BY id LIMIT 1 OFFSET 3)";
    assert_eq!(world.number(together).await, 0, "two tried a dead host at once");
    for n in 0..10 {
        world.update(&format!("d{n}"), |task| task.link = LinkMode::Default);
    }
    world.until_stored(&daemon, 20).await;
    world.assert_all_stored(daemon, 20).await;
}

#[tokio::test]
async fn a_wrong_secret_costs_its_own_account_one_call_a_poll_until_the_file_is_replaced() {
    let mut world = World::start().await;
    let right = AccountSpec::new("LTAIbad", "the-right-secret");
    world.add_account("bad", right.clone(), &[DETAIL, USAGE]);
    world.write_keys("bad", &AccountSpec::new("LTAIbad", "the-wrong-secret"));
    world.cloud.add_task("LTAIbad", DETAIL, TaskSpec::default().with_id("b"));
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    let good = async |count| {
        daemon
            .until(&format!("main is polled {count} times"), async || {
                of(&daemon.events("poll.completed"), "main") >= count
            })
            .await;
    };
    good(80).await;
    let calls = || -> Vec<Instant> {
        world.cloud.gateway_calls().iter().filter(|c| c.access_key_id == "LTAIbad").map(|c| c.at).collect()
    };
    let before = calls();
    let failed = of(&daemon.events("poll.failed"), "bad");
    // At the onset both listings may be under way, and each reads the keys again once.
    assert!(before.len() <= failed + 3, "{} calls for {failed} polls", before.len());
    assert!(before.len() >= 4 && before.len() <= 24, "{} calls beside 80 polls that went well", before.len());
    // The delay doubles; what a busy machine adds only makes it longer.
    for (n, pair) in before[4..].windows(2).enumerate() {
        let least = Duration::from_millis(20) * 2_u32.pow(u32::try_from(n).unwrap()) / 2;
        assert!(pair[1] - pair[0] >= least, "call {n} came after {:?}", pair[1] - pair[0]);
    }
    assert_eq!(of(&daemon.events("credentials.rejected"), "bad"), 1);
    let rejected = &daemon.events("credentials.rejected")[0];
    assert_eq!((rejected["level"].as_str(), rejected["code"].as_str()), (Some("error"), Some("SignatureDoesNotMatch")));

    world.write_keys("bad", &right);
    world.until_stored(&daemon, 2).await;
    let run = daemon.stop().await;
    assert_eq!(run.events("credentials.rejected").len(), 1);
    assert!(!run.stderr.contains("the-wrong-secret") && !run.stderr.contains("the-right-secret"));
    world.assert_sound().await;
}

#[tokio::test]
async fn throttling_pauses_the_whole_account_and_then_everything_is_done() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.set("poll.concurrency", "1");
    world.add_small(&["1"]);
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("2"));
    world.cloud.settings().set_throttle_every(Some(1));
    let daemon = world.daemon().await;
    let throttled = daemon.await_events("api.throttled", 12).await;
    assert!(throttled.iter().all(|e| e["level"] == "warn" && e["account"] == "main" && e["wait_ms"].is_u64()));
    world.cloud.settings().set_throttle_every(None);
    world.until_stored(&daemon, 2).await;
    let run = daemon.stop().await;
    let calls = world.cloud.gateway_calls();
    assert_eq!(calls.iter().filter(|c| c.outcome.starts_with("Throttling")).count(), run.events("api.throttled").len());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_wait_that_the_service_asks_for_is_kept_by_every_listing_of_the_account() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.set("poll.concurrency", "1");
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let asked = ApiError::throttling().with_header("x-acs-retry-after", "1000");
    world.cloud.script_gateway(GatewayMatch::Export(DETAIL), GatewayFault::Error(asked), 1);
    let waits = daemon.await_events("api.throttled", 1).await;
    assert!(waits[0]["wait_ms"].as_u64().unwrap() >= 1_000, "{}", waits[0]);
    daemon.await_more("poll.completed", 4).await;
    daemon.stop().await;
    let calls = world.cloud.gateway_calls();
    let at = calls.iter().position(|c| c.outcome.starts_with("Throttling")).unwrap();
    let within = |c: &&cloudsim::GatewayCall| c.at - calls[at].at < Duration::from_millis(1_000);
    // One of the other listing may have been on its way.
    let hasty = calls[at + 1..].iter().filter(within).count();
    assert!(hasty <= 1, "{hasty} calls came while the account was to wait");
    assert!(calls.len() > at + 3);
}

#[tokio::test]
async fn a_database_that_somebody_else_holds_is_waited_for() {
    let mut world = World::start().await;
    let address = world.serve_http();
    let object = world.add_stalling("1");
    world.set("download.idle_timeout", "\"1s\"");
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    // For longer than a statement waits: the end of the attempt cannot be recorded, nor can what is polled.
    let mut db = SqliteConnectOptions::new().filename(world.database()).connect().await.unwrap();
    let lock = db.begin_with("BEGIN IMMEDIATE").await.unwrap();
    world.add_small(&["2", "3"]);
    let failed = daemon.await_events("store.failed", 2).await;
    assert!(failed.iter().all(|e| e["level"] == "error" && e["error"].is_string()), "{failed:?}");
    daemon
        .until("/livez says so", async || get(&address, "/livez").await.is_some_and(|(status, _)| status == 503))
        .await;
    lock.rollback().await.unwrap();
    db.close().await.unwrap();
    world.until_stored(&daemon, 3).await;
    daemon
        .until("/livez is well", async || get(&address, "/livez").await.is_some_and(|(status, _)| status == 200))
        .await;
    assert!(std::fs::read(world.file(&crate::common::csv_path("1"))).unwrap() == object.body.to_bytes());
    world.assert_all_stored(daemon, 3).await;
}

#[tokio::test]
async fn too_little_space_is_said_once_and_only_holds_the_downloads() {
    let mut world = World::start().await;
    world.set("storage.min_free", "\"1000TiB\"");
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    let low = daemon.await_events("storage.low", 1).await;
    assert!(low[0]["free_bytes"].is_u64() && low[0]["path"].is_string(), "{}", low[0]);
    daemon.await_more("poll.completed", 5).await;
    assert_eq!(world.state("1").await.as_deref(), Some("pending"));
    let run = daemon.stop().await;
    assert_eq!(run.event("storage.low")["level"], "error");
    assert_eq!(world.number("SELECT count(*) FROM attempts").await, 0);
    assert_eq!(world.cloud.oss_calls().len(), 0);

    world.set("storage.min_free", "\"1KiB\"");
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    world.assert_all_stored(daemon, 1).await;
}

#[tokio::test]
async fn an_account_that_hears_nothing_and_one_that_may_not_ask_slow_nobody() {
    let mut world = World::start().await;
    world.add_account("mute", AccountSpec::new("LTAImute", "secret-of-mute"), &[DETAIL]);
    world.add_account("denied", AccountSpec::new("LTAIdenied", "secret-of-denied"), &[DETAIL]);
    let scripts = [("LTAImute", GatewayFault::Hang), ("LTAIdenied", GatewayFault::Error(ApiError::forbidden()))];
    for (keys, fault) in scripts {
        world.cloud.add_task(keys, DETAIL, TaskSpec::default().with_id(keys));
        world.cloud.script_gateway(GatewayMatch::Account(keys.to_owned()), fault, u32::MAX);
    }
    // Short enough to be waited out, and far longer than what the others need.
    world.set("poll.request_timeout", "\"3s\"");
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let polled = || of(&daemon.events("poll.completed"), "main");
    daemon.until("main is polled", async || polled() >= 20).await;
    let failed = daemon.await_events("poll.failed", 1).await;
    let denied = failed.iter().find(|e| e["account"] == "denied").unwrap();
    assert_eq!(denied["code"], "Forbidden.RAM");
    assert!(denied["error"].as_str().unwrap().contains("cdn:DescribeUserUsageDetailDataExportTask"), "{denied}");
    world.cloud.clear_scripts();
    world.until_stored(&daemon, 3).await;
    world.assert_all_stored(daemon, 3).await;
}
