//! A database that is lost, put back, or damaged under way.

use std::{
    fs,
    os::unix::{fs::FileExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
};

use cloudsim::Object;
use rustix::process::Signal;

use crate::common::{DETAIL, MAIN, RANGE, Running, World, csv_path};

/// Where `name` is kept in the folder of the test.
fn backup(world: &World) -> PathBuf {
    world.path().join("backup.db")
}

/// A backup as the handbook makes it: also while a daemon runs.
async fn back_up(world: &World) {
    world.meddle(&format!("VACUUM INTO '{}'", backup(world).display())).await;
}

/// What a published file is called in its second revision.
fn second(id: &str) -> String {
    format!("main/usage-detail/{RANGE}_{id}.r2.csv")
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Stores 1 and 2, makes a backup, and then a week goes by: 3 comes, 1 is changed, and the service drops 2.
async fn a_week_after_the_backup() -> World {
    let world = World::start().await;
    world.add_small(&["1", "2"]);
    world.once(0).await;
    back_up(&world).await;
    world.add_small(&["3"]);
    let later = world.cloud.clock().now() + jiff::SignedDuration::from_hours(1);
    world.update("1", |task| *task = task.clone().with_updated_at(later).with_object(Object::csv(11)));
    world.once(0).await;
    world.cloud.remove_task(MAIN, DETAIL, "2");
    world
}

#[tokio::test]
async fn a_database_from_last_week_finds_again_what_came_since() {
    let world = a_week_after_the_backup().await;
    let (published, files) = (world.published(), world.dump("files").await);
    assert_eq!(published, [csv_path("1"), second("1"), csv_path("2"), csv_path("3")]);
    fs::copy(backup(&world), world.database()).unwrap();
    world.add_small(&["4"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 4).await;
    daemon.until("the new revision is found", async || world.number("SELECT count(*) FROM files").await == 5).await;
    daemon.stop().await;
    let with_4: Vec<_> = published.iter().cloned().chain([csv_path("4")]).collect();
    assert_eq!(world.published(), with_4, "what is there is adopted, and nothing comes twice");
    assert_eq!(world.texts("SELECT path FROM files ORDER BY path").await, with_4);
    // The ids go on from where the backup was: a consumer goes back to its last one, as the handbook says.
    assert_eq!(world.dump("files").await[..2], files[..2]);
    assert_eq!(world.texts("SELECT CAST(id AS TEXT) FROM files ORDER BY id").await, ["1", "2", "3", "4", "5"]);
    world.assert_whole().await;
}

/// Small tasks with these numbers.
fn add_many(world: &World, numbers: std::ops::RangeInclusive<u32>) {
    let ids: Vec<String> = numbers.map(|n| n.to_string()).collect();
    world.add_small(&ids.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_database_that_is_put_back_beside_the_log_of_another_is_not_mixed_with_it() {
    let world = World::start().await;
    world.add_small(&["1", "2"]);
    world.once(0).await;
    back_up(&world).await;
    let daemon = world.daemon().await;
    // A log that holds all that came since would make the restored one whole again. SQLite writes it back now and then, as here,
    // so that it holds a part.
    add_many(&world, 3..=60);
    world.until_stored(&daemon, 60).await;
    world.meddle("PRAGMA wal_checkpoint(RESTART)").await;
    add_many(&world, 61..=80);
    world.until_stored(&daemon, 80).await;
    daemon.signal(Signal::KILL);
    daemon.end().await;
    let log = fs::read(beside(&world.database(), "-wal")).unwrap();
    assert!(!log.is_empty());
    fs::copy(backup(&world), world.database()).unwrap();
    let run = world.once(1).await;
    assert!(run.complaint().contains("damaged") && run.complaint().contains("-wal"), "{run}");
    assert!(fs::read(world.database()).unwrap() == fs::read(backup(&world)).unwrap(), "it is left as it is");
    assert!(fs::read(beside(&world.database(), "-wal")).unwrap() == log, "and so is the log");

    // As the message says, and the handbook.
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(beside(&world.database(), suffix)).unwrap();
    }
    world.once(0).await;
    assert_eq!(world.number("SELECT count(*) FROM files").await, 80);
    assert_eq!(world.published().len(), 80);
    world.assert_whole().await;
}

#[tokio::test]
async fn a_database_that_is_removed_or_replaced_under_a_daemon_ends_it_and_the_next_start_goes_on() {
    for replaced in [false, true] {
        let world = World::start().await;
        world.add_small(&["1"]);
        // With a manager that wants to hear of it often, the daemon looks after itself as often.
        let manager = world.path().join("notify");
        let _manager = UnixDatagram::bind(&manager).unwrap();
        let mut command = world.command(["run"]);
        let daemon = Running::start(command.env("NOTIFY_SOCKET", manager).env("WATCHDOG_USEC", "400000"));
        daemon.await_events("daemon.ready", 1).await;
        world.until_stored(&daemon, 1).await;
        back_up(&world).await;
        fs::remove_file(world.database()).unwrap();
        if replaced {
            fs::copy(backup(&world), world.database()).unwrap();
        }
        let run = daemon.end().await.expect(1);
        assert!(run.complaint().contains("moved, removed or replaced"), "{run}");
        assert!(run.complaint().contains(world.database().to_str().unwrap()), "{run}");

        world.add_small(&["2"]);
        let daemon = world.daemon().await;
        world.until_stored(&daemon, 2).await;
        daemon.stop().await;
        assert_eq!(world.published(), [csv_path("1"), csv_path("2")]);
        world.assert_whole().await;
    }
}

#[tokio::test]
async fn a_database_that_is_damaged_under_a_daemon_is_said_and_a_restored_one_adopts_the_files() {
    let world = World::start().await;
    add_many(&world, 1..=80);
    world.once(0).await;
    back_up(&world).await;
    let before = world.published();
    let daemon = world.daemon().await;
    let file = fs::OpenOptions::new().write(true).open(world.database()).unwrap();
    let half = usize::try_from(file.metadata().unwrap().len() / 2).unwrap();
    file.write_all_at(&vec![0xA5; half], 8192).unwrap();
    world.add_small(&["81"]);
    let failed = daemon.await_events("store.failed", 3).await;
    assert!(failed.iter().all(|e| e["error"].as_str().unwrap().contains("malformed")), "{failed:?}");
    daemon.stop().await;
    let run = world.once(1).await;
    assert!(run.complaint().contains("damaged"), "{run}");
    assert!(before.iter().all(|path| world.published().contains(path)));

    fs::copy(backup(&world), world.database()).unwrap();
    world.once(0).await;
    assert_eq!(world.published().len(), 81);
    assert_eq!(world.number("SELECT count(*) FROM files").await, 81);
    world.assert_whole().await;
}
