//! SIGHUP.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use cloudsim::{AccountSpec, Object, OssFault, OssMatch, TaskSpec};
use rustix::process::Signal;
use serde_json::Value;

use crate::common::{DETAIL, MAIN, Running, World, csv_path};

/// Writes the configuration, asks for it to be taken, and returns what is said of that.
async fn reload(world: &World, daemon: &Running, event: &str) -> Value {
    world.write_config();
    let before = daemon.events(event).len();
    daemon.signal(Signal::HUP);
    daemon.await_events(event, before + 1).await.remove(before)
}

fn polls_of(daemon: &Running, account: &str) -> usize {
    daemon.events("poll.completed").iter().filter(|e| e["account"] == account).count()
}

async fn until_polled(daemon: &Running, account: &str) {
    let before = polls_of(daemon, account);
    daemon.until(&format!("{account} is polled"), async || polls_of(daemon, account) > before + 1).await;
}

#[tokio::test]
async fn a_reload_adds_an_account_removes_one_and_changes_a_key() {
    let mut world = World::start().await;
    world.add_small(&["1"]);
    let other = AccountSpec::new("LTAIother", "secret-of-other");
    world.cloud.add_account(other.clone());
    world.cloud.add_task("LTAIother", DETAIL, TaskSpec::default().with_id("o"));
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;

    world.add_account("other", other, &[DETAIL]);
    let said = reload(&world, &daemon, "config.reloaded").await;
    assert_eq!((said["level"].as_str(), said["added"].as_str()), (Some("info"), Some("other")));
    assert!(said["removed"].is_null() && said["changed"].is_null(), "{said}");
    world.until_stored(&daemon, 2).await;

    world.set("poll.interval", "\"30ms\"");
    let said = reload(&world, &daemon, "config.reloaded").await;
    assert_eq!(said["changed"], "poll.interval");
    assert!(said["removed"].is_null() && said["added"].is_null(), "{said}");
    until_polled(&daemon, "main").await;
    until_polled(&daemon, "other").await;

    world.forget_account("main");
    let said = reload(&world, &daemon, "config.reloaded").await;
    assert_eq!(said["removed"], "main");
    // What was under way has ended by the second poll of the other.
    until_polled(&daemon, "other").await;
    let polls = polls_of(&daemon, "main");
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("2"));
    until_polled(&daemon, "other").await;
    assert_eq!(polls_of(&daemon, "main"), polls);
    assert_eq!(world.number("SELECT count(*) FROM tasks WHERE account = 'main'").await, 1, "its rows stay");
    let shown = world.run(&["tasks"]).await.expect(0);
    let line = |account: &str| shown.stdout.lines().find(|l| l.contains(account)).unwrap().to_owned();
    assert!(line("main").contains("unconfigured"), "{shown}");
    assert!(!line("other").contains("unconfigured"), "{shown}");

    // It comes back, and goes on where it was.
    world.add_account("main", AccountSpec::new(MAIN, "secret-of-main"), &[DETAIL]);
    let said = reload(&world, &daemon, "config.reloaded").await;
    assert_eq!(said["added"], "main");
    world.until_stored(&daemon, 3).await;
    daemon.stop().await;
    world.assert_sound().await;
}

#[tokio::test]
async fn a_reload_in_the_middle_of_a_transfer_does_not_disturb_it() {
    let mut world = World::start().await;
    let object = Object::generated(3, 1 << 20, cloudsim::Generated::Csv);
    world.add("1", object.clone());
    let slow = OssFault::Slow { bytes: 64 * 1024, every: Duration::from_millis(30) };
    world.cloud.script_oss(OssMatch::Any, slow, 1);
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    world.set("poll.interval", "\"30ms\"");
    world.set("download.concurrency", "2");
    let said = reload(&world, &daemon, "config.reloaded").await;
    assert_eq!(said["changed"], "poll.interval,download.concurrency");
    world.until_stored(&daemon, 1).await;
    daemon.stop().await;
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
    let results: Vec<_> = world.attempts("1").await.into_iter().map(|(result, _)| result).collect();
    assert_eq!(results, ["stored"]);
    assert_eq!(world.cloud.oss_calls().len(), 1);
}

