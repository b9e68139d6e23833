//! No answer, half an answer, and answers that are none.

use std::fs;

use cloudsim::{ApiError, ErrorFormat, GatewayFault, GatewayMatch};

use super::{Door, Failing, assert_nothing_lost, assert_outlasted};
use crate::common::World;

/// The most that a process has had of memory at once, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

fn body(status: u16, content_type: &str, body: &str) -> GatewayFault {
    GatewayFault::Body { status, content_type: content_type.to_owned(), body: body.to_owned().into() }
}

#[tokio::test]
async fn a_gateway_that_refuses_connections_is_named_and_found_when_it_is_back() {
    let mut world = World::hasty().await;
    let door = Door::closed();
    world.set_endpoint(&door.endpoint());
    world.add_small(&["1", "2"]);
    let daemon = world.daemon().await;
    let failed = daemon.await_events("poll.failed", 3).await;
    for words in [door.endpoint().as_str(), "refused", "endpoint", "2 attempts"] {
        assert!(failed[2]["error"].as_str().unwrap().contains(words), "{words:?} is not in {}", failed[2]);
    }
    assert_eq!((failed[0]["level"].as_str(), failed[2]["level"].as_str()), (Some("warn"), Some("error")));
    let _open = door.open(&world);
    world.until_stored(&daemon, 2).await;
    assert_nothing_lost(&world, daemon, 2).await;
}

#[tokio::test]
async fn a_connection_that_breaks_or_falls_silent_anywhere_costs_only_time() {
    let mut world = World::hasty().await;
    world.set("poll.request_timeout", "\"150ms\"");
    let failing = |name, fault, said| Failing { name, fault, said, attempts: 2 };
    let faults = vec![
        failing("reset", GatewayFault::Reset, "cannot be reached"),
        failing("reset in the body", GatewayFault::ResetAfter(40), "the answer broke off"),
        failing("closed in the body", GatewayFault::CloseAfter(40), "the answer broke off"),
        failing("hang", GatewayFault::Hang, "no complete answer within 0.15 s; see poll.request_timeout"),
        failing("hang in the body", GatewayFault::StallAfter(40), "no complete answer within 0.15 s"),
    ];
    assert_outlasted(&world, faults).await;
}

#[tokio::test]
async fn a_gateway_that_answers_with_errors_of_its_own_or_of_a_proxy_costs_only_time() {
    let world = World::hasty().await;
    let html = "<html><head><title>502 Bad Gateway</title></head><body><center>nginx</center></body></html>";
    let error = |code, status| GatewayFault::Error(ApiError::new(code, status));
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let failing = |name, fault, said| Failing { name, fault, said, attempts: 2 };
    let faults = vec![
        failing("500", error("InternalError", 500), "InternalError (HTTP 500)"),
        failing("500 and deep lists", body(500, "text/plain", &deep), "HTTP 500: an answer that is not the service's"),
        failing("502", body(502, "text/html", html), "HTTP 502: an answer that is not the service's: 502 Bad Gateway"),
        failing("503", error("ServiceUnavailable", 503), "ServiceUnavailable (HTTP 503)"),
        failing(
            "503 and nothing",
            GatewayFault::Error(ApiError::new("x", 503).with_format(ErrorFormat::Empty)),
            "HTTP 503: the answer is empty",
        ),
    ];
    assert_outlasted(&world, faults).await;
}

#[tokio::test]
async fn an_answer_with_status_200_that_is_no_listing_costs_only_time() {
    let world = World::hasty().await;
    let error = |code, format| GatewayFault::Error(ApiError::new(code, 200).with_format(format));
    let failing = |name, fault, said, attempts| Failing { name, fault, said, attempts };
    let faults = vec![
        failing("half", GatewayFault::Truncated, "it is no JSON", 2),
        failing("nothing", GatewayFault::EmptyBody, "it is no JSON", 2),
        failing("a portal", body(200, "text/html", "<html>please log in</html>"), "not a page of the listing", 2),
        failing("an object", body(200, "application/json", "{}"), "neither a total nor rows", 2),
        failing("an error", error("InternalError", ErrorFormat::Json), "InternalError (HTTP 200)", 2),
        failing("an error in XML", error("InternalError", ErrorFormat::Xml), "InternalError (HTTP 200)", 2),
        // A code that nobody knows is not tried again before the next poll.
        failing("an unknown error", error("SomethingNew", ErrorFormat::Json), "SomethingNew (HTTP 200)", 1),
    ];
    assert_outlasted(&world, faults).await;
}

#[tokio::test]
async fn an_answer_of_100_mib_is_refused_at_its_bound_and_not_kept() {
    let world = World::hasty().await;
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::HugeBody(100), 2);
    world.add_small(&["2"]);
    let failed = daemon.await_events("poll.failed", 2).await;
    assert!(failed.iter().all(|e| e["error"].as_str().unwrap().contains("more than 16 MiB")), "{failed:?}");
    // One call a poll: what is that large will be so again.
    assert_eq!(world.cloud.faults_left().0, 0);
    let peak = peak_kib(daemon.pid());
    assert!(peak < 96 * 1024, "{peak} KiB were in use");
    world.until_stored(&daemon, 2).await;
    assert_nothing_lost(&world, daemon, 2).await;
}

#[tokio::test]
async fn an_answer_nested_ten_thousand_deep_is_a_row_that_cannot_be_read() {
    let world = World::hasty().await;
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::DeepNesting(10_000), u32::MAX);
    let rejected = daemon.await_events("row.rejected", 1).await;
    assert!(rejected[0]["error"].as_str().unwrap().contains("not an object"), "{}", rejected[0]);
    world.add_small(&["2"]);
    let polls = daemon.await_more("poll.completed", 6).await;
    assert!(polls.iter().all(|p| p["calls"].as_u64().unwrap() <= 30), "{polls:?}");
    world.cloud.clear_scripts();
    world.until_stored(&daemon, 2).await;
    assert_eq!(world.number("SELECT count(*) FROM rejected_rows").await, 1);
    assert_nothing_lost(&world, daemon, 2).await;
}
