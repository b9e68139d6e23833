//! The only writer under the download folder.
//!
//! A file is published by these system calls, in this order:
//!
//! ```text
//! write…            .incoming/PARTIAL          transfer, through [`Partial`]
//! fchmod, fsync     .incoming/PARTIAL          seal: the bytes are durable before any name promises them
//! mkdir, fsync      ACCOUNT, then EXPORT       place: a new folder's name is durable in its parent
//! renameat2(NOREPLACE)                         place: whole or not at all, and never over another file
//! fsync             ACCOUNT/EXPORT             place: the new name is durable; who places at the same moment shares it
//! ```
//!
//! `.incoming` itself is not flushed after the rename: if the old name came back after a crash, it would be the same file,
//! and the next attempt at the task would start it over.
//!
//! Every function blocks: callers are on blocking threads. Modes are set explicitly, so that no umask changes them. Folders
//! below the root are opened one by one without following symbolic links, so that nothing is written outside the root.

mod flush;
mod partial;

use std::{
    fs::{self, File, Permissions},
    io::{self, ErrorKind},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, RenameFlags},
    io::Errno,
};

use self::flush::Flushes;
pub(super) use self::partial::Partial;
use super::verify::digest_reader;
use crate::model::{filename::partial_name, task::TaskKey};

const FOLDER_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;
const INCOMING: &str = ".incoming";
const DAMAGED: &str = ".damaged";

/// Damaged files of one name that are kept side by side. A file is damaged once in years; at a thousand something else
/// is wrong, and a person should look.
const DAMAGED_MAX: u32 = 1000;

/// A file cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Something has the name already. It is left alone.
    #[error("publish {path}: the name is taken")]
    Exists {
        /// Relative to the download folder.
        path: String,
    },
    /// The path is not made of plain names.
    #[error("publish {path:?}: not a path below the download folder")]
    Path {
        /// As given.
        path: String,
    },
    /// The file system refuses.
    #[error("publish {path}: {source}")]
    Io {
        /// Relative to the download folder.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// What a published file's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigests {
    /// Length.
    pub bytes: u64,
    /// SHA-256.
    pub sha256: [u8; 32],
    /// CRC-64/XZ.
    pub crc64: u64,
}

/// How a published file compares with what was recorded of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The same bytes.
    Whole,
    /// Nothing has its name.
    Missing,
    /// Other bytes; the text says what differs.
    Damaged(String),
}

/// Bytes that this process may still write to the file system of a folder.
///
/// # Errors
/// When the file system does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    space(folder).map(|space| space.free_bytes)
}

/// How much room the file system of a folder has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// For whom it is: what is kept back for root is not free.
    pub free_bytes: u64,
    /// Altogether.
    pub total_bytes: u64,
}

/// The room on the file system of a folder.
///
/// # Errors
/// When it cannot be told.
pub fn space(folder: &Path) -> io::Result<Space> {
    let stat = rustix::fs::statvfs(folder)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Space { free_bytes: bytes(stat.f_bavail), total_bytes: bytes(stat.f_blocks) })
}

/// The download folder.
#[derive(Debug, Clone)]
pub struct Area {
    root: PathBuf,
    flushes: Arc<Flushes>,
}

