//! A clock that was set, and a daemon that was off for months: both show in the times that the database has.

use std::time::Duration;

use cloudsim::{Object, OssFault, OssMatch, TaskSpec};

use crate::common::{DETAIL, MAIN, RANGE, World, csv_path};

/// Every column that holds a time of our own clock, but for those of the append-only tables: nothing is judged by them.
const TIMES: [(&str, &[&str]); 3] = [
    ("listings", &["last_poll_at", "last_sweep_at", "last_consistent_sweep_at", "last_beat_at", "suspect_since"]),
    ("tasks", &["first_seen_at", "last_seen_at", "unlisted_at", "missed_at", "update_recorded_at"]),
    (
        "downloads",
        &[
            "not_before",
            "stored_at",
            "link_at",
            "wanted_at",
            "reissued_at",
            "rechecked_at",
            "active_since",
            "changed_at",
        ],
    ),
];

/// Moves every time in the database: by what our clock was wrong when they were written, or how long ago that was.
async fn shift(world: &World, days: i32) {
    for (table, columns) in TIMES {
        for column in columns {
            let moved = format!("strftime('%Y-%m-%dT%H:%M:%fZ', {column}, '{days:+} days')");
            world.meddle(&format!("UPDATE {table} SET {column} = {moved} WHERE {column} IS NOT NULL")).await;
        }
    }
}

/// Moves a task's update time, as the service does when it works on it again.
fn touch(world: &World, id: &str, object: Object, hours: i64) {
    let later = world.cloud.clock().now() + jiff::SignedDuration::from_hours(hours);
    world.update(id, |task| *task = task.clone().with_updated_at(later).with_object(object));
}

/// What waits for some time to come: given up, tried again later, looked at again at most once a day, missed once,
/// updated at most once an hour, not finished.
async fn waiting() -> World {
    let mut world = World::start().await;
    world.add_small(&["given-up", "later", "looked-at", "gone"]);
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("working").with_status("created"));
    for id in ["given-up", "later"] {
        world.cloud.script_oss(OssMatch::Task(id.to_owned()), OssFault::WrongCrc, u32::MAX);
    }
    world.once(1).await;
    touch(&world, "looked-at", Object::csv(21), 1);
    touch(&world, "working", Object::csv(1), 1);
    world.once(1).await;
    assert_eq!(world.number("SELECT count(*) FROM downloads WHERE rechecked_at IS NOT NULL").await, 1);
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE update_recorded_at IS NOT NULL").await, 2);
    let link = world.cloud.link(MAIN, DETAIL, "later", cloudsim::LinkStyle::V1).unwrap();
    world
        .meddle(&format!(
            "UPDATE downloads SET state = 'pending', link = '{link}', link_host = '{}', link_at = changed_at,
                    not_before = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+4 minutes') WHERE task_id = 'later';
             UPDATE tasks SET missed_at = last_seen_at WHERE task_id = 'gone'",
            world.cloud.oss_address()
        ))
        .await;
    world.cloud.clear_scripts();
    world.cloud.remove_task(MAIN, DETAIL, "gone");
    touch(&world, "looked-at", Object::csv(22), 2);
    touch(&world, "working", Object::csv(1), 2);
    world.set("poll.full_sweep_interval", "\"100ms\"");
    world
}

#[tokio::test]
async fn a_clock_that_was_set_back_or_forward_by_a_year_freezes_nothing() {
    for days in [365, -365] {
        let world = waiting().await;
        shift(&world, days).await;
        let daemon = world.daemon().await;
        for id in ["given-up", "later"] {
            let what = format!("{id} is stored ({days} days)");
            daemon.until(&what, async || world.state(id).await.as_deref() == Some("stored")).await;
        }
        let third = format!("main/usage-detail/{RANGE}_looked-at.r3.csv");
        daemon.until("another revision is there", async || world.published().contains(&third)).await;
        let kinds = "SELECT group_concat(kind, ' ') FROM (SELECT kind FROM transitions WHERE task_id = ";
        let kinds = async |id: &str| world.texts(&format!("{kinds}'{id}' ORDER BY id)")).await.pop().unwrap();
        daemon.until("gone is unlisted", async || kinds("gone").await == "first unlisted").await;
        daemon.until("the update is recorded", async || kinds("working").await == "first updated updated").await;
        world.update("working", |task| *task = task.clone().with_status("success"));
        world.until_stored(&daemon, 5).await;
        daemon.stop().await;
        let sql =
            "SELECT count(*) FROM listings WHERE last_poll_at BETWEEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 hour')
                        AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
        assert_eq!(world.number(sql).await, 1);
        world.assert_whole().await;
    }
}

#[tokio::test]
async fn after_months_without_a_daemon_what_cannot_be_had_any_more_is_said_and_the_rest_is_fetched() {
    let mut world = World::start().await;
    world.set("poll.full_sweep_interval", "\"100ms\"");
    world.set("download.max_attempts", "1000");
    world.add_small(&["stored"]);
    world.once(0).await;
    world.add_small(&["kept", "dropped"]);
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("never-done").with_status("created"));
    world.cloud.settings().set_oss_down(true);
    let daemon = world.daemon().await;
    daemon.until("all are known", async || world.number("SELECT count(*) FROM tasks").await == 4).await;
    daemon.await_events("download.retrying", 1).await;
    daemon.stop().await;

    // Three months: links are long expired, and the service lists some tasks no more.
    shift(&world, -90).await;
    world.cloud.clock().set_dates_by_wall(true);
    world.cloud.clock().advance(Duration::from_secs(90 * 24 * 3600));
    world.cloud.settings().set_oss_down(false);
    for id in ["stored", "dropped", "never-done"] {
        world.cloud.remove_task(MAIN, DETAIL, id);
    }
    world.add_small(&["new"]);
    world.set("download.max_attempts", "3");
    world.cloud.clear_history();
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 3).await;
    let abandoned = daemon.await_events("download.abandoned", 1).await;
    assert_eq!((abandoned[0]["task_id"].as_str(), abandoned[0]["reason"].as_str()), (Some("dropped"), Some("expired")));
    let unlisted = async || {
        let of = |e: &serde_json::Value| (e["kind"] == "unlisted").then(|| e["task_id"].as_str().unwrap().to_owned());
        let mut ids: Vec<_> = daemon.events("task.transition").iter().filter_map(of).collect();
        ids.sort();
        ids
    };
    daemon.until("all that are gone are said", async || unlisted().await.len() == 3).await;
    assert_eq!(unlisted().await, ["dropped", "never-done", "stored"]);
    let attempts = world.number("SELECT count(*) FROM attempts").await;
    daemon.await_more("poll.completed", 20).await;
    assert_eq!(world.number("SELECT count(*) FROM attempts").await, attempts, "it is not asked for again");
    daemon.stop().await;
    assert_eq!(world.published(), [csv_path("kept"), csv_path("new"), csv_path("stored")]);
    world.assert_whole().await;
}
