//! One instance at a time: an advisory lock on `state_dir/lock`, which holds the owner's process id.

use std::{
    fs::{File, OpenOptions, Permissions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Held for as long as it lives; the kernel lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
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
        match file.try_lock() {
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
    fn a_missing_folder_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = Lock::take(&dir.path().join("nowhere")).unwrap_err().to_string();
        assert!(error.contains("nowhere/lock"), "{error}");
    }
}
