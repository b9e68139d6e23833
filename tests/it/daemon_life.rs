//! What the daemon notices while it runs, and how little it does when there is nothing to notice.

use std::{collections::BTreeSet, fs, time::Duration};

use cloudsim::{ApiError, GatewayFault, GatewayMatch, Object, Order, TaskSpec};
use serde_json::Value;

use crate::common::{DETAIL, MAIN, USAGE, World, csv_path};

fn schedule(status: &str) -> Vec<(Duration, String)> {
    vec![(Duration::ZERO, status.to_owned())]
}

fn of<'a>(events: &'a [Value], account: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["account"] == account).collect()
}

#[tokio::test]
async fn a_task_is_followed_through_a_word_that_nobody_has_seen_to_its_file_while_others_come_and_go() {
    let mut world = World::start().await;
    world.set("poll.full_sweep_interval", "\"50ms\"");
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("1").with_status("created"));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("gone").with_status("failed"));
    let daemon = world.daemon().await;
    let has_seen = async |id: &str, word: &str| {
        daemon
            .until(&format!("task {id} is seen as {word}"), async || {
                daemon.events("task.transition").iter().any(|e| e["task_id"] == id && e["to"] == word)
            })
            .await;
    };
    has_seen("1", "created").await;
    has_seen("gone", "failed").await;
    world.update("1", |task| task.schedule = schedule("Exporting"));
    has_seen("1", "exporting").await;
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("new").with_object(Object::csv(9)));
    world.update("1", |task| task.schedule = schedule("success"));
    world.until_stored(&daemon, 2).await;
    world.cloud.remove_task(MAIN, DETAIL, "gone").unwrap();
    let unlisted = "SELECT count(*) FROM tasks WHERE task_id = 'gone' AND unlisted_at IS NOT NULL";
    daemon.until("the removed task is unlisted", async || world.number(unlisted).await == 1).await;
    let run = daemon.stop().await;

    let of_one = "SELECT kind || ' ' || COALESCE(from_status, '-') || ' ' || to_status FROM transitions \
                  WHERE task_id = '1' ORDER BY id";
    assert_eq!(world.texts(of_one).await, ["first - created", "status created exporting", "status exporting success"]);
    let of_gone = "SELECT kind || ' ' || to_status FROM transitions WHERE task_id = 'gone' ORDER BY id";
    assert_eq!(world.texts(of_gone).await, ["first failed", "unlisted failed"]);
    assert_eq!(world.published(), [csv_path("1"), csv_path("new")]);
    assert!(fs::read(world.file(&csv_path("new"))).unwrap() == Object::csv(9).body.to_bytes());
    let levels: BTreeSet<_> = run
        .events("task.transition")
        .iter()
        .map(|e| format!("{} {}", e["to"].as_str().unwrap(), e["level"].as_str().unwrap()))
        .collect();
    assert_eq!(
        levels.into_iter().collect::<Vec<_>>(),
        ["created info", "exporting warn", "failed warn", "success info"]
    );
    for event in ["daemon.started", "daemon.ready", "daemon.stopping", "daemon.stopped"] {
        assert_eq!(run.event(event)["level"], "info");
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn polls_of_a_quiet_listing_of_two_thousand_tasks_cost_one_call_each_and_write_no_task() {
    let world = World::start().await;
    world.cloud.add_tasks(MAIN, DETAIL, (0..1_990).map(|_| TaskSpec::default().with_status("failed")));
    for n in 0..10_u64 {
        world.add(&format!("s{n}"), Object::csv(n));
    }
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 10).await;
    daemon.await_events("poll.completed", 1).await;
    let quiet = world.everything().await;
    let polls = daemon.await_more("poll.completed", 25).await;
    assert_eq!(world.everything().await, quiet);
    let run = daemon.stop().await;
    assert_eq!(world.everything().await, quiet);

    for poll in polls.iter().skip(1) {
        let facts = ["mode", "pages", "calls", "total", "changed"].map(|k| poll[k].to_string());
        assert_eq!(facts, ["\"quick\"", "1", "1", "2000", "0"], "{poll}");
    }
    let all = run.events("poll.completed");
    let sweeps: Vec<_> = all.iter().filter(|p| p["mode"] == "full").collect();
    assert_eq!(sweeps.len(), 1);
    let of_sweep = usize::try_from(sweeps[0]["calls"].as_u64().unwrap()).unwrap();
    let calls = world.cloud.gateway_calls();
    let quick = &calls[of_sweep..];
    // The last may have been cut off by the stop.
    assert!(quick.len() - (all.len() - 1) <= 1, "{} calls for {} polls", quick.len(), all.len() - 1);
    assert!(quick.iter().all(|c| c.page == Some(1)));
}

