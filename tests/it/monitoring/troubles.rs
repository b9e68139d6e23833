//! What rules look at goes up with a trouble, and down with its end.

use std::fs;

use cloudsim::{AccountSpec, ApiError, GatewayFault, GatewayMatch, Object, OssFault, OssMatch, TaskSpec};
use rustix::process::Signal;

use crate::common::{DETAIL, MAIN, Running, World, get};

const OF: &str = "account=\"main\",export=\"usage-detail\"";

async fn value(address: &str, series: &str) -> Option<f64> {
    let (_, text) = get(address, "/metrics").await?;
    text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

/// Waits until a series has a value that will do.
async fn until(daemon: &Running, address: &str, series: &str, will_do: impl Fn(f64) -> bool) {
    let series = format!("cdn_usaged_{series}");
    daemon
        .until(&format!("{series} is as it should be"), async || value(address, &series).await.is_some_and(&will_do))
        .await;
}

#[tokio::test]
async fn a_reload_that_is_refused_shows_until_one_is_taken() {
    let mut world = World::start().await;
    let address = world.serve_http();
    let daemon = world.daemon().await;
    until(&daemon, &address, "config_last_reload_successful", |v| v == 1.0).await;
    let read_at = "cdn_usaged_config_last_reload_success_timestamp_seconds";
    let first = value(&address, read_at).await.unwrap();
    assert!(first > 1.7e9);
    world.set("poll.interval", "\"soon\"");
    world.write_config();
    daemon.signal(Signal::HUP);
    until(&daemon, &address, "config_last_reload_successful", |v| v == 0.0).await;
    assert_eq!(value(&address, read_at).await, Some(first), "the old one is in force");
    world.set("poll.interval", "\"20ms\"");
    world.set("poll.full_sweep_interval", "\"1h\"");
    world.write_config();
    daemon.signal(Signal::HUP);
    until(&daemon, &address, "config_last_reload_successful", |v| v == 1.0).await;
    assert!(value(&address, read_at).await.unwrap() > first);
    until(&daemon, &address, "full_sweep_interval_seconds", |v| v == 3600.0).await;
    daemon.stop().await;
}

#[tokio::test]
async fn keys_that_are_refused_show_until_they_work_also_when_they_cannot_even_be_read() {
    let mut world = World::start().await;
    let address = world.serve_http();
    let daemon = world.daemon().await;
    let rejected = "credentials_rejected{account=\"main\"}";
    daemon.await_events("poll.completed", 1).await;
    until(&daemon, &address, rejected, |v| v == 0.0).await;
    world.cloud.set_account_active(MAIN, false);
    until(&daemon, &address, rejected, |v| v == 1.0).await;
    world.cloud.set_account_active(MAIN, true);
    until(&daemon, &address, rejected, |v| v == 0.0).await;
    fs::remove_file(world.key_file("main", "secret")).unwrap();
    until(&daemon, &address, rejected, |v| v == 1.0).await;
    // A gateway that is down says nothing of keys.
    world.cloud.settings().set_gateway_down(true);
    world.write_keys("main", &AccountSpec::new(MAIN, "secret-of-main"));
    daemon.await_more("poll.failed", 2).await;
    world.cloud.settings().set_gateway_down(false);
    until(&daemon, &address, rejected, |v| v == 0.0).await;
    daemon.stop().await;
}

#[tokio::test]
async fn pauses_that_the_service_asks_for_and_waits_for_the_rate_are_counted_in_seconds() {
    let mut world = World::start().await;
    world.set("rate_limit.calls_per_second", "20");
    world.set("rate_limit.burst", "1");
    let address = world.serve_http();
    world.cloud.script_gateway(GatewayMatch::Account(MAIN.to_owned()), GatewayFault::Error(ApiError::throttling()), 2);
    let daemon = world.daemon().await;
    let throttled = daemon.await_events("api.throttled", 2).await;
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    let asked = throttled.iter().map(|e| e["wait_ms"].as_u64().unwrap() as f64 / 1000.0).sum::<f64>();
    daemon.await_events("poll.completed", 3).await;
    // The line has whole milliseconds.
    let shown = value(&address, "cdn_usaged_api_throttled_seconds_total{account=\"main\"}").await.unwrap();
    assert!((shown - asked).abs() <= 0.003, "{shown} and {asked}");
    let waited = value(&address, "cdn_usaged_api_permit_wait_seconds_total{account=\"main\"}").await.unwrap();
    assert!(waited > 0.0 && waited >= shown - 0.003, "who waits for a pause waits for its permit: {waited}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_is_not_delivered_shows_with_its_reason_its_age_and_its_end_until_it_is() {
    let mut world = World::start().await;
    world.set("download.max_size", "\"1KiB\"");
    let address = world.serve_http();
    world.add_small(&["1"]);
    world.add("big", Object::csv(1000));
    world.cloud.script_oss(OssMatch::Task("1".to_owned()), OssFault::WrongCrc, 1);
    let daemon = world.daemon().await;
    until(&daemon, &address, &format!("download_failures_total{{{OF},reason=\"integrity\"}}"), |v| v == 1.0).await;
    until(&daemon, &address, &format!("download_failures_total{{{OF},reason=\"too_large\"}}"), |v| v >= 3.0).await;
    until(&daemon, &address, &format!("undelivered_tasks{{{OF},state=\"abandoned\"}}"), |v| v == 1.0).await;
    until(&daemon, &address, &format!("listing_tasks{{{OF}}}"), |v| v == 2.0).await;
    let oldest = format!("oldest_undelivered_task_timestamp_seconds{{{OF}}}");
    let expiry = format!("task_expiry_timestamp_seconds{{{OF}}}");
    until(&daemon, &address, &oldest, |v| v > 1.5e9).await;
    until(&daemon, &address, &expiry, |v| v > 1.5e9).await;
    world.set("download.max_size", "\"1GiB\"");
    world.write_config();
    daemon.signal(Signal::HUP);
    daemon.await_events("config.reloaded", 1).await;
    world.run(&["retry", "--abandoned"]).await.expect(0);
    world.until_stored(&daemon, 2).await;
    until(&daemon, &address, &format!("undelivered_tasks{{{OF},state=\"abandoned\"}}"), |v| v == 0.0).await;
    for series in [&oldest, &expiry] {
        until(&daemon, &address, series, |v| v == 0.0).await;
    }
    daemon.stop().await;
}

#[tokio::test]
async fn a_task_that_leaves_the_listing_undelivered_is_lost_and_in_no_hurry_any_more() {
    let mut world = World::hasty().await;
    world.set("download.max_size", "\"1KiB\"");
    let address = world.serve_http();
    world.add_small(&["1"]);
    world.add("big", Object::csv(1000));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("gone").with_object(Object::csv(1)));
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 2).await;
    for id in ["big", "gone"] {
        world.cloud.remove_task(MAIN, DETAIL, id);
    }
    until(&daemon, &address, &format!("transitions_total{{{OF},to=\"unlisted\"}}"), |v| v == 2.0).await;
    until(&daemon, &address, &format!("lost_tasks{{{OF}}}"), |v| v == 1.0).await;
    until(&daemon, &address, &format!("oldest_undelivered_task_timestamp_seconds{{{OF}}}"), |v| v == 0.0).await;
    until(&daemon, &address, &format!("task_expiry_timestamp_seconds{{{OF}}}"), |v| v == 0.0).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_disk_without_room_shows_while_downloads_wait_and_the_limit_with_it() {
    let mut world = World::start().await;
    world.set("storage.min_free", "\"1PiB\"");
    let address = world.serve_http();
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    daemon.await_events("storage.low", 1).await;
    until(&daemon, &address, "storage_low", |v| v == 1.0).await;
    until(&daemon, &address, "storage_min_free_bytes", |v| v == 1_125_899_906_842_624.0).await;
    daemon.stop().await;
}
