//! `/metrics`, `/livez` and `/healthz` of a daemon that works.

use std::time::Duration;

use cloudsim::{AccountSpec, Generated, Object, OssFault, OssMatch, TaskSpec};
use rustix::process::Signal;
use serde_json::Value;

use crate::common::{DETAIL, MAIN, Running, World, get};

/// The value of a series by its whole name.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let of = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    metrics.lines().find_map(of)
}

async fn metrics(address: &str) -> String {
    let (status, body) = get(address, "/metrics").await.unwrap();
    assert_eq!(status, 200, "{body}");
    body
}

/// Waits until a series has a value.
async fn until_shown(daemon: &Running, address: &str, series: &str, wanted: f64) {
    daemon
        .until(&format!("{series} is {wanted}"), async || value(&metrics(address).await, series) == Some(wanted))
        .await;
}

async fn until_healthz(daemon: &Running, address: &str, wanted: u16) -> Value {
    let mut body = String::new();
    daemon
        .until(&format!("/healthz answers {wanted}"), async || {
            let (status, text) = get(address, "/healthz").await.unwrap();
            body = text;
            status == wanted
        })
        .await;
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn metrics_show_what_happened_under_the_promised_names() {
    let mut world = World::start().await;
    let address = world.serve_http();
    world.add_small(&["1", "22", "333"]);
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("f").with_status("failed"));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("odd").with_status("pondering"));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_raw_json("{\"TaskId\": \"\"}"));
    world.cloud.script_oss(OssMatch::Task("1".to_owned()), OssFault::WrongCrc, 1);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 3).await;
    daemon.await_events("poll.completed", 2).await;
    let listing = "account=\"main\",export=\"usage-detail\"";
    for (series, wanted) in [
        (format!("cdn_usaged_download_attempts_total{{{listing},result=\"stored\"}}"), 3.0),
        (format!("cdn_usaged_download_attempts_total{{{listing},result=\"failed\"}}"), 1.0),
        (format!("cdn_usaged_transitions_total{{{listing},to=\"success\"}}"), 3.0),
        (format!("cdn_usaged_transitions_total{{{listing},to=\"failed\"}}"), 1.0),
        (format!("cdn_usaged_transitions_total{{{listing},to=\"other\"}}"), 1.0),
        (format!("cdn_usaged_tasks{{{listing},status=\"success\"}}"), 3.0),
        (format!("cdn_usaged_tasks{{{listing},status=\"other\"}}"), 1.0),
        (format!("cdn_usaged_downloads{{{listing},state=\"stored\"}}"), 3.0),
        (format!("cdn_usaged_downloads{{{listing},state=\"pending\"}}"), 0.0),
        ("cdn_usaged_store_errors_total".to_owned(), 0.0),
        (format!("cdn_usaged_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1.0),
    ] {
        until_shown(&daemon, &address, &series, wanted).await;
    }
    // What goes on counting is at least what has been logged before.
    let polls = daemon.events("poll.completed").len();
    let text = metrics(&address).await;
    let at_least = |series: &str, least: f64| {
        let shown = value(&text, series);
        assert!(shown.is_some_and(|v| v >= least), "{series} is {shown:?}, not {least}\n{text}");
    };
    #[expect(clippy::cast_precision_loss, reason = "a few polls")]
    at_least(&format!("cdn_usaged_polls_total{{{listing},result=\"ok\"}}"), polls as f64 - 1.0);
    let action = "DescribeUserUsageDetailDataExportTask";
    at_least(&format!("cdn_usaged_api_requests_total{{account=\"main\",action=\"{action}\",code=\"OK\"}}"), 2.0);
    at_least("cdn_usaged_api_request_duration_seconds_count", 2.0);
    at_least("cdn_usaged_rows_rejected_total", 1.0);
    at_least(&format!("cdn_usaged_last_successful_poll_timestamp_seconds{{{listing}}}"), 1.7e9);
    at_least(&format!("cdn_usaged_last_consistent_sweep_timestamp_seconds{{{listing}}}"), 1.7e9);
    at_least("cdn_usaged_storage_free_bytes{folder=\"download\"}", 1.0);
    let bytes = world.number("SELECT sum(bytes) FROM files").await;
    #[expect(clippy::cast_precision_loss, reason = "small files")]
    at_least(&format!("cdn_usaged_download_bytes_total{{{listing}}}"), bytes as f64);

    world.cloud.settings().set_gateway_down(true);
    daemon.await_events("poll.failed", 2).await;
    let text = metrics(&address).await;
    let failed = value(&text, &format!("cdn_usaged_polls_total{{{listing},result=\"failed\"}}"));
    assert!(failed.is_some_and(|n| n >= 1.0), "{failed:?}");
    let transport = value(
        &text,
        &format!("cdn_usaged_api_requests_total{{account=\"main\",action=\"{action}\",code=\"transport\"}}"),
    );
    assert!(transport.is_some_and(|n| n >= 4.0), "{transport:?}");
    daemon.stop().await;
    assert!(get(&address, "/livez").await.is_none(), "nobody listens any more");
}

#[tokio::test]
async fn health_is_lost_with_the_gateway_and_comes_back_with_it() {
    let mut world = World::start().await;
    world.set("poll.request_timeout", "\"500ms\"");
    let address = world.serve_http();
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 1).await;
    assert_eq!(get(&address, "/livez").await.unwrap().0, 200);
    let report = until_healthz(&daemon, &address, 200).await;
    assert_eq!((report["healthy"].as_bool(), report["listings"][0]["account"].as_str()), (Some(true), Some("main")));

    world.cloud.settings().set_gateway_down(true);
    let report = until_healthz(&daemon, &address, 503).await;
    let listing = &report["listings"][0];
    assert_eq!((report["healthy"].as_bool(), listing["healthy"].as_bool()), (Some(false), Some(false)));
    assert!(listing["error"].is_string() && listing["overdue"][0].is_string(), "{report}");
    assert_eq!(get(&address, "/livez").await.unwrap().0, 200, "a restart would not help");

    world.cloud.settings().set_gateway_down(false);
    until_healthz(&daemon, &address, 200).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_series_of_a_removed_account_vanish_with_the_reload() {
    let mut world = World::start().await;
    let address = world.serve_http();
    let other = AccountSpec::new("LTAIother", "secret-of-other");
    world.add_account("other", other, &[DETAIL]);
    world.cloud.add_task("LTAIother", DETAIL, TaskSpec::default().with_id("o").with_object(Object::csv(4)));
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 2).await;
    let shown = "cdn_usaged_downloads{account=\"other\",export=\"usage-detail\",state=\"stored\"}";
    until_shown(&daemon, &address, shown, 1.0).await;

    world.forget_account("other");
    world.write_config();
    daemon.signal(Signal::HUP);
    daemon.await_events("config.reloaded", 1).await;
    daemon.until("nothing is shown of it", async || !metrics(&address).await.contains("account=\"other\"")).await;
    // And nothing brings them back.
    daemon.await_more("poll.completed", 5).await;
    let text = metrics(&address).await;
    assert!(!text.contains("account=\"other\""), "{text}");
    assert!(text.contains("account=\"main\""));
    let report = until_healthz(&daemon, &address, 200).await;
    assert_eq!(report["listings"].as_array().unwrap().len(), 1);
    daemon.stop().await;
    assert_eq!(world.number("SELECT count(*) FROM files WHERE account = 'other'").await, 1);
}

#[tokio::test]
async fn what_a_removed_account_still_had_under_way_brings_no_series_back() {
    let mut world = World::start().await;
    let address = world.serve_http();
    world.add_account("other", AccountSpec::new("LTAIother", "secret-of-other"), &[DETAIL]);
    let object = Object::generated(1, 1 << 20, Generated::Csv);
    world.cloud.add_task("LTAIother", DETAIL, TaskSpec::default().with_id("o").with_object(object));
    let slow = OssFault::Slow { bytes: 64 * 1024, every: Duration::from_millis(20) };
    world.cloud.script_oss(OssMatch::Task("o".to_owned()), slow, 1);
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    world.forget_account("other");
    world.write_config();
    daemon.signal(Signal::HUP);
    daemon.await_events("config.reloaded", 1).await;
    let ended = "SELECT count(*) FROM attempts WHERE account = 'other'";
    daemon.until("the transfer has ended", async || world.number(ended).await == 1).await;
    daemon.await_more("poll.completed", 3).await;
    let text = metrics(&address).await;
    assert!(!text.contains("account=\"other\""), "{text}");
    daemon.stop().await;
    world.assert_sound().await;
}
