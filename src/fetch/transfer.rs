//! One attempt at one link: GET, resumed where that is possible, written, hashed and verified.
//!
//! ```text
//! link ─> ask ─> (redirects, status) ─> receive ─> channel ─> blocking thread: write, hash ─> settle: verify, look into
//! ```
//!
//! A link is signed: only GET, only headers that no signature covers (`Range`, `If-Match`, `If-None-Match`,
//! `Accept-Encoding`). The object store ignores `If-Range`, and answers a range past the end with the whole object, so a
//! resume counts only if the answer says that it is one, of the same object, from the right byte.
//!
//! At every moment, also when the future is dropped, the unfinished file holds a valid beginning of the object. A
//! transfer keeps at most about two mebibytes in memory: six blocks of 256 KiB and the connection's own buffer.

mod ask;
pub mod oss_error;
mod receive;
mod settle;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use self::{
    ask::{Answer, Facts, Resume, ask},
    receive::receive,
};
use super::publish::Partial;
use crate::{
    config,
    egress::Downloads,
    model::{
        download::{Reason, VerifiedBy},
        filename::ContentKind,
        link::SignedUrl,
    },
};

/// When an attempt is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// No byte for this long.
    pub idle_timeout: Duration,
    /// Fewer bytes a second over [`Limits::rate_window`].
    pub min_rate_bytes: u64,
    /// Over how long the rate is measured.
    pub rate_window: Duration,
    /// More bytes than this.
    pub max_size_bytes: u64,
}

impl From<&config::Download> for Limits {
    fn from(config: &config::Download) -> Self {
        Self {
            idle_timeout: config.idle_timeout,
            min_rate_bytes: config.min_rate_bytes,
            rate_window: Duration::from_secs(60),
            max_size_bytes: config.max_size_bytes,
        }
    }
}

/// Asked on a blocking thread, before the first byte is written and every few mebibytes: may so many more bytes be
/// written? A refusal ends the attempt with its text, [`Reason::Disk`] and [`TransferError::is_out_of_space`].
pub type SpaceCheck = Arc<dyn Fn(u64) -> Result<(), String> + Send + Sync>;

/// How far a transfer is. May be read from anywhere while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicU64,
    offset: AtomicU64,
    total: AtomicU64,
    etag: Mutex<Option<String>>,
}

impl Progress {
    /// Bytes that are there, those of earlier attempts included.
    #[must_use]
    pub fn done_bytes(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Bytes that this attempt brought.
    #[must_use]
    pub fn received_bytes(&self) -> u64 {
        self.done_bytes().saturating_sub(self.offset.load(Ordering::Relaxed))
    }

    /// Bytes of the whole file, once the server has said so.
    #[must_use]
    pub fn total_bytes(&self) -> Option<u64> {
        Some(self.total.load(Ordering::Relaxed)).filter(|&t| t > 0)
    }

    /// What an attempt after a crash may resume with: the object's strong ETag, once its bytes are arriving. Absent
    /// where the server gives no digest, because then nothing would show what the crash did to the unfinished file.
    #[must_use]
    pub fn etag(&self) -> Option<String> {
        self.etag.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin(&self, offset: u64, total: Option<u64>, etag: Option<String>) {
        self.offset.store(offset, Ordering::Relaxed);
        self.done.store(offset, Ordering::Relaxed);
        self.total.store(total.unwrap_or(0), Ordering::Relaxed);
        *self.etag.lock().unwrap_or_else(PoisonError::into_inner) = etag;
    }

    fn set_done(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }
}

/// What is to be fetched, and where to.
#[derive(Clone)]
pub struct Request<'a> {
    /// The link.
    pub link: &'a SignedUrl,
    /// The unfinished file. Its folder exists; the file may.
    pub partial: &'a Path,
    /// The ETag under which the bytes in the unfinished file came. Without it, or with a weak one, they are dropped.
    pub resume_etag: Option<&'a str>,
    /// The ETag of what is stored already; the answer may be that nothing has changed.
    pub if_none_match: Option<&'a str>,
    /// When to give up.
    pub limits: Limits,
    /// Where to show how far it is.
    pub progress: &'a Progress,
    /// Whether there is space.
    pub space: SpaceCheck,
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("link", self.link).field("partial", &self.partial).finish_non_exhaustive()
    }
}

