//! The example script reads a real journal and calls for a person.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cdn_usaged::{clock, logging};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{alerts::SCRIPT, emitted::calls};

pub type Fields = BTreeMap<String, String>;

/// What the journal is sent for each call of the events.
pub fn entries() -> Vec<Fields> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("socket");
    let journal = UnixDatagram::bind(&path).unwrap();
    let layer = logging::journald_layer(path, logging::filter("info").unwrap(), std::io::sink);
    let subscriber = tracing_subscriber::registry().with(layer);
    let mut buffer = vec![0; 1 << 16];
    tracing::subscriber::with_default(subscriber, || {
        let entry = |call: fn()| {
            call();
            let bytes = journal.recv(&mut buffer).unwrap();
            let entry = String::from_utf8(buffer[..bytes].to_vec()).unwrap();
            entry.lines().map(|line| line.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
        };
        journal.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        calls().into_iter().map(|(_, call)| call).map(entry).collect()
    })
}

const JOURNAL_REMOTE: [&str; 2] = ["/usr/lib/systemd/systemd-journal-remote", "/lib/systemd/systemd-journal-remote"];

/// A journal, what the script remembers, and a command that writes down what it is told.
struct Scene {
    dir: TempDir,
    export: String,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("journal")).unwrap();
        fs::create_dir(dir.path().join("state")).unwrap();
        let scene = Self { dir, export: String::new() };
        scene.command("#!/bin/sh\nprintf '[%s] ' \"$2\" >>\"$1\"\ncat >>\"$1\"\n");
        scene
    }

    fn command(&self, text: &str) {
        let path = self.path("command");
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// An entry of some time ago.
    fn log(&mut self, ago: SignedDuration, entry: &Fields) {
        let at = clock::now().saturating_sub(ago).unwrap();
        let since = at.duration_since(Timestamp::UNIX_EPOCH).as_micros();
        let boot = "0123456789abcdef0123456789abcdef";
        self.export += &format!("__REALTIME_TIMESTAMP={since}\n__MONOTONIC_TIMESTAMP={since}\n_BOOT_ID={boot}\n");
        self.export += "_SYSTEMD_UNIT=cdn-usaged.service\n";
        for (name, value) in entry {
            self.export += &format!("{name}={value}\n");
        }
        self.export.push('\n');
    }

    fn write(&self) {
        let (export, journal) = (self.path("export"), self.path("journal/test.journal"));
        fs::write(&export, &self.export).unwrap();
        let _ = fs::remove_file(&journal);
        let remote = JOURNAL_REMOTE.iter().find(|path| Path::new(path).exists()).unwrap();
        let done = Command::new(remote).arg("-o").arg(journal).arg(export).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }

    /// Runs the script; returns what people were told, a line each.
    fn run(&self) -> (Output, Vec<String>) {
        let told = self.path("told");
        let _ = fs::remove_file(&told);
        let done = Command::new("sh")
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(SCRIPT))
            .env("CDN_USAGED_ALERT_COMMAND", format!("{} {}", self.path("command").display(), told.display()))
            .env("CDN_USAGED_JOURNAL", self.path("journal"))
            .env("STATE_DIRECTORY", self.path("state"))
            .output()
            .unwrap();
        let told = fs::read_to_string(told).unwrap_or_default();
        (done, told.lines().map(str::to_owned).collect())
    }

    fn journalctl(&self, arguments: &[&str]) -> String {
        let journal = format!("--directory={}", self.path("journal").display());
        let done = Command::new("journalctl").arg(journal).args(["-q", "-o", "cat"]).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    }
}

fn is_equipped() -> bool {
    let there = JOURNAL_REMOTE.iter().any(|path| Path::new(path).exists());
    if !there {
        let _ = writeln!(io::stderr(), "not run, as systemd-journal-remote is not installed: {SCRIPT}");
    }
    there
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

fn of<'e>(entries: &'e [Fields], event: &str) -> impl Iterator<Item = &'e Fields> {
    entries.iter().filter(move |entry| entry["CDN_USAGED_EVENT"] == event)
}

