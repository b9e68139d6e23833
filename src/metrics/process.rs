//! What every exporter tells of its process, under the names that they all use. It is looked up when it is shown.

use std::sync::PoisonError;

use rustix::process::{Resource, getrlimit};

use super::families::Machine;
use crate::clock;

impl Machine {
    /// What cannot be found out stays as it was: /proc may be closed.
    pub(super) fn look_at_process(&self) {
        // Two who look at once would both add what was spent since.
        let _turn = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        let spent = clock::cpu_time().as_secs_f64();
        self.cpu.inc_by((spent - self.cpu.get()).max(0.0));
        if let Some(bytes) = resident_bytes() {
            self.resident.set(bytes);
        }
        if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
            // One of them is the folder that is being read.
            self.open_fds.set(count(entries.count().saturating_sub(1)));
        }
        if let Some(max) = getrlimit(Resource::Nofile).current {
            self.max_fds.set(i64::try_from(max).unwrap_or(i64::MAX));
        }
    }
}

/// The second field of statm, in pages.
fn resident_bytes() -> Option<i64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: i64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(count(rustix::param::page_size()))
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
