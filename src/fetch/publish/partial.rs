//! The unfinished file of one attempt: what is in it is what has been hashed, at every return from here.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Advice, FlockOperation};

use crate::fetch::verify::{Digests, digest_reader};

/// Written bytes are handed to the disk every so often, so that the flush at the end does not wait for the whole file.
/// Larger steps gain nothing measurable, smaller ones cost calls.
const WRITEBACK_BYTES: u64 = 8 * 1024 * 1024;

/// An open unfinished file and the digests of exactly its bytes. It is locked: an attempt that was dropped may still be
/// writing its last blocks in the background, and the next attempt waits for it.
#[derive(Debug)]
pub(in crate::fetch) struct Partial {
    path: PathBuf,
    file: File,
    digests: Digests,
    written_back: u64,
}

impl Partial {
    /// Opens the file of an earlier attempt and hashes it; `None` when there is none or it is empty. `is_wanted` is asked
    /// once the file is locked, and while it is hashed.
    pub(in crate::fetch) fn resume(path: &Path, is_wanted: impl Fn() -> bool) -> io::Result<Option<Self>> {
        let Some(file) = open_locked(OpenOptions::new().read(true).write(true), path)? else { return Ok(None) };
        let digests = digest_reader(&file, false, is_wanted)?;
        let written_back = digests.length();
        Ok((written_back > 0).then(|| Self { path: path.to_owned(), file, digests, written_back }))
    }

    /// Starts from nothing, whatever is there. `is_wanted` is asked once the file is locked: an attempt that was dropped
    /// while it waited must not cut the file of the one after it.
    pub(in crate::fetch) fn fresh(path: &Path, with_md5: bool, is_wanted: impl Fn() -> bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = open_locked(&options, path)?.ok_or(io::ErrorKind::NotFound)?;
        if !is_wanted() {
            return Err(unwanted());
        }
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(0)?;
        Ok(Self { path: path.to_owned(), file, digests: Digests::new(with_md5), written_back: 0 })
    }

    /// Appends. After an error the file has the bytes that it had before.
    pub(in crate::fetch) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            let length = self.digests.length();
            self.file.set_len(length)?;
            self.file.seek(SeekFrom::Start(length))?;
            return Err(error);
        }
        self.digests.update(bytes);
        let pending = self.digests.length() - self.written_back;
        if pending >= WRITEBACK_BYTES {
            // Advice that dirty pages are not wanted starts writing them, and waits for nothing. It is only advice.
            let _ = rustix::fs::fadvise(
                &self.file,
                self.written_back,
                std::num::NonZeroU64::new(pending),
                Advice::DontNeed,
            );
            self.written_back = self.digests.length();
        }
        Ok(())
    }

    /// Adds the MD5 to the digests, by reading the file again where it was not computed on the way.
    pub(in crate::fetch) fn with_md5(&mut self) -> io::Result<()> {
        if self.digests.md5().is_none() {
            self.file.seek(SeekFrom::Start(0))?;
            self.digests = digest_reader(&self.file, true, || true)?;
        }
        Ok(())
    }

    /// Where it is.
    pub(in crate::fetch) fn path(&self) -> &Path {
        &self.path
    }

    /// The digests of what is in the file.
    pub(in crate::fetch) const fn digests(&self) -> &Digests {
        &self.digests
    }

    /// The file, to look into.
    pub(in crate::fetch) const fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Makes what is there durable, so that a resume after a crash finds what was hashed.
    pub(in crate::fetch) fn keep(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Removes the file, and lets go of it after that.
    pub(in crate::fetch) fn discard(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }

    /// Removes the file of an earlier attempt, if there is one. `is_wanted` is asked once it is locked.
    pub(in crate::fetch) fn remove(path: &Path, is_wanted: impl Fn() -> bool) -> io::Result<()> {
        let Some(_locked) = open_locked(OpenOptions::new().write(true), path)? else { return Ok(()) };
        if is_wanted() { std::fs::remove_file(path) } else { Err(unwanted()) }
    }
}