#[test]
fn the_script_says_once_what_was_logged_and_what_was_not() {
    if !is_equipped() {
        return;
    }
    let entries = entries();
    let mut scene = Scene::new();
    let polled = |mode: &str, account: &str| {
        let mut entry = of(&entries, "poll.completed").find(|e| e["CDN_USAGED_MODE"] == mode).unwrap().clone();
        entry.insert("CDN_USAGED_ACCOUNT".to_owned(), account.to_owned());
        entry
    };
    scene.log(minutes(3 * 24 * 60), &polled("quick", "long-gone"));
    scene.log(minutes(20 * 60), &polled("full", "main"));
    scene.log(minutes(60), &polled("full", "silent"));
    for (at, entry) in entries.iter().filter(|e| e["CDN_USAGED_EVENT"] != "poll.completed").enumerate() {
        scene.log(minutes(30) - SignedDuration::from_secs(at.try_into().unwrap()), entry);
    }
    let mut unlisted = of(&entries, "task.transition").find(|e| e["CDN_USAGED_TO"] == "failed").unwrap().clone();
    unlisted.insert("CDN_USAGED_KIND".to_owned(), "unlisted".to_owned());
    scene.log(minutes(5), &unlisted);
    let mut damaged = of(&entries, "download.retrying").next().unwrap().clone();
    damaged.insert("CDN_USAGED_REASON".to_owned(), "integrity".to_owned());
    scene.log(minutes(5), &damaged);
    scene.log(minutes(1), &polled("quick", "main"));
    scene.write();
    let (done, told) = scene.run();
    assert!(done.status.success(), "{done:?}");
    let mut alerts: Vec<_> = told.iter().filter_map(|line| line.strip_prefix('[')?.split(']').next()).collect();
    alerts.sort_unstable();
    let expected = [
        "CdnUsagedCredentialsRejected",
        "CdnUsagedDown",
        "CdnUsagedDownloadAbandoned",
        "CdnUsagedIntegrity",
        "CdnUsagedListingSuspect",
        "CdnUsagedPollStale",
        "CdnUsagedReloadRejected",
        "CdnUsagedRowsRejected",
        "CdnUsagedStorageLow",
        "CdnUsagedStoreErrors",
        "CdnUsagedSweepStale",
        "CdnUsagedTaskFailed",
        "CdnUsagedWindowBeyondReach",
        "CdnUsagedWindowOverdue",
    ];
    alerts.dedup();
    assert_eq!(alerts, expected, "{told:?}");
    let line = |alert: &str| told.iter().filter(|line| line.starts_with(&format!("[{alert}]"))).collect::<Vec<_>>();
    assert!(line("CdnUsagedPollStale").iter().all(|line| line.contains("silent/usage-detail")), "{told:?}");
    assert!(line("CdnUsagedSweepStale").iter().all(|line| line.contains("main/usage-detail")), "{told:?}");
    assert!(line("CdnUsagedDownloadAbandoned")[0].contains("is given up after attempt 20"), "{told:?}");
    assert_eq!(line("CdnUsagedTaskFailed").len(), 1, "{told:?}");
    let (done, again) = scene.run();
    assert!(done.status.success() && again.is_empty(), "{again:?}");
}

#[test]
fn what_could_not_be_told_is_told_at_the_next_run() {
    if !is_equipped() {
        return;
    }
    let entries = entries();
    let mut scene = Scene::new();
    scene.log(minutes(2), of(&entries, "download.abandoned").next().unwrap());
    scene.write();
    scene.command("#!/bin/sh\nexit 1\n");
    let (done, told) = scene.run();
    assert!(!done.status.success() && told.is_empty(), "{done:?}");
    scene.command("#!/bin/sh\nprintf '[%s] ' \"$2\" >>\"$1\"\ncat >>\"$1\"\n");
    let (done, told) = scene.run();
    assert!(done.status.success() && told.len() == 1, "{done:?} {told:?}");
}

#[test]
fn an_empty_journal_is_a_daemon_that_does_not_run() {
    if !is_equipped() {
        return;
    }
    let entries = entries();
    let mut scene = Scene::new();
    scene.log(minutes(300), of(&entries, "daemon.ready").next().unwrap());
    scene.write();
    let (done, told) = scene.run();
    assert!(done.status.success(), "{done:?}");
    assert_eq!(told, ["[CdnUsagedDown] nothing was logged by cdn-usaged.service for 35 minutes"]);
    scene.log(minutes(1), of(&entries, "poll.failed").next().unwrap());
    scene.write();
    let (_, told) = scene.run();
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn journalctl_finds_an_event_by_its_id() {
    if !is_equipped() {
        return;
    }
    let entries = entries();
    let mut scene = Scene::new();
    for entry in &entries {
        scene.log(minutes(2), entry);
    }
    scene.write();
    for (event, id) in cdn_usaged::events::MESSAGE_IDS {
        let found = scene.journalctl(&[&format!("MESSAGE_ID={id}")]);
        let messages: String = of(&entries, event).map(|entry| format!("{}\n", entry["MESSAGE"])).collect();
        assert!(!messages.is_empty());
        assert_eq!(found, messages, "{event}");
    }
    let failed = scene.journalctl(&["CDN_USAGED_EVENT=task.transition", "CDN_USAGED_TO=failed"]);
    assert_eq!(failed.lines().count(), 1, "{failed}");
}
