//! What the service manager is told.

use std::{os::unix::net::UnixDatagram, sync::Mutex};

use rustix::process::Signal;

use crate::common::{Running, World};

/// A socket in the place of the manager's.
struct Manager {
    socket: UnixDatagram,
    heard: Mutex<Vec<String>>,
}

impl Manager {
    fn new(world: &World) -> Self {
        let socket = UnixDatagram::bind(world.path().join("notify")).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self { socket, heard: Mutex::default() }
    }

    fn daemon(&self, world: &World, watchdog_usec: Option<&str>) -> Running {
        let mut command = world.command(["run"]);
        command.env("NOTIFY_SOCKET", world.path().join("notify"));
        if let Some(usec) = watchdog_usec {
            command.env("WATCHDOG_USEC", usec);
        }
        Running::start(&mut command)
    }

    /// Every line so far.
    fn heard(&self) -> Vec<String> {
        let mut heard = self.heard.lock().unwrap();
        let mut buffer = [0; 4096];
        while let Ok(bytes) = self.socket.recv(&mut buffer) {
            heard.extend(String::from_utf8(buffer[..bytes].to_vec()).unwrap().lines().map(str::to_owned));
        }
        heard.clone()
    }

    fn count(&self, line: &str) -> usize {
        self.heard().iter().filter(|l| *l == line).count()
    }

    async fn hears(&self, daemon: &Running, line: &str, times: usize) {
        daemon.until(&format!("the manager hears {line}"), async || self.count(line) >= times).await;
    }
}

#[tokio::test]
async fn the_manager_hears_of_a_start_without_the_cloud_of_a_reload_and_of_the_end() {
    let world = World::start().await;
    world.cloud.settings().set_gateway_down(true);
    let manager = Manager::new(&world);
    let daemon = manager.daemon(&world, None);
    manager.hears(&daemon, "READY=1", 1).await;
    daemon.await_events("poll.failed", 1).await;
    daemon
        .until("a sentence is said", async || {
            manager.heard().iter().any(|l| l.starts_with("STATUS=1 listing of 1 account; "))
        })
        .await;
    daemon.signal(Signal::HUP);
    manager.hears(&daemon, "READY=1", 2).await;
    daemon.signal(Signal::TERM);
    daemon.end().await.expect(0);

    let heard = manager.heard();
    // How often it says these is nobody's promise.
    let is_once = |l: &&String| !l.starts_with("STATUS=") && !l.starts_with("WATCHDOG=");
    let words: Vec<_> = heard.iter().filter(is_once).map(|l| l.split_once('=').unwrap()).collect();
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["READY", "RELOADING", "MONOTONIC_USEC", "READY", "STOPPING"], "{heard:?}");
    assert!(words.iter().all(|(name, value)| *name == "MONOTONIC_USEC" || *value == "1"));
}

#[tokio::test]
async fn the_watchdog_is_fed_while_the_scheduler_turns() {
    let world = World::start().await;
    let manager = Manager::new(&world);
    let daemon = manager.daemon(&world, Some("200000"));
    manager.hears(&daemon, "WATCHDOG=1", 5).await;
    world.cloud.settings().set_gateway_down(true);
    daemon.await_events("poll.failed", 1).await;
    let before = manager.count("WATCHDOG=1");
    manager.hears(&daemon, "WATCHDOG=1", before + 3).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_ready_again_with_the_old_one() {
    let mut world = World::start().await;
    let manager = Manager::new(&world);
    let daemon = manager.daemon(&world, None);
    manager.hears(&daemon, "READY=1", 1).await;
    world.set("poll.interval", "\"soon\"");
    world.write_config();
    daemon.signal(Signal::HUP);
    daemon.await_events("config.rejected", 1).await;
    manager.hears(&daemon, "RELOADING=1", 1).await;
    manager.hears(&daemon, "READY=1", 2).await;
    daemon.stop().await;
}