fn unwanted() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, "the attempt was dropped")
}

/// Opens the file and waits until nobody else has it; `None` when it is not there. Whoever had it may have removed it
/// meanwhile, so the name is looked up again; three times, because only one attempt at a time may be in the background.
fn open_locked(options: &OpenOptions, path: &Path) -> io::Result<Option<File>> {
    for _ in 0..3 {
        let file = match options.open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
        let ours = file.metadata()?;
        match std::fs::metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(Some(file)),
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Err(io::Error::other("the unfinished file keeps being replaced by someone else"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    fn at(dir: &tempfile::TempDir, bytes: &[u8]) -> PathBuf {
        let path = dir.path().join("x.part");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_resumed_file_goes_on_behind_its_hashed_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir, b"hello ");
        let mut partial = Partial::resume(&path, || true).unwrap().unwrap();
        partial.append(b"world").unwrap();
        assert_eq!(partial.digests().crc64(), 5_981_764_153_023_615_706);
        partial.with_md5().unwrap();
        assert_eq!(hex::encode(partial.digests().md5().unwrap()), "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(std::fs::read(&path).unwrap(), b"hello world");
    }

    #[test]
    fn nothing_and_an_empty_file_cannot_be_resumed() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Partial::resume(&dir.path().join("x.part"), || true).unwrap().is_none());
        assert!(Partial::resume(&at(&dir, b""), || true).unwrap().is_none());
    }

    #[test]
    fn a_dropped_attempt_that_wakes_up_late_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = at(&dir, b"of the next attempt");
        assert!(Partial::fresh(&path, false, || false).is_err());
        assert!(Partial::remove(&path, || false).is_err());
        assert!(Partial::resume(&path, || false).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"of the next attempt");
    }

    /// Returns once the kernel shows somebody who waits for the lock of a file.
    fn until_somebody_waits_for(file: &File) {
        let inode = format!(":{} ", file.metadata().unwrap().ino());
        let deadline = clock::instant() + Duration::from_secs(60);
        let waits = |line: &str| line.contains("-> FLOCK") && line.contains(&inode);
        while !std::fs::read_to_string("/proc/locks").unwrap().lines().any(waits) {
            assert!(clock::instant() < deadline, "nobody waits");
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_cannot_be_opened_is_told_and_not_taken_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part");
        std::fs::create_dir(&path).unwrap();
        assert!(Partial::resume(&path, || true).is_err());
        assert!(Partial::remove(&path, || true).is_err());
        assert!(path.is_dir());
    }

    #[test]
    fn the_next_attempt_waits_and_finds_what_the_last_one_wrote_or_that_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part");
        let mut first = Partial::fresh(&path, false, || true).unwrap();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| Partial::resume(&path, || true).unwrap().map(|p| p.digests().length()));
            until_somebody_waits_for(&first.file);
            first.append(b"hello").unwrap();
            drop(first);
            assert_eq!(next.join().unwrap(), Some(5));
        });
        let first = Partial::resume(&path, || true).unwrap().unwrap();
        std::thread::scope(|scope| {
            let next = scope.spawn(|| Partial::resume(&path, || true).unwrap().is_none());
            until_somebody_waits_for(&first.file);
            first.discard().unwrap();
            assert!(next.join().unwrap());
        });
    }

    #[test]
    fn a_write_that_fails_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let mut partial = Partial::fresh(&dir.path().join("x.part"), false, || true).unwrap();
        partial.append(b"hello").unwrap();
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let real = std::mem::replace(&mut partial.file, full);
        // A device cannot be cut either; what counts is that the digests stay those of the file.
        assert!(partial.append(b" world").is_err());
        assert_eq!((partial.digests().length(), real.metadata().unwrap().len()), (5, 5));
    }
}
