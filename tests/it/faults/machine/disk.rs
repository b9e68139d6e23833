//! A disk without room, and one that takes no writes.

use std::fs;

use cloudsim::{Generated, Object, OssFault, OssMatch};

use super::Disk;
use crate::common::{World, csv_path, get};

#[tokio::test]
async fn a_disk_that_fills_up_under_a_download_holds_it_until_there_is_room() {
    let world = World::start().await;
    let Some(disk) = Disk::mount(&world.downloads(), "1m") else { return };
    let object = Object::generated(7, 3 << 20, Generated::Csv);
    world.add("big", object.clone());
    world.add_small(&["1"]);
    // Nobody says how large it is: the file system itself has to.
    world.cloud.script_oss(OssMatch::Task("big".to_owned()), OssFault::NoLength, u32::MAX);
    let daemon = world.daemon().await;
    let low = daemon.await_events("storage.low", 1).await;
    assert_eq!((low[0]["level"].as_str(), low[0]["path"].as_str()), (Some("error"), world.downloads().to_str()));
    daemon.await_events("download.retrying", 1).await;
    daemon.await_more("poll.completed", 3).await;
    // It is tried every 50 ms, so that it is active now and then.
    daemon.until("it waits", async || world.state("big").await.as_deref() == Some("pending")).await;
    assert_eq!(world.number("SELECT failures FROM downloads WHERE task_id = 'big'").await, 0, "nobody's failure");
    assert!(!world.published().contains(&csv_path("big")));

    disk.set("size=64m");
    world.add_small(&["2"]);
    world.until_stored(&daemon, 3).await;
    daemon.await_events("storage.recovered", 1).await;
    let run = daemon.stop().await;
    let retries = run.events("download.retrying");
    assert!(retries.iter().all(|e| e["reason"] == "disk" && e["task_id"] == "big"), "{retries:?}");
    assert!(fs::read(world.file(&csv_path("big"))).unwrap() == object.body.to_bytes());
    assert!(world.partials().is_empty());
    world.assert_whole().await;
}

#[tokio::test]
async fn a_disk_without_room_for_the_database_is_said_and_waited_for() {
    let mut world = World::start().await;
    world.set("poll.full_sweep_interval", "\"100ms\"");
    let Some(disk) = Disk::mount(&world.state_dir(), "24m") else { return };
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let filler = disk.fill();
    let ids: Vec<String> = (2..=60).map(|n| n.to_string()).collect();
    world.add_small(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let failed = daemon.await_events("store.failed", 1).await;
    assert!(failed[0]["error"].as_str().unwrap().contains("full"), "{}", failed[0]);
    assert_eq!(world.number("SELECT count(*) FROM files").await, world.published().len() as i64);

    fs::remove_file(filler).unwrap();
    world.until_stored(&daemon, 60).await;
    daemon.stop().await;
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, 60);
    world.assert_whole().await;
}

#[tokio::test]
async fn a_start_on_a_full_disk_is_refused_and_says_so_and_the_commands_that_read_work() {
    let world = World::start().await;
    world.add_small(&["1"]);
    let Some(disk) = Disk::mount(&world.state_dir(), "4m") else { return };
    let filler = disk.fill();
    for words in ["once", "run"] {
        let run = world.run(&[words]).await.expect(1);
        assert!(run.complaint().contains("No space left on device"), "{run}");
    }
    fs::remove_file(filler).unwrap();
    world.once(0).await;

    world.add_small(&["2"]);
    let filler = disk.fill();
    for words in ["once", "run"] {
        let run = world.run(&[words]).await.expect(1);
        assert!(run.complaint().contains("disk is full; free some space"), "{run}");
    }
    world.run(&["tasks"]).await.expect(0);
    world.run(&["verify"]).await.expect(0);
    fs::remove_file(filler).unwrap();
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1"), csv_path("2")]);
    world.assert_whole().await;
}

#[tokio::test]
async fn a_state_directory_that_takes_no_writes_is_named_and_the_commands_that_read_work() {
    let world = World::start().await;
    world.add_small(&["1"]);
    let Some(disk) = Disk::mount(&world.state_dir(), "4m") else { return };
    for known in [false, true] {
        disk.set("ro");
        for words in ["once", "run"] {
            let run = world.run(&[words]).await.expect(1);
            let complaint = run.complaint();
            assert!(complaint.contains("Read-only file system"), "{run}");
            assert!(complaint.contains(world.state_dir().to_str().unwrap()), "{run}");
        }
        if known {
            world.run(&["tasks"]).await.expect(0);
            world.run(&["verify"]).await.expect(0);
        }
        disk.set("rw");
        world.once(0).await;
    }
    world.assert_whole().await;
}

#[tokio::test]
async fn a_disk_that_stops_taking_writes_is_said_and_a_restart_after_its_repair_goes_on() {
    let mut world = World::start().await;
    let address = world.serve_http();
    let image = world.path().join("image");
    let Some(mut disk) = Disk::mount_image(&world.state_dir(), &image) else { return };
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    daemon.until("/livez is well", async || get(&address, "/livez").await.is_some_and(|(s, _)| s == 200)).await;
    // As the kernel does it when the disk errs.
    disk.set("abort");
    world.add_small(&["2"]);
    daemon.await_events("store.failed", 2).await;
    let told = async || get(&address, "/livez").await;
    daemon.until("/livez says so", async || told().await.is_some_and(|(status, _)| status == 503)).await;
    daemon.signal(rustix::process::Signal::TERM);
    let run = daemon.end().await;
    assert!(!run.stderr.contains("panicked"), "{run}");

    disk.repair(&image);
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1"), csv_path("2")]);
    world.assert_whole().await;
}
