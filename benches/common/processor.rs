//! What processes take of the processor.

use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

use crate::common::Failed;

/// Of all children that have been waited for, and theirs, in seconds.
pub fn children_cpu_s() -> Result<f64, Failed> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}

/// What a process that still runs has taken of the processor so far, in seconds.
pub fn cpu_so_far_s(pid: u32) -> Result<f64, Failed> {
    let clock = nix::time::ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(i32::try_from(pid)?))?;
    let now = clock.now()?;
    Ok(now.num_nanoseconds() as f64 / 1e9)
}
