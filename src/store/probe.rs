//! Whether the database can be written, found out without writing.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::{StatVfsMountFlags, statvfs};
use tokio::{task::spawn_blocking, time::timeout};

use super::Store;

/// Whoever asks for health waits for this. A transaction of ours takes milliseconds, and longer than this only on a
/// disk that is as good as gone.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the database cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritable {
    /// The file cannot be looked at.
    #[error("cannot look at the database {path}: {source}")]
    Missing {
        /// The database file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file that was opened has lost its name.
    #[error(
        "the database {path} was moved, removed or replaced while it was open: what is written goes to a file without \
         that name"
    )]
    Elsewhere {
        /// The database file.
        path: PathBuf,
    },
    /// Its file system takes no writes, as one that had errors does.
    #[error("the file system of the database {path} is mounted read-only")]
    ReadOnly {
        /// The database file.
        path: PathBuf,
    },
    /// No write could begin.
    #[error("cannot begin to write the database {path}: {source}")]
    Refused {
        /// The database file.
        path: PathBuf,
        /// Why not.
        source: sqlx::Error,
    },
    /// Somebody else writes all the time, or the disk does not answer.
    #[error("cannot begin to write the database {path} within {} s", PROBE_TIMEOUT.as_secs())]
    Busy {
        /// The database file.
        path: PathBuf,
    },
}

/// Which file a name stood for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let meta = fs::metadata(path)?;
        Ok(Self { device: meta.dev(), inode: meta.ino() })
    }
}

impl Store {
    /// Whether the database still is the file that was opened. An open file outlives its name: what is written to it
    /// then is lost with the process.
    ///
    /// # Errors
    /// [`Unwritable::Elsewhere`] when it is not; [`Unwritable::Missing`] when that cannot be told.
    pub async fn is_in_place(&self) -> Result<(), Unwritable> {
        let (path, known) = (self.path.clone(), self.file);
        let found = spawn_blocking(move || FileId::of(&path)).await.map_err(io::Error::from).flatten();
        match found {
            Ok(found) if found == known => Ok(()),
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Unwritable::Missing { path: self.path.clone(), source: e })
            }
            _ => Err(Unwritable::Elsewhere { path: self.path.clone() }),
        }
    }

    /// Whether a write could begin now. Takes the write lock and gives it back; takes 2 s at most.
    ///
    /// # Errors
    /// When it could not.
    pub async fn is_writable(&self) -> Result<(), Unwritable> {
        match timeout(PROBE_TIMEOUT, self.begin_to_write()).await {
            Ok(verdict) => verdict,
            Err(_) => Err(Unwritable::Busy { path: self.path.clone() }),
        }
    }

    async fn begin_to_write(&self) -> Result<(), Unwritable> {
        self.is_in_place().await?;
        let path = self.path.clone();
        let missing = |source| Unwritable::Missing { path: self.path.clone(), source };
        // An open lock outlives its file system's good days: that does not show in a transaction.
        let stat = spawn_blocking(move || statvfs(&path))
            .await
            .map_err(|e| missing(e.into()))?
            .map_err(|e| missing(e.into()))?;
        if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Unwritable::ReadOnly { path: self.path.clone() });
        }
        let refused = |source| Unwritable::Refused { path: self.path.clone(), source };
        // When this is cut off, the connection rolls back by itself.
        let transaction = self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(refused)?;
        transaction.rollback().await.map_err(refused)
    }
}