#[tokio::test]
async fn a_configuration_that_is_wrong_or_needs_a_restart_is_refused_whole() {
    let mut world = World::start().await;
    let other = AccountSpec::new("LTAIother", "secret-of-other");
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let state_dir = format!("{:?}", world.state_dir());
    let elsewhere = format!("{:?}", world.path().join("elsewhere"));
    world.add_account("other", other, &[DETAIL]);
    for (key, wrong, right) in [
        ("poll.interval", "\"soon\"", "\"20ms\""),
        ("poll.intervall", "\"20ms\"", ""),
        ("storage.state_dir", elsewhere.as_str(), state_dir.as_str()),
        ("storage.download_dir", elsewhere.as_str(), ""),
        ("http.listen", "\"127.0.0.1:9469\"", ""),
        ("log.format", "\"text\"", "\"json\""),
    ] {
        world.set(key, wrong);
        let said = reload(&world, &daemon, "config.rejected").await;
        assert_eq!(said["level"], "error");
        let (section, name) = key.split_once('.').unwrap();
        let error = said["error"].as_str().unwrap();
        assert!(error.contains(section) && error.contains(name), "{key}: {error}");
        if right.is_empty() {
            world.unset(key);
        } else {
            world.set(key, right);
        }
        // The new account came with it, and was refused with it.
        until_polled(&daemon, "main").await;
        assert_eq!(world.number("SELECT count(*) FROM listings").await, 1);
    }
    world.add_small(&["2"]);
    world.until_stored(&daemon, 2).await;
    assert!(!world.path().join("elsewhere").exists());
    let said = reload(&world, &daemon, "config.reloaded").await;
    assert_eq!(said["added"], "other");
    until_polled(&daemon, "other").await;
    daemon.stop().await;
}

/// Whether a process has handlers for SIGHUP, SIGINT and SIGTERM.
fn catches_signals(pid: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:")).unwrap().trim();
    let wanted = [Signal::HUP, Signal::INT, Signal::TERM].iter().map(|s| 1_u64 << (s.as_raw() - 1)).sum::<u64>();
    u64::from_str_radix(caught, 16).unwrap() & wanted == wanted
}

#[tokio::test]
async fn a_reload_in_the_first_moments_never_ends_the_process() {
    let world = World::start().await;
    for n in 0..20_u64 {
        let daemon = world.spawn(&["run"]);
        // Before that, which takes the loader a moment, no program can be told anything.
        daemon.until("it catches signals", async || catches_signals(daemon.pid())).await;
        // Not a wait for anything: the moments differ.
        tokio::time::sleep(Duration::from_micros(n * 1_500)).await;
        daemon.signal(Signal::HUP);
        daemon.await_events("daemon.ready", 1).await;
        daemon.await_events("config.reloaded", 1).await;
        daemon.stop().await;
    }
}

#[tokio::test]
async fn a_storm_of_reloads_and_an_open_secret_leave_the_daemon_as_it_is() {
    let world = World::start().await;
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    for _ in 0..100 {
        daemon.signal(Signal::HUP);
    }
    let said = daemon.await_events("config.reloaded", 1).await;
    assert!(said[0]["changed"].is_null(), "{}", said[0]);
    world.until_stored(&daemon, 1).await;
    fs::set_permissions(world.key_file("main", "secret"), PermissionsExt::from_mode(0o644)).unwrap();
    let said = reload(&world, &daemon, "config.rejected").await;
    assert!(said["error"].as_str().unwrap().contains("chmod"), "{said}");
    fs::set_permissions(world.key_file("main", "secret"), PermissionsExt::from_mode(0o600)).unwrap();
    until_polled(&daemon, "main").await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_stop_in_the_first_moments_is_a_stop_like_any_other() {
    let world = World::start().await;
    world.add_small(&["1", "2", "3"]);
    for n in 0..20_u64 {
        let daemon = world.spawn(&["run"]);
        daemon.until("it catches signals", async || catches_signals(daemon.pid())).await;
        // Not a wait for anything: the moments differ.
        tokio::time::sleep(Duration::from_micros(n * 1_500)).await;
        let run = daemon.stop().await;
        assert_eq!(run.complaint(), "");
    }
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 3).await;
    daemon.stop().await;
    assert_eq!(world.number("SELECT count(*) FROM files").await, 3);
    world.assert_sound().await;
}
