//! Runs the binary: a clean environment, a deadline, and its lines afterwards or as they come.

use std::{
    ffi::OsStr,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    task::JoinSet,
};

use super::{DEADLINE, World};

const BINARY: &str = env!("CARGO_BIN_EXE_cdn-usaged");

/// How a run went.
#[derive(Debug)]
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// The exit status; a signal is none.
    #[track_caller]
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("ended by a signal: {self}"))
    }

    /// Asserts how it ended, and that it did not panic; shows everything when it did otherwise.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        assert!(!self.stderr.contains("panicked"), "{self}");
        self
    }

    /// The log lines.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        let lines = self.stderr.lines().filter(|l| l.starts_with('{'));
        lines.map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l:?}"))).collect()
    }

    /// The log lines of an event.
    #[track_caller]
    pub fn events(&self, name: &str) -> Vec<Value> {
        self.log().into_iter().filter(|l| l["event"] == name).collect()
    }

    /// The one log line of an event.
    #[track_caller]
    pub fn event(&self, name: &str) -> Value {
        let mut found = self.events(name);
        assert_eq!(found.len(), 1, "one {name} was expected: {self}");
        found.remove(0)
    }

    /// Standard error without the log lines: what is said to people.
    pub fn complaint(&self) -> String {
        let lines: Vec<_> = self.stderr.lines().filter(|l| !l.starts_with('{')).collect();
        lines.join("\n")
    }

    /// Standard output as JSON Lines.
    #[track_caller]
    pub fn rows(&self) -> Vec<Value> {
        self.stdout.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l:?}"))).collect()
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A command of the binary with nothing of this process's environment.
pub fn command(home: &std::path::Path) -> Command {
    let mut command = Command::new(BINARY);
    command
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end.
pub async fn finish(command: &mut Command) -> Run {
    let output = tokio::time::timeout(DEADLINE, command.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl World {
    /// The binary with the configuration as it is now.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = command(self.path());
        command.arg("--config").arg(self.write_config()).args(args);
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, args: &[&str]) -> Run {
        finish(&mut self.command(args)).await
    }

    /// Runs `once` to its end and asserts its exit status.
    pub async fn once(&self, code: i32) -> Run {
        self.run(&["once"]).await.expect(code)
    }

    /// Starts a command.
    pub fn spawn(&self, args: &[&str]) -> Running {
        Running::start(&mut self.command(args))
    }
}

impl Running {
    /// Starts a command that may have more in its environment.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let mut readers = JoinSet::new();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let kept = Arc::clone(&lines);
        readers.spawn(async move {
            while let Some(line) = stderr.next_line().await.unwrap() {
                kept.lock().unwrap().push(line);
            }
            String::new()
        });
        let mut stdout = child.stdout.take().unwrap();
        readers.spawn(async move {
            let mut text = String::new();
            stdout.read_to_string(&mut text).await.unwrap();
            text
        });
        Self { child, lines, readers }
    }
}

/// A command under way; killed when it is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    readers: JoinSet<String>,
}

impl Running {
    /// What it has written to standard error so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Run {
        let status = tokio::time::timeout(DEADLINE, self.child.wait()).await.unwrap().unwrap();
        let stdout = self.readers.join_all().await.concat();
        let stderr = self.lines.lock().unwrap().join("\n");
        Run { status, stdout, stderr }
    }
}
