//! One instance at a time: an advisory lock on `state_dir/lock`, which holds the owner's process id.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use jiff::Timestamp;

/// Somebody who only looks holds the lock for microseconds, see [`Lock::holder`]: whoever wants it tries so often.
const TRIES_MAX: u32 = 5;
/// With this between two tries.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// Held for as long as it lives; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who holds a state directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process id, as it wrote it.
    pub pid: Option<u32>,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// Why the state directory is not ours.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Exit status 75.
    #[error(
        "another cdn-usaged (pid {pid}) holds {path}; stop it first, or use the commands that only read, \
         and `retry`, which work beside it"
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What it names as its owner.
        pid: String,
    },
    /// The file system says no.
    #[error("cannot lock {path}: {source}; see that the folder exists and that this user may write there")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock of a state directory, which must exist.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let path = state_dir.join("lock");
        let io = |source| LockError::Io { path: path.clone(), source };
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&path)
            .map_err(io)?;
        match try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The owner may be between taking the lock and writing its id.
                let _ = (&file).take(32).read_to_string(&mut pid);
                let pid = if pid.trim().is_empty() { "unknown".to_owned() } else { pid.trim().to_owned() };
                return Err(LockError::Held { path, pid });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        if is_new {
            // Whatever the umask took: who may look at the database may see who holds it.
            file.set_permissions(Permissions::from_mode(0o640)).map_err(io)?;
        }
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()))
            .map_err(io)?;
        Ok(Self { _file: file })
    }

    /// Who holds the lock of a state directory; nobody when no instance runs. Writes nothing.
    ///
    /// # Errors
    /// When that cannot be told, as by a user who may not read the lock file.
    pub fn holder(state_dir: &Path) -> io::Result<Option<Holder>> {
        let file = match File::open(state_dir.join("lock")) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        // Only the kernel knows who holds it, and only asking for it tells. Shared, so that two who look see nobody.
        match file.try_lock_shared() {
            Ok(()) => file.unlock().map(|()| None),
            Err(TryLockError::Error(e)) => Err(e),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                (&file).take(32).read_to_string(&mut text)?;
                let since = file.metadata()?.modified().ok().and_then(|at| Timestamp::try_from(at).ok());
                Ok(Some(Holder { pid: text.trim().parse().ok(), since }))
            }
        }
    }
}

fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..TRIES_MAX {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(TRY_AGAIN),
            done => return done,
        }
    }
    file.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_and_told_who_holds_it_and_the_third_gets_it_when_the_first_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn whoever_looks_learns_who_holds_it_and_is_in_nobodys_way() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Lock::holder(dir.path()).unwrap(), None, "there is no lock file");
        let lock = Lock::take(dir.path()).unwrap();
        let holder = Lock::holder(dir.path()).unwrap().unwrap();
        assert_eq!(holder.pid, Some(std::process::id()));
        assert!(holder.since.is_some());
        drop(lock);
        assert_eq!(Lock::holder(dir.path()).unwrap(), None);
        // It holds the lock for a moment while it looks: that refuses nobody.
        let looks = File::open(dir.path().join("lock")).unwrap();
        looks.try_lock_shared().unwrap();
        thread::scope(|scope| {
            let taken = scope.spawn(|| Lock::take(dir.path()).map(|_| ()));
            drop(looks);
            taken.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Lock::take(&dir.path().join("nowhere")).unwrap_err().to_string();
        assert!(error.contains("nowhere/lock"), "{error}");
    }
}