/// How an attempt ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The object is the one that `if_none_match` names. The unfinished file is gone.
    Unchanged,
    /// The unfinished file is whole, verified and closed. It is not durable yet: that is publishing's part.
    Fetched(Fetched),
}

/// A whole file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// Its CRC-64/XZ.
    pub crc64: u64,
    /// The object's ETag as the server wrote it, quotes included.
    pub etag: Option<String>,
    /// What shows that it is whole.
    pub verified_by: VerifiedBy,
    /// What it is.
    pub kind: ContentKind,
    /// Bytes that an earlier attempt had left.
    pub resumed_bytes: u64,
    /// The object store's id of the request.
    pub request_id: Option<String>,
}

/// How an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct TransferError {
    /// For the tables.
    pub reason: Reason,
    /// For people: a lower-case fragment without any secret.
    pub text: String,
    /// The first byte that this attempt asked for.
    pub from_byte: u64,
    /// The end of what the unfinished file holds now, or held before it was dropped.
    pub to_byte: u64,
    /// What the next attempt may resume with; absent when it must start over.
    pub etag: Option<String>,
    /// The object store's id of the request.
    pub request_id: Option<String>,
    /// The server's hint.
    pub retry_after: Option<Duration>,
    /// The unfinished file is still there and worth resuming.
    pub keep_partial: bool,
    /// The host to which no connection could be made.
    pub unreachable_host: Option<String>,
    /// With [`Reason::Disk`]: the file system is full, or [`Request::space`] said no.
    pub is_out_of_space: bool,
}

/// What went wrong, before it is known what it did to the unfinished file.
#[derive(Debug)]
struct Failure {
    reason: Reason,
    text: String,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    unreachable_host: Option<String>,
    is_out_of_space: bool,
}

impl Failure {
    fn new(reason: Reason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
            request_id: None,
            retry_after: None,
            unreachable_host: None,
            is_out_of_space: false,
        }
    }

    fn disk(operation: &str, path: &Path, error: &std::io::Error) -> Self {
        let mut text = format!("{operation} {}: {error}", path.display());
        let is_full = matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        if is_full {
            text.push_str("; free some space, it is tried again");
        }
        Self { is_out_of_space: is_full, ..Self::new(Reason::Disk, text) }
    }

    /// Whether the unfinished file is of no use after this.
    const fn spoils_partial(&self) -> bool {
        matches!(self.reason, Reason::TooLarge | Reason::Integrity | Reason::NotAnExport)
    }

    fn into_error(self, from_byte: u64, to_byte: u64, etag: Option<String>) -> TransferError {
        let keep_partial = etag.is_some() && to_byte > 0 && !self.spoils_partial();
        TransferError {
            reason: self.reason,
            text: self.text,
            from_byte,
            to_byte,
            etag: etag.filter(|_| keep_partial),
            request_id: self.request_id,
            retry_after: self.retry_after,
            keep_partial,
            unreachable_host: self.unreachable_host,
            is_out_of_space: self.is_out_of_space,
        }
    }
}

