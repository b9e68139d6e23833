//! What the binary takes of the service and of the disk, as counts of calls, flushes and reads: never as times.

#![cfg(target_arch = "x86_64")]

use std::sync::{Arc, Mutex};

use cloudsim::{Object, TaskSpec};
use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::{
    common::{DETAIL, MAIN, World},
    crashes::tracer::{Act, Call},
};

/// A poll, and what was flushed since the one before it, relative to the state directory.
#[derive(Debug)]
struct Turn {
    said: Value,
    flushed: Vec<String>,
}

fn event(call: &Call) -> Option<Value> {
    serde_json::from_str(&call.said()?).ok()
}

/// What a call makes durable.
fn flushed(call: &Call, folder: &std::path::Path) -> Option<String> {
    let point = call.point(folder)?;
    ["fsync", "fdatasync"].contains(&point.call).then_some(point.path)
}

/// The first so many polls of a daemon, which is killed then.
async fn turns(world: &World, count: usize) -> Vec<Turn> {
    let folder = world.state_dir().canonicalize().unwrap();
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let kept = Arc::clone(&seen);
    let look = move |call: &Call| {
        let (turns, since) = &mut *kept.lock().unwrap();
        if let Some(said) = event(call).filter(|said| said["event"] == "poll.completed") {
            turns.push(Turn { said, flushed: std::mem::take(since) });
            return if turns.len() == count { Act::KillBefore } else { Act::Pass };
        }
        since.extend(flushed(call, &folder));
        Act::Pass
    };
    let run = world.trace(&["run"], look).await;
    let turns = std::mem::take(&mut seen.lock().unwrap().0);
    assert_eq!(turns.len(), count, "{run}");
    turns
}

/// Ten pages of tasks that are known, finished, and without files.
async fn known() -> World {
    let world = World::start().await;
    world.cloud.add_tasks(MAIN, DETAIL, (0..500).map(|_| TaskSpec::default().with_status("failed")));
    world.once(0).await;
    world
}

#[tokio::test]
async fn a_quick_poll_without_news_makes_one_call_and_flushes_nothing() {
    let world = known().await;
    let before = world.cloud.gateway_calls().len();
    let turns = turns(&world, 12).await;
    for turn in &turns[2..] {
        let said = ["mode", "calls", "pages", "changed"].map(|key| turn.said[key].to_string());
        assert_eq!(said, ["\"quick\"", "1", "1", "0"], "{turn:?}");
        assert_eq!(turn.flushed, Vec::<String>::new(), "{turn:?}");
    }
    assert_eq!(world.cloud.gateway_calls().len() - before, turns.len());
    let polled = "SELECT last_poll_at > last_sweep_at FROM listings";
    assert_eq!(world.number(polled).await, 1, "it is on record all the same");
}

#[tokio::test]
async fn a_sweep_without_news_reads_each_page_once_and_flushes_nothing_but_the_row_of_its_listing() {
    let mut world = known().await;
    world.set("poll.full_sweep_interval", "\"10ms\"");
    let before = world.dump("tasks").await;
    for turn in &turns(&world, 6).await[2..] {
        // The last and the first page are read again: so it is known that nothing moved.
        let said = ["mode", "calls", "pages", "changed"].map(|key| turn.said[key].to_string());
        assert_eq!(said, ["\"full\"", "12", "12", "0"], "{turn:?}");
        assert_eq!(turn.flushed, ["usage.db-wal"], "{turn:?}");
    }
    assert_eq!(world.dump("tasks").await, before);
}

#[tokio::test]
async fn a_quick_poll_with_news_flushes_them() {
    let world = known().await;
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("new").with_status("failed"));
    let turns = turns(&world, 3).await;
    let news: Vec<_> = turns.iter().filter(|turn| turn.said["changed"] == 1).collect();
    assert_eq!(news.len(), 1, "{turns:?}");
    assert!(news[0].flushed.contains(&"usage.db-wal".to_owned()), "{turns:?}");
}

