//! What is left after an attempt: a whole and verified file, one that can be resumed, or none.

use std::path::Path;

use super::{Failure, Fetched, Outcome, TransferError, ask::Facts, blocking, discard, writer::Written};
use crate::{
    fetch::{publish::Partial, sniff::sniff, verify::verify},
    model::download::{Reason, VerifiedBy},
};

/// The request failed before any byte of a body was taken: what an earlier attempt left is as good as it was, unless the
/// answer says that it is of no use.
pub(super) async fn before_body(failure: Failure, held: Option<(Partial, String)>, path: &Path) -> TransferError {
    let length = held.as_ref().map_or(0, |(partial, _)| partial.digests().length());
    let etag = held.as_ref().map(|(_, etag)| etag.clone());
    if failure.spoils_partial()
        && let Err(worse) = discard(held, path).await
    {
        return worse.into_error(length, length, None);
    }
    failure.into_error(length, length, etag)
}

/// The body has ended, well or not.
pub(super) async fn after_body(
    written: Written,
    received: Result<(), Failure>,
    facts: Facts,
) -> Result<Outcome, TransferError> {
    let offset = facts.offset;
    let request_id = facts.request_id.clone();
    let concluded = match written.partial {
        Some(partial) => blocking(move |_| conclude(partial, received, facts)).await,
        // The thread died, and says so.
        None => Err(received.err().unwrap_or_else(|| Failure::new(Reason::Disk, "the written file is lost"))),
    };
    match concluded {
        Ok(concluded) => concluded.map(Outcome::Fetched).map_err(|e| *e),
        Err(failure) => Err(Failure { request_id, ..failure }.into_error(offset, offset, None)),
    }
}

fn conclude(mut partial: Partial, received: Result<(), Failure>, facts: Facts) -> Result<Fetched, Box<TransferError>> {
    match received.and_then(|()| inspect(&mut partial, &facts)) {
        Ok(fetched) => Ok(fetched),
        Err(failure) => {
            let failure = Failure { request_id: facts.request_id.clone(), ..failure };
            let length = partial.digests().length();
            // One that could not be flushed is not resumed: the kernel tells only once that it lost bytes.
            let is_of_use = |_: &String| !failure.spoils_partial() && length > 0 && partial.keep().is_ok();
            let etag = facts.resume_etag().filter(is_of_use);
            if etag.is_none()
                && let Err(e) = partial.discard()
            {
                tracing::debug!(error = %e, "an unfinished file of no use stays until the next attempt");
            }
            Err(Box::new(failure.into_error(facts.offset, length, etag)))
        }
    }
}

/// Whether the file is whole, and an export.
fn inspect(partial: &mut Partial, facts: &Facts) -> Result<Fetched, Failure> {
    let path = partial.path().to_owned();
    let unreadable = |e: std::io::Error| Failure::disk("read the unfinished file", &path, &e);
    if facts.expected.md5.is_some() {
        partial.with_md5().map_err(unreadable)?;
    }
    let verified_by =
        verify(partial.digests(), &facts.expected).map_err(|e| Failure::new(Reason::Integrity, e.to_string()))?;
    let sniffed =
        sniff(partial.file_mut()).map_err(unreadable)?.map_err(|e| Failure::new(Reason::NotAnExport, e.to_string()))?;
    if sniffed.is_cut_archive && verified_by == VerifiedBy::Length {
        let text = "the archive has no end record, and the server gives no digest that would show it to be whole";
        return Err(Failure::new(Reason::Integrity, text));
    }
    let digests = partial.digests();
    Ok(Fetched {
        bytes: digests.length(),
        sha256: digests.sha256(),
        crc64: digests.crc64(),
        etag: facts.etag.clone(),
        verified_by,
        kind: sniffed.kind,
        resumed_bytes: facts.offset,
        request_id: facts.request_id.clone(),
    })
}
