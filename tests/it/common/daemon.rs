//! The daemon under way, and what it has said so far.

use std::net::TcpListener;

use cloudsim::{Object, TaskSpec};
use rustix::process::Signal;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{DEADLINE, LOOK_EVERY, MAIN, Run, Running, World};

/// So many lines are shown of a daemon that does not do what it should.
const SHOWN: usize = 60;

impl World {
    /// A world in which a sweep, and with it what was given up, comes often.
    pub async fn hasty() -> Self {
        let mut world = Self::start().await;
        world.set("poll.full_sweep_interval", "\"100ms\"");
        world.set("retry.call_attempts", "2");
        world
    }

    /// Stops the daemon and asserts that so many tasks are stored, that nothing is left to do, and that nothing can be
    /// forgotten.
    pub async fn assert_all_stored(&self, daemon: Running, count: i64) {
        daemon.stop().await;
        let stored = "SELECT count(*) FROM downloads WHERE state = 'stored' AND wanted_at IS NULL";
        assert_eq!(self.number(stored).await, count);
        assert_eq!(self.number("SELECT count(*) FROM downloads").await, count);
        assert_eq!(self.published().len(), usize::try_from(count).unwrap());
        assert!(self.partials().is_empty());
        self.run(&["verify"]).await.expect(0);
        self.assert_sound().await;
    }

    /// Starts the daemon and waits until it is ready, which it is without the cloud.
    pub async fn daemon(&self) -> Running {
        let daemon = self.spawn(&["run"]);
        daemon.await_events("daemon.ready", 1).await;
        daemon
    }

    /// How many downloads are in a state.
    pub async fn count(&self, state: &str) -> usize {
        let count = self.number(&format!("SELECT count(*) FROM downloads WHERE state = '{state}'")).await;
        usize::try_from(count).unwrap()
    }

    /// Waits until so many downloads are stored.
    pub async fn until_stored(&self, daemon: &Running, count: usize) {
        daemon.until(&format!("{count} files are stored"), async || self.count("stored").await == count).await;
    }

    /// Adds small successes of `main`.
    pub fn add_small(&self, ids: &[&str]) {
        for id in ids {
            self.add(id, Object::csv(id.len() as u64));
        }
    }

    /// Changes a task of `main`.
    #[track_caller]
    pub fn update(&self, id: &str, change: impl FnOnce(&mut TaskSpec)) {
        assert!(self.cloud.update_task(MAIN, super::DETAIL, id, change), "there is no task {id}");
    }

    /// Has the daemon serve HTTP on a port that is free now, and says where.
    pub fn serve_http(&mut self) -> String {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        self.set("http.listen", &format!("{free:?}"));
        free
    }
}

/// The status and the body of an answer; none when nobody listens.
pub async fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().unwrap(), body.to_owned()))
}

impl Running {
    /// The log lines so far.
    pub fn log(&self) -> Vec<Value> {
        self.lines().iter().filter_map(|l| serde_json::from_str(l).ok()).collect()
    }

    /// The log lines of an event so far.
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.log().into_iter().filter(|l| l["event"] == name).collect()
    }

    /// Waits until an event has come so often, and returns all of them.
    pub async fn await_events(&self, name: &str, count: usize) -> Vec<Value> {
        self.until(&format!("{name} is said {count} times"), async || self.events(name).len() >= count).await;
        self.events(name)
    }

    /// Waits until an event has come so many times more.
    pub async fn await_more(&self, name: &str, more: usize) -> Vec<Value> {
        let before = self.events(name).len();
        self.await_events(name, before + more).await.split_off(before)
    }

    /// Waits until a condition holds; shows what the daemon said if it never does.
    pub async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        let wait = async {
            while !holds().await {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            let lines = self.lines();
            let last = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
            panic!("it never came about that {what}; last lines:\n{last}");
        }
    }

    /// Asks it to end, and asserts that it ended well.
    pub async fn stop(self) -> Run {
        self.signal(Signal::TERM);
        self.end().await.expect(0)
    }
}
