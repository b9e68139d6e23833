//! Counts how often a program asks for what it wrote to be durable.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use crate::{common::Failed, world::peer};

/// The same command, traced into a file. `daemon`: the program stays the child that is started, and takes its signals.
pub fn traced(command: &Command, trace: &Path, daemon: bool) -> Command {
    let mut traced = peer(Path::new("strace"));
    if daemon {
        traced.arg("-D");
    }
    traced.args(["-f", "-qq", "-ttt", "-e", "trace=fsync,fdatasync,syncfs,msync", "-e", "signal=none", "-o"]);
    traced.arg(trace).arg(command.get_program()).args(command.get_args());
    traced.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
    traced
}

pub fn is_there() -> bool {
    Command::new("strace").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success())
}

/// Runs a command to its end and counts its flushes; none where there is no strace.
pub fn flushes(command: &Command, dir: &Path) -> Result<Option<usize>, Failed> {
    if !is_there() {
        return Ok(None);
    }
    let trace = dir.join("trace");
    let ended = traced(command, &trace, false).status()?;
    if !ended.success() {
        return Err(format!("the run under strace ended with {ended}").into());
    }
    Ok(Some(count(&fs::read_to_string(trace)?, 0.0, f64::INFINITY)))
}

/// Flushes between two moments, in seconds since 1970.
pub fn count(trace: &str, from_s: f64, to_s: f64) -> usize {
    let begins = |line: &&str| {
        let mut words = line.split_whitespace();
        let at = words.nth(1).and_then(|at| at.parse::<f64>().ok());
        let is_call = words.next().is_some_and(|call| !call.starts_with("<...") && !call.starts_with("+++"));
        is_call && at.is_some_and(|at| at >= from_s && at <= to_s)
    };
    trace.lines().filter(begins).count()
}