#[tokio::test]
async fn a_task_stuck_on_the_last_page_costs_its_page_and_no_sweep() {
    let world = World::start().await;
    world.cloud.add_tasks(MAIN, DETAIL, (0..240).map(|_| TaskSpec::default().with_status("failed")));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("stuck").with_status("created"));
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 20).await;
    let run = daemon.stop().await;
    let polls = run.events("poll.completed");
    assert_eq!(polls[0]["mode"], "full");
    for poll in &polls[1..] {
        assert_eq!((poll["mode"].as_str(), poll["pages"].as_u64()), (Some("quick"), Some(2)), "{poll}");
    }
    let of_sweep = usize::try_from(polls[0]["calls"].as_u64().unwrap()).unwrap();
    let pages: BTreeSet<_> = world.cloud.gateway_calls()[of_sweep..].iter().filter_map(|c| c.page).collect();
    assert_eq!(pages.into_iter().collect::<Vec<_>>(), [1, 5]);
}

#[tokio::test]
async fn a_restart_continues_where_the_last_process_was() {
    let mut world = World::start().await;
    world.add_small(&["1", "2"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 2).await;
    daemon.await_events("poll.completed", 2).await;
    daemon.stop().await;
    let before = world.everything().await;

    // Not due for an hour; an account that was never read is, and shows that the daemon polls.
    world.set("poll.interval", "\"1h\"");
    world.set("poll.idle_interval", "\"1h\"");
    let other = cloudsim::AccountSpec::new("LTAIother", "secret-of-other");
    world.add_account("other", other, &[DETAIL, USAGE]);
    world.cloud.clear_history();
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 2).await;
    let run = daemon.stop().await;
    assert!(of(&run.events("poll.completed"), "main").is_empty(), "{run}");
    assert!(world.cloud.gateway_calls().iter().all(|c| c.access_key_id == "LTAIother"));

    // Due, and the sweep is not.
    world.set("poll.idle_interval", "\"20ms\"");
    let daemon = world.daemon().await;
    daemon.until("main is polled", async || of(&daemon.events("poll.completed"), "main").len() >= 3).await;
    let run = daemon.stop().await;
    assert!(run.events("poll.completed").iter().all(|p| p["mode"] == "quick"), "{run}");
    assert_eq!(world.everything().await, before, "nothing was begun again");
    assert_eq!(world.cloud.oss_calls().len(), 0);
}

#[tokio::test]
async fn a_listing_that_suddenly_shrinks_is_suspect_and_nothing_is_unlisted() {
    let mut world = World::start().await;
    world.set("poll.full_sweep_interval", "\"30ms\"");
    let ids = world.cloud.add_tasks(MAIN, DETAIL, (0..40).map(|_| TaskSpec::default().with_status("failed")));
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 2).await;
    for id in &ids[5..] {
        world.cloud.remove_task(MAIN, DETAIL, id).unwrap();
    }
    let suspects = daemon.await_events("poll.suspect", 4).await;
    daemon.stop().await;
    // One of them may have met the listing while it shrank.
    let last = suspects.last().unwrap();
    assert_eq!(
        (last["level"].as_str(), last["total"].as_u64(), last["previous"].as_u64()),
        (Some("error"), Some(5), Some(40))
    );
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE unlisted_at IS NOT NULL").await, 0);
    assert_eq!(world.number("SELECT count(*) FROM transitions WHERE kind <> 'first'").await, 0);
}