#[tokio::test]
async fn files_that_arrive_together_share_commits() {
    const FILES: usize = 96;
    let mut world = World::start().await;
    world.set("download.concurrency", "32");
    (0..FILES).for_each(|n| world.add(&n.to_string(), Object::csv(5)));
    let folder = world.path().canonicalize().unwrap().join("state");
    let flushes = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&flushes);
    let look = move |call: &Call| {
        kept.lock().unwrap().extend(flushed(call, &folder));
        Act::Pass
    };
    world.trace(&["once"], look).await.expect(0);
    let flushes = flushes.lock().unwrap();
    let count = |is_it: fn(&str) -> bool| flushes.iter().filter(|path| is_it(path)).count();
    assert_eq!(count(|path| path.ends_with(".part")), FILES, "each file by itself");
    let folders = count(|path| path == "exports/main/usage-detail");
    let commits = count(|path| path == "usage.db-wal");
    // Those who want a flush of the folder while one is under way share the next; a disk that is fast leaves few to share it.
    assert!((1..=FILES).contains(&folders), "{folders} flushes of the folder");
    // Alone, each file would take three: claimed, intended, stored.
    assert!((1..=FILES * 3 / 2).contains(&commits), "{commits} commits for {FILES} files");
}

/// A stopped world in whose database there are so many stored tasks, with all that belongs to them; and so large that it is
/// not checked whole at a start, which is done up to 16 MiB.
async fn grown(tasks: u32) -> World {
    let mut world = World::start().await;
    // Ready, it has nothing to do for a while: what it reads then is not in the way.
    world.set("poll.interval", "\"10m\"");
    world.set("poll.idle_interval", "\"10m\"");
    world.add("seed", Object::csv(5));
    world.once(0).await;
    let mut db = SqliteConnectOptions::new().filename(world.database()).connect().await.unwrap();
    let copies = [
        ("tasks", "'t' || n.n", ""),
        ("transitions", "'t' || n.n", "id"),
        ("downloads", "'t' || n.n", ""),
        ("attempts", "'t' || n.n", "id"),
        ("files", "'t' || n.n", "id"),
    ];
    for (table, id, left_out) in copies {
        let columns = world.columns(table).await;
        let columns: Vec<_> = columns.iter().map(String::as_str).filter(|column| *column != left_out).collect();
        let values: Vec<_> = columns
            .iter()
            .map(|column| match *column {
                "task_id" => id,
                "path" => "t.path || n.n",
                column => column,
            })
            .collect();
        let sql = format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {tasks})
             INSERT INTO {table} ({}) SELECT {} FROM n CROSS JOIN {table} AS t WHERE t.task_id = 'seed'",
            columns.join(", "),
            values.join(", ")
        );
        let done = sqlx::query(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
        assert!(done.rows_affected() >= u64::from(tasks), "{table}");
    }
    let large = "INSERT INTO rejected_rows (account, export, digest, raw, error, first_seen_at)
        VALUES ('main', 'usage', '', hex(zeroblob(9000000)), '', '')";
    sqlx::query(large).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    world
}

/// How often the daemon reads of its database until it says that it is ready.
async fn reads_until_ready(tasks: u32) -> usize {
    let world = grown(tasks).await;
    let database = world.database().canonicalize().unwrap();
    let reads = Arc::new(Mutex::new((0, false)));
    let kept = Arc::clone(&reads);
    let look = move |call: &Call| {
        let (reads, is_ready) = &mut *kept.lock().unwrap();
        *is_ready |= event(call).is_some_and(|said| said["event"] == "daemon.ready");
        *reads += usize::from(call.read().as_ref() == Some(&database));
        if *is_ready { Act::KillBefore } else { Act::Pass }
    };
    let run = world.trace(&["run"], look).await;
    let (reads, is_ready) = *reads.lock().unwrap();
    assert!(is_ready && reads > 0, "{reads} reads: {run}");
    reads
}

#[tokio::test]
async fn a_start_reads_no_more_of_a_database_with_more_tasks_until_it_is_ready() {
    let (few, many) = (reads_until_ready(1_000).await, reads_until_ready(20_000).await);
    // A tree of twenty times as many rows may be a level deeper. To read them all takes thousands.
    assert!(many <= few + 10, "{few} reads with 1,000 tasks, {many} with 20,000");
}
