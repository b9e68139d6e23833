//! What a process takes: wall time, processor time with that of its children, and the peak of its resident memory.

use std::{
    fs,
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use cdn_usaged::clock;
use rustix::process::{Pid, Signal};

use crate::{
    common::{Failed, status},
    processor::children_cpu_s,
};

/// The longest that one process may take before it is ended.
const RUN_MAX: Duration = Duration::from_secs(300);
/// How often its memory is looked at. The kernel keeps the peak, so that only its last moments go unseen.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub struct Taken {
    pub wall_s: f64,
    pub cpu_s: f64,
    pub peak_mib: f64,
}

impl Taken {
    /// One after the other.
    pub fn then(self, next: Self) -> Self {
        Self {
            wall_s: self.wall_s + next.wall_s,
            cpu_s: self.cpu_s + next.cpu_s,
            peak_mib: self.peak_mib.max(next.peak_mib),
        }
    }
}

/// Runs a command to its end, which has to be a success.
pub fn run(command: &mut Command) -> Result<Taken, Failed> {
    run_while(command, |_| Ok(()), ExitStatus::success)
}

/// Runs a command, does something meanwhile, and waits for its end.
pub fn run_while(
    command: &mut Command,
    meanwhile: impl FnOnce(&Child) -> Result<(), Failed>,
    is_well: impl FnOnce(&ExitStatus) -> bool,
) -> Result<Taken, Failed> {
    let name = command.get_program().to_string_lossy().into_owned();
    let cpu_before = children_cpu_s()?;
    let began = clock::instant();
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|e| format!("start {name}: {e}"))?;
    let pid = child.id();
    let (over, peak_kib) = (AtomicBool::new(false), AtomicU64::new(0));
    let ended = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                if let Some(kib) = status(pid, "VmHWM") {
                    peak_kib.fetch_max(kib, Ordering::Relaxed);
                }
                if began.elapsed() > RUN_MAX {
                    let _ = signal(pid, Signal::KILL);
                }
                thread::sleep(LOOK_EVERY);
            }
        });
        let done = meanwhile(&child);
        if done.is_err() {
            let _ = signal(pid, Signal::KILL);
        }
        let ended = child.wait();
        let wall_s = began.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        done.and(Ok((ended?, wall_s)))
    });
    let (ended, wall_s) = ended?;
    if !is_well(&ended) {
        return Err(format!("{name} ended with {ended}").into());
    }
    // Everything else that this process started is waited for at the very end.
    let cpu_s = children_cpu_s()? - cpu_before;
    Ok(Taken { wall_s, cpu_s, peak_mib: mebibytes(peak_kib.into_inner()) })
}

/// Ends a process that this one started.
pub fn signal(pid: u32, signal: Signal) -> Result<(), Failed> {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("no process has this id")?;
    rustix::process::kill_process(pid, signal)?;
    Ok(())
}

pub fn mebibytes(kibibytes: u64) -> f64 {
    kibibytes as f64 / 1024.0
}

/// How often the threads of a process gave up the processor by themselves, so far.
pub fn voluntary_switches(pid: u32) -> Result<u64, Failed> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        // One that has ended meanwhile was idle anyway.
        let Ok(text) = fs::read_to_string(thread?.path().join("status")) else { continue };
        let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sum += line.and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or(0);
    }
    Ok(sum)
}
