//! How the daemon ends, and when it does not begin.

use std::{fs, process::Stdio};

use cloudsim::{AccountSpec, TaskSpec};
use rustix::process::Signal;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use tokio::process::Command;

use crate::common::{DETAIL, MAIN, World, csv_path, finish, is_root};

#[tokio::test]
async fn either_signal_ends_an_idle_daemon_with_zero() {
    let mut world = World::start().await;
    world.add_small(&["1"]);
    for (signal, reason) in [(Signal::TERM, "SIGTERM"), (Signal::INT, "SIGINT")] {
        let daemon = world.daemon().await;
        world.until_stored(&daemon, 1).await;
        daemon.signal(signal);
        let run = daemon.end().await.expect(0);
        assert_eq!(run.event("daemon.stopping")["reason"], reason);
        assert_eq!(run.event("daemon.stopped")["level"], "info");
        assert!(run.events("daemon.failed").is_empty(), "{run}");
        assert_eq!(run.complaint(), "");
        // The next one waits for an hour, and is ended out of that.
        world.set("poll.idle_interval", "\"1h\"");
    }
    world.assert_sound().await;
}

#[tokio::test]
async fn a_signal_in_the_middle_of_a_transfer_ends_with_zero_and_the_next_daemon_goes_on_at_that_byte() {
    for signal in [Signal::TERM, Signal::INT] {
        let world = World::start().await;
        let object = world.add_stalling("1");
        let daemon = world.daemon().await;
        let partial = world.partial_with_bytes().await;
        daemon.signal(signal);
        daemon.end().await.expect(0);
        let there = fs::metadata(&partial).unwrap().len();
        assert!(there > 0 && there <= 700_000, "{there}");
        assert_eq!(world.attempts("1").await, [("interrupted".to_owned(), String::new())]);
        assert_eq!(world.state("1").await.as_deref(), Some("pending"));

        let daemon = world.daemon().await;
        world.until_stored(&daemon, 1).await;
        let run = daemon.stop().await;
        assert_eq!(run.event("download.stored")["resumed_bytes"], there);
        assert!(fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
        assert!(world.partials().is_empty());
        world.assert_sound().await;
    }
}

#[tokio::test]
async fn a_signal_while_the_gateway_says_nothing_ends_with_zero() {
    let world = World::start().await;
    world.cloud.script_gateway(cloudsim::GatewayMatch::Any, cloudsim::GatewayFault::Hang, u32::MAX);
    let daemon = world.daemon().await;
    daemon.until("a call is under way", async || world.cloud.gateway_call_count() > 0).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_second_signal_during_a_stop_ends_it_at_once_and_loses_nothing() {
    let world = World::start().await;
    let object = world.add_stalling("1");
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    // Nothing can be recorded while somebody else writes, and the stop waits for that.
    let mut db = SqliteConnectOptions::new().filename(world.database()).connect().await.unwrap();
    let lock = db.begin_with("BEGIN IMMEDIATE").await.unwrap();
    daemon.signal(Signal::TERM);
    daemon.await_events("daemon.stopping", 1).await;
    daemon.signal(Signal::TERM);
    let run = daemon.end().await.expect(1);
    assert!(run.complaint().contains("second signal"), "{run}");
    assert!(run.events("daemon.stopped").is_empty());
    lock.rollback().await.unwrap();
    db.close().await.unwrap();

    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    daemon.stop().await;
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
    let results: Vec<_> = world.attempts("1").await.into_iter().map(|(result, _)| result).collect();
    assert_eq!(results, ["interrupted", "stored"]);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_kill_leaves_nothing_that_the_next_daemon_does_not_mend() {
    let world = World::start().await;
    let object = world.add_stalling("1");
    world.add_small(&["2", "3"]);
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    daemon.signal(Signal::KILL);
    assert_eq!(daemon.end().await.status.code(), None);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 3).await;
    daemon.stop().await;
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, 3);
    assert_eq!(world.number("SELECT count(*) FROM files").await, 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn who_may_only_read_reads_while_the_daemon_runs_and_after_it_stopped() {
    if !is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let world = World::start().await;
    world.add_small(&["1", "2"]);
    let config = world.write_config();
    let database = world.database();
    let read = async |when: &str| {
        // The group may read, nobody else may anything.
        let mut own = Command::new(env!("CARGO_BIN_EXE_cdn-usaged"));
        own.env_clear().env("HOME", "/").arg("--config").arg(&config).args(["tasks", "--json"]);
        let run =
            finish(own.current_dir("/").stdin(Stdio::null()).kill_on_drop(true).uid(65534).gid(0)).await.expect(0);
        assert_eq!(run.rows().len(), 2, "{when}: {run}");
        let mut shell = Command::new("sqlite3");
        shell.arg("-readonly").arg(&database).arg("SELECT count(*) FROM tasks");
        let run = match shell.current_dir("/").kill_on_drop(true).uid(65534).gid(0).output().await {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                println!("skipped: there is no sqlite3 here");
                return;
            }
            other => other.unwrap(),
        };
        assert_eq!(
            String::from_utf8_lossy(&run.stdout).trim(),
            "2",
            "{when}: {}",
            String::from_utf8_lossy(&run.stderr)
        );
    };
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 2).await;
    read("while it runs").await;
    daemon.stop().await;
    read("after it stopped").await;
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_with_its_own_status() {
    let mut world = World::start().await;
    world.set("poll.interval", "\"soon\"");
    let run = world.run(&["run"]).await.expect(78);
    assert!(run.complaint().contains("config.toml") && run.complaint().contains("interval"), "{run}");
    assert!(!world.state_dir().exists());
    world.set("poll.interval", "\"20ms\"");

    fs::set_permissions(world.key_file("main", "secret"), std::os::unix::fs::PermissionsExt::from_mode(0o604)).unwrap();
    let run = world.run(&["run"]).await.expect(78);
    assert!(run.complaint().contains("chmod"), "{run}");
    fs::set_permissions(world.key_file("main", "secret"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    let daemon = world.daemon().await;
    let run = world.run(&["run"]).await.expect(75);
    assert!(run.complaint().contains(&daemon.pid().to_string()), "{run}");
    world.run(&["once"]).await.expect(75);
    daemon.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_ends_the_start_and_names_the_key() {
    let mut world = World::start().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    world.set("http.listen", &format!("\"{}\"", taken.local_addr().unwrap()));
    let run = world.run(&["run"]).await.expect(1);
    assert!(run.complaint().contains("http.listen"), "{run}");
    let failed = run.event("daemon.failed");
    assert!(failed["level"] == "error" && failed["error"].as_str().unwrap().contains("http.listen"), "{failed}");
    assert_eq!(run.event("daemon.stopping")["reason"], failed["error"]);
}

#[tokio::test]
async fn secrets_that_appear_later_are_used_without_a_restart() {
    let mut world = World::start().await;
    let keys = AccountSpec::new("LTAIlate", "secret-of-late");
    world.add_account("late", keys.clone(), &[DETAIL]);
    world.cloud.add_task("LTAIlate", DETAIL, TaskSpec::default().with_id("l"));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("1"));
    fs::remove_file(world.key_file("late", "secret")).unwrap();
    let daemon = world.daemon().await;
    daemon.await_events("credentials.rejected", 1).await;
    world.until_stored(&daemon, 1).await;
    assert!(world.cloud.gateway_calls().iter().all(|c| c.access_key_id == MAIN), "without a secret nothing is sent");
    world.write_keys("late", &keys);
    world.until_stored(&daemon, 2).await;
    let run = daemon.stop().await;
    assert_eq!(run.event("credentials.rejected")["account"], "late");
}
