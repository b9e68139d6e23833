//! The folders, changed behind the program's back.

use std::fs;

use super::system;
use crate::common::{World, csv_path, finish};

#[tokio::test]
async fn a_state_directory_that_is_missing_is_made_also_after_it_was_lost() {
    let world = World::start().await;
    world.add_small(&["1"]);
    for _ in 0..2 {
        world.once(0).await;
        assert_eq!(world.published(), [csv_path("1")]);
        world.assert_whole().await;
        fs::remove_dir_all(world.state_dir()).unwrap();
    }
}

#[tokio::test]
async fn a_download_folder_that_was_deleted_is_made_by_the_next_start_and_retry_brings_the_files_back() {
    let world = World::start().await;
    world.add_small(&["1", "2"]);
    world.once(0).await;
    fs::remove_dir_all(world.downloads()).unwrap();
    let run = world.run(&["verify"]).await.expect(1);
    assert_eq!(run.stdout.matches("missing: ").count(), 2, "{run}");
    world.run(&["retry", "1", "2"]).await.expect(0);
    world.add_small(&["3"]);
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1"), csv_path("2"), csv_path("3")]);
    assert_eq!(world.number("SELECT count(*) FROM files").await, 3, "the same bytes are no new revision");
    world.assert_whole().await;
}

#[tokio::test]
async fn a_download_folder_that_is_deleted_under_a_daemon_is_said_and_once_it_is_there_again_all_is_stored() {
    let mut world = World::start().await;
    world.set("download.max_attempts", "1000");
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    fs::remove_dir_all(world.downloads()).unwrap();
    world.add_small(&["2", "3"]);
    let retrying = daemon.await_events("download.retrying", 4).await;
    for event in &retrying {
        assert_eq!(event["reason"], "disk");
        assert!(event["error"].as_str().unwrap().contains(world.downloads().to_str().unwrap()), "{event}");
    }
    assert!(!world.downloads().exists(), "a disk that is not mounted must not be written beside");

    fs::create_dir(world.downloads()).unwrap();
    world.until_stored(&daemon, 3).await;
    world.run(&["retry", "1"]).await.expect(0);
    daemon.until("the first is back", async || world.published().len() == 3).await;
    world.until_stored(&daemon, 3).await;
    daemon.stop().await;
    world.assert_whole().await;
}

#[tokio::test]
async fn a_file_system_that_cannot_rename_without_replacing_is_good_enough() {
    if !system("strace", &["-f", "true"]) {
        eprintln!("skipped: strace, which takes the call away, is not there or not permitted");
        return;
    }
    let world = World::start().await;
    world.add_small(&["1", "2"]);
    // Somebody else's file, in the place of the second: the link must not replace it.
    fs::create_dir_all(world.downloads().join("main/usage-detail")).unwrap();
    fs::write(world.file(&csv_path("2")), "not ours").unwrap();
    let once = world.command(["once"]);
    let mut traced = tokio::process::Command::new("strace");
    traced
        .args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", "inject=renameat2:error=EINVAL"])
        .arg(once.as_std().get_program())
        .args(once.as_std().get_args())
        .current_dir(world.path());
    finish(&mut traced).await.expect(0);
    let second = csv_path("2").replace(".csv", ".r2.csv");
    assert_eq!(world.published(), [csv_path("1"), csv_path("2"), second]);
    assert_eq!(fs::read_to_string(world.file(&csv_path("2"))).unwrap(), "not ours");
    assert!(world.partials().is_empty());
    world.assert_whole().await;
}