#[tokio::test]
async fn many_new_tasks_at_either_end_are_followed_inwards_and_too_many_are_left_to_a_sweep() {
    for order in [Order::AsAdded, Order::NewestFirst] {
        let mut world = World::start().await;
        world.set("poll.page_size", "5");
        world.cloud.settings().set_order(order);
        let failed = |count: usize| (0..count).map(|_| TaskSpec::default().with_status("failed"));
        world.cloud.add_tasks(MAIN, DETAIL, failed(50));
        let daemon = world.daemon().await;
        let known = async |count: i64| {
            daemon
                .until(&format!("{count} tasks are known"), async || {
                    world.number("SELECT count(*) FROM tasks").await == count
                })
                .await;
        };
        known(50).await;
        daemon.await_events("poll.completed", 2).await;
        world.cloud.add_tasks(MAIN, DETAIL, failed(32));
        known(82).await;
        daemon.await_more("poll.completed", 2).await;
        let sweeps = || daemon.events("poll.completed").iter().filter(|p| p["mode"] == "full").count();
        assert_eq!(sweeps(), 1, "{order:?}");

        world.cloud.add_tasks(MAIN, DETAIL, failed(200));
        known(282).await;
        daemon.until("a sweep is done", async || sweeps() == 2).await;
        daemon.await_more("poll.completed", 3).await;
        let run = daemon.stop().await;
        let polls = run.events("poll.completed");
        assert_eq!(polls.iter().filter(|p| p["mode"] == "full").count(), 2, "{order:?}: {run}");
        assert!(polls.iter().all(|p| p["mode"] == "full" || p["pages"].as_u64().unwrap() <= 20), "{run}");
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn new_tasks_behind_a_page_that_could_not_be_read_are_found_when_it_can() {
    let mut world = World::start().await;
    world.set("poll.page_size", "5");
    world.cloud.add_tasks(MAIN, DETAIL, (0..50).map(|_| TaskSpec::default().with_status("failed")));
    let daemon = world.daemon().await;
    daemon.await_events("poll.completed", 2).await;
    // The last page, the fifteenth, shows news; those behind it are on the next ones inwards.
    let unavailable = GatewayFault::Error(ApiError::new("ServiceUnavailable", 503));
    world.cloud.script_gateway(GatewayMatch::Page(14), unavailable, u32::MAX);
    world.cloud.add_tasks(MAIN, DETAIL, (0..25).map(|_| TaskSpec::default().with_status("failed")));
    daemon.await_events("poll.failed", 1).await;
    world.cloud.clear_scripts();
    daemon.until("all are known", async || world.number("SELECT count(*) FROM tasks").await == 75).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_task_that_is_no_success_any_more_waits_until_it_is_one_again() {
    let mut world = World::start().await;
    world.set("download.max_attempts", "1000");
    world.add("stored", Object::csv(2));
    world.add("waiting", Object::csv(3));
    world.update("waiting", |task| task.link = cloudsim::LinkMode::Absent);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    daemon.await_events("download.retrying", 1).await;
    for id in ["stored", "waiting"] {
        world.update(id, |task| task.schedule = schedule("created"));
    }
    let regressed = "SELECT count(*) FROM tasks WHERE status = 'created'";
    daemon.until("both are no success", async || world.number(regressed).await == 2).await;
    assert_eq!(world.state("stored").await.as_deref(), Some("stored"));
    assert_eq!(world.state("waiting").await.as_deref(), Some("pending"));
    let attempts = world.attempts("waiting").await.len();
    daemon.await_more("poll.completed", 5).await;
    assert!(world.attempts("waiting").await.len() <= attempts + 1, "nothing is tried meanwhile");
    for id in ["stored", "waiting"] {
        world.update(id, |task| {
            task.schedule = schedule("success");
            task.link = cloudsim::LinkMode::Default;
        });
    }
    world.until_stored(&daemon, 2).await;
    daemon.stop().await;
    assert_eq!(world.published(), [csv_path("stored"), csv_path("waiting")]);
    let words = "SELECT group_concat(to_status, ' ') FROM (SELECT to_status FROM transitions WHERE task_id = 'stored' ORDER BY id)";
    assert_eq!(world.texts(words).await, ["success created success"]);
    world.assert_sound().await;
}