impl Area {
    /// Opens the folder, making it and `.incoming` where they are missing. A root that exists keeps its mode.
    ///
    /// # Errors
    /// When a folder can neither be found nor made.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<Self> {
        let root = root.into();
        if !root.is_dir() {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(FOLDER_MODE)
                .create(&root)
                .map_err(|e| named(e, "make", &root))?;
            fs::set_permissions(&root, Permissions::from_mode(FOLDER_MODE))
                .map_err(|e| named(e, "set the mode of", &root))?;
        }
        let area = Self::at(root);
        area.folder(&[INCOMING]).map_err(|e| named(e, "open", &area.root.join(INCOMING)))?;
        Ok(area)
    }

    /// The folder as it is, for reading: nothing is made.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), flushes: Arc::default() }
    }

    /// Compares a published file with what was recorded of it.
    pub async fn condition(&self, path: &str, bytes: u64, sha256: &str) -> Condition {
        let (area, path) = (self.clone(), path.to_owned());
        match super::blocking(move || area.hash(&path)).await {
            Ok(None) => Condition::Missing,
            Ok(Some(found)) if found.bytes != bytes => {
                Condition::Damaged(format!("it has {} bytes, not {bytes}", found.bytes))
            }
            Ok(Some(found)) if hex::encode(found.sha256) != sha256 => {
                Condition::Damaged("its SHA-256 is another".to_owned())
            }
            Ok(Some(_)) => Condition::Whole,
            Err(e) => Condition::Damaged(format!("it cannot be read: {e}")),
        }
    }

    /// Takes over a file that has its name already and holds the very bytes of an unfinished one: the name is made
    /// durable, as [`Area::place`] would have, and the unfinished file goes.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn adopt(&self, path: &str, partial: &Path) -> io::Result<()> {
        let Some((folders, _)) = split(path) else { return Err(not_below(path)) };
        if let Some(file) = self.find(path)? {
            file.sync_all()?;
        }
        self.flushes.flush(&self.folder(&folders)?)?;
        Self::remove_unfinished(partial)
    }

    /// The folder itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the folder of unfinished files again if it was lost. The root is not: it may be a disk that is not mounted, and
    /// would be written beside. What cannot be made is met again when an unfinished file is opened.
    pub fn make_incoming(&self) {
        if let Err(e) = self.folder(&[INCOMING]) {
            tracing::debug!("{}: {e}", self.root.join(INCOMING).display());
        }
    }

    /// Where the unfinished file of a task is.
    #[must_use]
    pub fn partial(&self, task: &TaskKey) -> PathBuf {
        self.root.join(INCOMING).join(partial_name(task))
    }

    /// Makes a whole unfinished file durable and gives it the mode of a published one. One that could not be flushed is
    /// removed: the kernel tells only once that it lost bytes, and the next flush would succeed without them.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn seal(&self, partial: &Path) -> io::Result<()> {
        let file = File::open(partial)?;
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        if let Err(error) = file.sync_all() {
            Self::remove_unfinished(partial)?;
            return Err(error);
        }
        tracing::debug!(partial = %partial.display(), "a file is whole and flushed");
        Ok(())
    }

    /// Moves a sealed file to its final name, durably, unless that is taken.
    ///
    /// # Errors
    /// [`PlaceError::Exists`] when it is taken; then nothing has changed.
    pub fn place(&self, partial: &Path, path: &str) -> Result<(), PlaceError> {
        let Some((folders, name)) = split(path).filter(|_| !path.starts_with('.')) else {
            return Err(PlaceError::Path { path: path.to_owned() });
        };
        let failed = |source: io::Error| PlaceError::Io { path: path.to_owned(), source };
        let folder = self.folder(&folders).map_err(failed)?;
        match rename_noreplace(partial, &folder, name) {
            Err(Errno::EXIST) => return Err(PlaceError::Exists { path: path.to_owned() }),
            done => done.map_err(|e| failed(e.into()))?,
        }
        tracing::debug!(partial = %partial.display(), path, "a file has its name");
        self.flushes.flush(&folder).map_err(|e| failed(e.into()))
    }

    /// Hashes a published file; `None` when there is none.
    ///
    /// # Errors
    /// When it is there and cannot be read, or is no regular file.
    pub fn hash(&self, path: &str) -> io::Result<Option<FileDigests>> {
        self.hash_while(path, || true)
    }

    /// As [`Area::hash`], while `go_on` says so: it is asked between pieces.
    ///
    /// # Errors
    /// As [`Area::hash`], and with [`ErrorKind::Interrupted`] when `go_on` said no.
    pub fn hash_while(&self, path: &str, go_on: impl Fn() -> bool) -> io::Result<Option<FileDigests>> {
        let Some(file) = self.find(path)? else { return Ok(None) };
        let digests = digest_reader(file, false, go_on)?;
        Ok(Some(FileDigests { bytes: digests.length(), sha256: digests.sha256(), crc64: digests.crc64() }))
    }

    /// The length of a published file; `None` when there is none.
    ///
    /// # Errors
    /// When that cannot be told, or something that is no regular file has the name.
    pub fn size(&self, path: &str) -> io::Result<Option<u64>> {
        self.find(path)?.map(|file| file.metadata().map(|m| m.len())).transpose()
    }

    /// Moves a damaged file out of its name's way, to the same path below `.damaged/`, with a number if that is taken.
    /// Returns the new place, relative to the download folder; `None` when there was no file.
    ///
    /// # Errors
    /// When the file system refuses, or there are a thousand of the name already.
    pub fn move_damaged(&self, path: &str) -> io::Result<Option<String>> {
        let Some((folders, name)) = split(path) else { return Err(not_below(path)) };
        if self.find(path)?.is_none() {
            return Ok(None);
        }
        let damaged: Vec<&str> = std::iter::once(DAMAGED).chain(folders.iter().copied()).collect();
        let target = self.folder(&damaged)?;
        let origin = self.folder(&folders)?;
        for number in 1..=DAMAGED_MAX {
            let free = if number == 1 { name.to_owned() } else { format!("{name}.{number}") };
            match rename_noreplace_at(&origin, name, &target, &free) {
                Err(Errno::EXIST) => {}
                done => {
                    done?;
                    // The new name first: a crash in between leaves two names, never none.
                    rustix::fs::fsync(&target)?;
                    rustix::fs::fsync(&origin)?;
                    return Ok(Some(format!("{}/{free}", damaged.join("/"))));
                }
            }
        }
        Err(io::Error::other(format!(
            "{DAMAGED_MAX} damaged files named {name} are kept already; look at them, then remove some"
        )))
    }

    /// Removes the unfinished file of a task, if there is one; waits for an attempt that is still writing it.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove_partial(&self, task: &TaskKey) -> io::Result<()> {
        Self::remove_unfinished(&self.partial(task))
    }

    /// Removes an unfinished file, if it is there.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn remove_unfinished(partial: &Path) -> io::Result<()> {
        Partial::remove(partial, || true)
    }

    /// Every unfinished file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn list_partials(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join(INCOMING))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "part") {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Bytes that this process may still write to the folder's file system.
    ///
    /// # Errors
    /// When the file system does not say.
    pub fn free_bytes(&self) -> io::Result<u64> {
        free_bytes(&self.root)
    }

    /// Opens a folder below the root, making what is missing.
    fn folder(&self, names: &[&str]) -> io::Result<OwnedFd> {
        let mut folder = rustix::fs::open(&self.root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        for &name in names {
            folder = match open_folder(&folder, name) {
                Err(Errno::NOENT) => make_folder(&folder, name)?,
                opened => opened?,
            };
        }
        Ok(folder)
    }

    /// Opens a published file without following links and without waiting for a pipe's other end.
    fn find(&self, path: &str) -> io::Result<Option<File>> {
        let Some((folders, name)) = split(path) else { return Err(not_below(path)) };
        let mut folder = match rustix::fs::open(&self.root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => opened?,
        };
        for name in folders {
            folder = match open_folder(&folder, name) {
                Err(Errno::NOENT) => return Ok(None),
                opened => opened?,
            };
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            opened => File::from(opened?),
        };
        if file.metadata()?.is_file() {
            Ok(Some(file))
        } else {
            Err(io::Error::other(format!("{path} is not a regular file")))
        }
    }
}