/// Makes one attempt. May be dropped at any moment; the unfinished file can then be resumed.
///
/// # Errors
/// Says why, and what the next attempt can build on.
pub async fn transfer(downloads: &Downloads, request: &Request<'_>) -> Result<Outcome, TransferError> {
    let mut held = hold(request).await.map_err(|f| f.into_error(0, 0, None))?;
    let resume = held.as_ref().map(|(partial, etag)| Resume { offset: partial.digests().length(), etag });
    let mut answer = ask(downloads, request, resume).await;
    if matches!(answer, Ok(Answer::Unfit)) {
        // What is there belongs to another object, or is past its end. Once: a request without a range always fits.
        discard(held.take(), request.partial).await.map_err(|f| f.into_error(0, 0, None))?;
        answer = ask(downloads, request, None).await;
    }
    let body = match answer {
        Ok(Answer::Body(body)) => *body,
        Ok(Answer::Unchanged) => {
            discard(held, request.partial).await.map_err(|f| f.into_error(0, 0, None))?;
            return Ok(Outcome::Unchanged);
        }
        Ok(Answer::Unfit) => {
            let failure = Failure::new(Reason::Http, "the server answers a part to a request for the whole");
            return Err(failure.into_error(0, 0, None));
        }
        Err(failure) => return Err(settle::before_body(failure, held, request.partial).await),
    };
    let facts = body.facts.clone();
    // After a whole answer to a range, what is there is let go here: a fresh start waits for its lock.
    let partial = match held.map(|(partial, _)| partial).filter(|_| facts.offset > 0) {
        Some(partial) => partial,
        None => fresh(request.partial, &facts).await.map_err(|f| f.into_error(0, 0, None))?,
    };
    let (written, received) = receive(body.response, &facts, partial, request).await;
    settle::after_body(written, received, facts).await
}

/// Opens and hashes what an earlier attempt left, with the ETag that it may be resumed with.
async fn hold(request: &Request<'_>) -> Result<Option<(Partial, String)>, Failure> {
    let Some(etag) = request.resume_etag.filter(|e| is_strong(e)) else { return Ok(None) };
    let path = request.partial.to_owned();
    let opened = blocking(move |is_wanted| Partial::resume(&path, is_wanted)).await?;
    let partial = opened.map_err(|e| Failure::disk("read the unfinished file", request.partial, &e))?;
    let fits = |p: &Partial| p.digests().length() <= request.limits.max_size_bytes;
    Ok(partial.filter(fits).map(|p| (p, etag.to_owned())))
}

/// Opens an empty file, before the body is read: from here on the lock keeps every other attempt out.
async fn fresh(path: &Path, facts: &Facts) -> Result<Partial, Failure> {
    let (owned, with_md5) = (path.to_owned(), facts.expected.md5.is_some());
    let opened = blocking(move |is_wanted| Partial::fresh(&owned, with_md5, is_wanted)).await?;
    opened.map_err(|e| Failure { request_id: facts.request_id.clone(), ..Failure::disk("open", path, &e) })
}

/// Removes the unfinished file, held or not.
async fn discard(held: Option<(Partial, String)>, path: &Path) -> Result<(), Failure> {
    let owned = path.to_owned();
    let removed = blocking(move |is_wanted| match held {
        Some((partial, _)) => partial.discard(),
        None => Partial::remove(&owned, is_wanted),
    });
    removed.await?.map_err(|e| Failure::disk("remove", path, &e))
}

/// A weak ETag does not promise the same bytes.
fn is_strong(etag: &str) -> bool {
    !etag.is_empty() && !etag.starts_with("W/")
}

/// Says to work in the background that the attempt was dropped.
#[derive(Debug, Default)]
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `work` off the runtime's threads, with a way to ask whether anyone still waits for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static) -> Result<T, Failure> {
    let stop = StopOnDrop::default();
    let stopped = stop.0.clone();
    let is_wanted = move || !stopped.load(Ordering::Relaxed);
    tokio::task::spawn_blocking(move || work(&is_wanted)).await.map_err(|e| died(&e))
}

/// A blocking thread ended without a result: a bug, or the runtime is being shut down.
fn died(error: &tokio::task::JoinError) -> Failure {
    let text = if error.is_panic() { "the writing thread panicked" } else { "the writing thread was stopped" };
    Failure::new(Reason::Disk, text)
}
