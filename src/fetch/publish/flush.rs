//! Flushes of folders: those who want one at the same moment share it. A flush takes 0.2 ms where disks are fast, and ten or
//! more where they are not; the flush of each file's own bytes cannot be shared, but several are under way side by side.

use std::{
    collections::HashMap,
    os::fd::OwnedFd,
    sync::{Condvar, Mutex, PoisonError},
};

use rustix::io::Errno;

/// The folders that are being flushed, by device and inode: a folder that was replaced is another one.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    folders: Mutex<HashMap<(u64, u64), Turns>>,
    ended: Condvar,
}

/// Flushes of one folder, counted. The entry goes with the last who wants one.
#[derive(Debug, Default)]
struct Turns {
    begun: u64,
    /// The last that succeeded.
    done: u64,
    is_under_way: bool,
    wanted_by: usize,
}

impl Flushes {
    /// Makes every change of the folder durable that was made before the call: by a flush that begins after it, of its own or
    /// another's. Nobody is told of a success that was not their own after a flush failed: everyone asks the kernel then.
    ///
    /// # Errors
    /// When the file system refuses.
    pub(super) fn flush(&self, folder: &OwnedFd) -> Result<(), Errno> {
        self.flush_by(folder, || rustix::fs::fsync(folder))
    }

    fn flush_by(&self, folder: &OwnedFd, fsync: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let stat = rustix::fs::fstat(folder)?;
        let id = (stat.st_dev, stat.st_ino);
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = folders.entry(id).or_default();
        turns.wanted_by += 1;
        let wanted = turns.begun + 1;
        // Ends: whoever finds none under way begins one.
        while let Some(turns) = folders.get_mut(&id).filter(|turns| turns.done < wanted) {
            if turns.is_under_way {
                folders = self.ended.wait(folders).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            turns.is_under_way = true;
            turns.begun += 1;
            let this = turns.begun;
            drop(folders);
            let flushed = fsync();
            folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(turns) = folders.get_mut(&id) {
                turns.is_under_way = false;
                if flushed.is_ok() {
                    turns.done = this;
                }
            }
            self.ended.notify_all();
            leave(&mut folders, id);
            return flushed;
        }
        leave(&mut folders, id);
        Ok(())
    }
}

fn leave(folders: &mut HashMap<(u64, u64), Turns>, id: (u64, u64)) {
    if let Some(turns) = folders.get_mut(&id) {
        turns.wanted_by -= 1;
        if turns.wanted_by == 0 {
            folders.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        thread,
    };

    use super::*;

    fn wanted(flushes: &Flushes) -> usize {
        flushes.folders.lock().unwrap().values().map(|turns| turns.wanted_by).sum()
    }

    /// One flush that is held up, and others that want theirs meanwhile; says how many flushes there were and what came
    /// of them.
    fn while_one_is_under_way(others: usize, outcome: Result<(), Errno>) -> (usize, Vec<Result<(), Errno>>) {
        let dir = tempfile::tempdir().unwrap();
        let (flushes, fd) = (Flushes::default(), OwnedFd::from(File::open(dir.path()).unwrap()));
        let flushed = AtomicUsize::new(0);
        let (begun, has_begun) = mpsc::channel::<()>();
        let (release, held) = mpsc::channel::<()>();
        let outcomes = thread::scope(|scope| {
            let (flushes, fd, flushed) = (&flushes, &fd, &flushed);
            let first = scope.spawn(move || {
                flushes.flush_by(fd, || {
                    begun.send(()).unwrap();
                    held.recv().unwrap();
                    flushed.fetch_add(1, Ordering::Relaxed);
                    Ok(())
                })
            });
            has_begun.recv().unwrap();
            let count = move || {
                flushed.fetch_add(1, Ordering::Relaxed);
                outcome
            };
            let others: Vec<_> = (0..others).map(|_| scope.spawn(move || flushes.flush_by(fd, count))).collect();
            while wanted(flushes) <= others.len() {
                thread::yield_now();
            }
            release.send(()).unwrap();
            std::iter::once(first).chain(others).map(|thread| thread.join().unwrap()).collect()
        });
        assert!(flushes.folders.lock().unwrap().is_empty(), "nothing is kept of a folder that nobody flushes");
        (flushed.into_inner(), outcomes)
    }

    #[test]
    fn those_who_want_a_flush_while_one_is_under_way_share_the_next() {
        let (flushes, outcomes) = while_one_is_under_way(7, Ok(()));
        assert_eq!(flushes, 2, "the one under way may have begun before their changes");
        assert!(outcomes.iter().all(Result::is_ok));
    }

    #[test]
    fn a_flush_that_fails_is_nobody_s_success() {
        let (flushes, outcomes) = while_one_is_under_way(3, Err(Errno::IO));
        assert_eq!(flushes, 4);
        assert_eq!(outcomes, [Ok(()), Err(Errno::IO), Err(Errno::IO), Err(Errno::IO)]);
    }
}