fn named(error: io::Error, operation: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("{operation} {}: {error}", path.display()))
}

fn not_below(path: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{path:?} is not a path below the download folder"))
}

/// Folders and file name, if the path is made of plain names only.
fn split(path: &str) -> Option<(Vec<&str>, &str)> {
    let mut names: Vec<&str> = path.split('/').collect();
    let is_plain = |n: &&str| !n.is_empty() && *n != "." && *n != ".." && !n.contains('\0');
    if !names.iter().all(is_plain) {
        return None;
    }
    let name = names.pop()?;
    Some((names, name))
}

fn open_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    // A symbolic link in a folder's place fails with ENOTDIR.
    rustix::fs::openat(parent, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn make_folder(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let mode = Mode::from_raw_mode(FOLDER_MODE);
    match rustix::fs::mkdirat(parent, name, mode) {
        // Another download of the same listing was first.
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    let folder = open_folder(parent, name)?;
    rustix::fs::fchmod(&folder, mode)?;
    rustix::fs::fsync(parent)?;
    Ok(folder)
}

fn rename_noreplace(from: &Path, folder: &OwnedFd, name: &str) -> Result<(), Errno> {
    or_link(
        rustix::fs::renameat_with(CWD, from, folder, name, RenameFlags::NOREPLACE),
        || rustix::fs::linkat(CWD, from, folder, name, AtFlags::empty()),
        || rustix::fs::unlinkat(CWD, from, AtFlags::empty()),
    )
}

fn rename_noreplace_at(from: &OwnedFd, old: &str, to: &OwnedFd, new: &str) -> Result<(), Errno> {
    or_link(
        rustix::fs::renameat_with(from, old, to, new, RenameFlags::NOREPLACE),
        || rustix::fs::linkat(from, old, to, new, AtFlags::empty()),
        || rustix::fs::unlinkat(from, old, AtFlags::empty()),
    )
}

/// Where the kernel or the file system cannot rename without replacing: a link never replaces either. A crash between the
/// two leaves both names, never none.
fn or_link(
    renamed: Result<(), Errno>,
    link: impl FnOnce() -> Result<(), Errno>,
    unlink: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    match renamed {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            link()?;
            unlink()
        }
        done => done,
    }
}

#[cfg(test)]
mod tests;
