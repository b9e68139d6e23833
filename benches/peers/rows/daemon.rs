//! The daemon at rest, and while it polls.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command},
    thread,
    time::Duration,
};

use cdn_usaged::clock;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    common::{Failed, status},
    listing::{AFTER, BUSY, QUIET},
    measure::{mebibytes, signal, voluntary_switches},
    processor::cpu_so_far_s,
    report::Report,
    strace,
    world::{LIFTED, Ours, Settings, World},
};

/// How long it is looked at while it polls all the time.
const QUICK_WINDOW: Duration = Duration::from_secs(10);
/// How long it is looked at while it rests.
const IDLE_WINDOW: Duration = Duration::from_secs(60);
/// Two polls of every account.
const FLEET_WINDOW: Duration = Duration::from_secs(132);
/// After this long, threads that the start needed have ended: the runtime keeps them for ten seconds.
const REST: Duration = Duration::from_secs(12);
const BEGUN_POLLING: Duration = Duration::from_secs(2);

/// A daemon that runs until this value goes.
struct Daemon {
    child: Child,
    log: PathBuf,
}

/// What it has done so far.
struct SoFar {
    at_s: f64,
    cpu_s: f64,
    switches: u64,
    polls: u64,
    calls: u64,
}

impl Daemon {
    fn start(ours: &Ours) -> Result<Self, Failed> {
        Self::spawn(ours.command("run"), &ours.dir)
    }

    fn spawn(mut command: Command, dir: &Path) -> Result<Self, Failed> {
        let log = dir.join("log");
        let child = command.stderr(File::create(&log)?).spawn()?;
        Ok(Self { child, log })
    }

    fn so_far(&self) -> Result<SoFar, Failed> {
        let pid = self.child.id();
        let (cpu_s, switches) = (cpu_so_far_s(pid)?, voluntary_switches(pid)?);
        let (mut polls, mut calls) = (0, 0);
        for line in fs::read_to_string(&self.log)?.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
            if line.get("event").and_then(Value::as_str) == Some("poll.completed") {
                polls += 1;
                calls += line.get("calls").and_then(Value::as_u64).unwrap_or(0);
            }
        }
        Ok(SoFar { at_s: now_s(), cpu_s, switches, polls, calls })
    }

    /// What it does within so long.
    fn window(&self, long: Duration) -> Result<SoFar, Failed> {
        let before = self.so_far()?;
        thread::sleep(long);
        let after = self.so_far()?;
        Ok(SoFar {
            at_s: after.at_s - before.at_s,
            cpu_s: after.cpu_s - before.cpu_s,
            switches: after.switches - before.switches,
            polls: after.polls - before.polls,
            calls: after.calls - before.calls,
        })
    }

    fn peak_mib(&self) -> Result<f64, Failed> {
        let peak = status(self.child.id(), "VmHWM").ok_or("the daemon is gone")?;
        Ok(mebibytes(peak))
    }

    fn has_polled(&self, times: u64) -> bool {
        self.so_far().is_ok_and(|so_far| so_far.polls >= times)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = signal(self.child.id(), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn now_s() -> f64 {
    clock::now().as_millisecond() as f64 / 1e3
}

/// Polls that follow each other as fast as the configuration permits, less what the daemon takes at rest.
pub fn quick(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("quick poll, nothing changed, 100,000 known tasks, TLS");
    let settings = Settings {
        poll: "interval = '20ms'\nidle_interval = '20ms'\nfull_sweep_interval = '30d'",
        tls: true,
        ..LIFTED
    };
    let at_rest = Settings { poll: "full_sweep_interval = '30d'", ..settings };
    let rest = Daemon::start(&world.ours_after(&AFTER, &AFTER, &at_rest)?)?;
    thread::sleep(REST);
    let rest = rest.window(QUICK_WINDOW)?;
    let (mut each_ms, mut calls, mut peak) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..world.runs {
        let daemon = Daemon::start(&world.ours_after(&AFTER, &AFTER, &settings)?)?;
        thread::sleep(BEGUN_POLLING);
        let seen = daemon.window(QUICK_WINDOW)?;
        let polls = seen.polls.max(1) as f64;
        each_ms.push((seen.cpu_s - rest.cpu_s).max(0.0) * 1e3 / polls);
        calls.push(seen.calls as f64 / polls);
        peak.push(daemon.peak_mib()?);
    }
    entry.values("calls", calls, Some(1.0))?;
    entry.values("processor, ms", each_ms, Some(1.0))?;
    entry.values("peak, MiB", peak, None)?;
    if !strace::is_there() {
        entry.absent("strace is not installed, so that flushes are not counted");
        return Ok(());
    }
    let ours = world.ours_after(&AFTER, &AFTER, &settings)?;
    let trace = ours.dir.join("trace");
    let daemon = Daemon::spawn(strace::traced(&ours.command("run"), &trace, true), &ours.dir)?;
    world.until("it polls under strace", || daemon.has_polled(50))?;
    let from_s = now_s();
    let seen = daemon.window(QUICK_WINDOW)?;
    let flushes = strace::count(&fs::read_to_string(&trace)?, from_s, now_s());
    entry.values("flushes", [flushes as f64 / seen.polls.max(1) as f64], Some(0.0))
}

pub fn idle(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("idle, 10 accounts");
    let daemon = Daemon::start(&world.ours(&QUIET, &Settings { accounts: 10, poll: "", ..LIFTED })?)?;
    world.until("every account was read", || daemon.has_polled(10))?;
    thread::sleep(REST);
    let seen = daemon.window(IDLE_WINDOW)?;
    entry.values("processor, % of a core", [seen.cpu_s / seen.at_s * 100.0], Some(0.02))?;
    entry.values("voluntary context switches a second", [seen.switches as f64 / seen.at_s], Some(2.0))?;
    entry.values("peak, MiB", [daemon.peak_mib()?], Some(20.0))
}

pub fn fleet(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("100 accounts, polled every minute, TLS");
    for (accounts, figure) in [(25, "peak with 25 accounts, MiB"), (50, "peak with 50 accounts, MiB")] {
        let daemon = Daemon::start(&world.ours(&BUSY, &Settings { accounts, tls: true, ..LIFTED })?)?;
        world.until("every account was read", || daemon.has_polled(accounts as u64))?;
        entry.values(figure, [daemon.peak_mib()?], None)?;
    }
    let daemon = Daemon::start(&world.ours(&BUSY, &Settings { accounts: 100, tls: true, ..LIFTED })?)?;
    world.until("every account was read", || daemon.has_polled(100))?;
    thread::sleep(REST);
    let seen = daemon.window(FLEET_WINDOW)?;
    if seen.polls < 150 {
        return Err(format!("only {} polls in {} s", seen.polls, seen.at_s).into());
    }
    entry.values("polls a minute", [seen.polls as f64 / seen.at_s * 60.0], None)?;
    entry.values("processor, % of a core", [seen.cpu_s / seen.at_s * 100.0], Some(1.0))?;
    entry.values("peak, MiB", [daemon.peak_mib()?], Some(40.0))
}
