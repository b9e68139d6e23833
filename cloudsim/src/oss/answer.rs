//! The answer with an object, right or bent.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

use super::{
    range::{Part, conditions, part},
    refusal::Refusal,
};
use crate::{
    body::Digests,
    cloud::StoredObject,
    fault::OssFault,
    http::{Cut, CutHow, Framing, Payload, Reply, Request, Wire},
    object::gzip,
    text::http_date,
};

/// What compresses on the way when it is asked for, and from which length on.
const COMPRESSED: &[&str] = &[
    "text/plain",
    "text/html",
    "text/css",
    "text/xml",
    "text/javascript",
    "application/xml",
    "application/json",
    "application/javascript",
    "application/x-javascript",
];
const COMPRESSED_MIN: u64 = 1024;
/// The longest body that is compressed: it is held in memory for it.
const COMPRESSED_MAX: u64 = 64 << 20;

/// Digests of an object, computed once and off the runtime's threads when that takes long.
pub(super) async fn digests(stored: &StoredObject) -> Digests {
    let (body, cell, md5) = (stored.object.body.clone(), Arc::clone(&stored.digests), stored.object.needs_md5());
    if body.len() <= 1 << 20 {
        return *cell.get_or_init(|| body.digests(md5));
    }
    let work = tokio::task::spawn_blocking(move || *cell.get_or_init(|| body.digests(md5)));
    // It fails only when the runtime ends.
    work.await.unwrap_or(Digests { crc64: 0, md5: [0; 16] })
}

/// The answer to a GET or HEAD of an object that is there and may be read.
pub(super) fn object(
    request: &Request,
    stored: &StoredObject,
    digests: &Digests,
    fault: Option<&OssFault>,
) -> Result<Reply, Refusal> {
    let object = &stored.object;
    let size = object.body.len();
    let etag = object.etag_text(digests);
    conditions(request, etag.as_deref(), stored.modified)?;
    let wanted = match (part(request, size)?, fault) {
        (_, Some(OssFault::IgnoreRange)) => Part::Whole,
        (Part::Some { start, len }, Some(OssFault::ShiftRange(by))) => {
            let start = start.saturating_add_signed(*by).min(size.saturating_sub(1));
            Part::Some { start, len: len.min(size - start) }
        }
        (wanted, _) => wanted,
    };
    let (start, len) = match wanted {
        Part::Whole => (0, size),
        Part::Some { start, len } => (start, len),
    };
    let mut reply = Reply {
        status: if wanted == Part::Whole { 200 } else { 206 },
        headers: Vec::new(),
        body: Payload::Part { body: object.body.clone(), start, len },
        wire: Wire::default(),
    };
    reply.set("Content-Type", object.content_type.clone());
    reply.set("Accept-Ranges", "bytes");
    reply.set("Last-Modified", http_date(stored.modified));
    reply.set("x-oss-object-type", object.object_type.clone());
    reply.set("x-oss-storage-class", "Standard");
    if let Some(etag) = etag {
        reply.set("ETag", etag);
    }
    if object.crc {
        reply.set("x-oss-hash-crc64ecma", digests.crc64.to_string());
    }
    if object.content_md5 {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        reply.set("Content-MD5", STANDARD.encode(digests.md5));
    }
    if let Some(encoding) = &object.content_encoding {
        reply.set("Content-Encoding", encoding.clone());
    }
    if object.content_type.starts_with("text/html") {
        reply.set("Content-Disposition", "attachment");
        reply.set("x-oss-force-download", "true");
    }
    if wanted == Part::Whole {
        compress(request, stored, &mut reply);
    } else {
        reply.set("Content-Range", format!("bytes {start}-{}/{size}", start + len - 1));
    }
    if let Some(fault) = fault {
        bend(&mut reply, fault, digests);
    }
    Ok(reply)
}

/// Compression on the way: only when it is asked for, only for text, and then without an `ETag`.
fn compress(request: &Request, stored: &StoredObject, reply: &mut Reply) {
    let object = &stored.object;
    let kind = object.content_type.split(';').next().unwrap_or("").trim();
    let size = object.body.len();
    if request.header_lists("accept-encoding", "gzip")
        && object.content_encoding.is_none()
        && COMPRESSED.contains(&kind)
        && (COMPRESSED_MIN..=COMPRESSED_MAX).contains(&size)
    {
        reply.body = Payload::Bytes(gzip(&object.body.to_bytes()).into());
        reply.wire.framing = Framing::Chunked;
        reply.remove("ETag");
        reply.remove("Content-MD5");
        reply.set("Content-Encoding", "gzip");
        reply.set("Vary", "Accept-Encoding");
    }
}

fn bend(reply: &mut Reply, fault: &OssFault, digests: &Digests) {
    let mut cut = |at: u64, how| reply.wire.cut = Some(Cut { at, how });
    match fault {
        OssFault::ResetAt(at) => cut(*at, CutHow::Reset),
        OssFault::TruncateAt(at) => cut(*at, CutHow::Close),
        OssFault::StallAt(at) => cut(*at, CutHow::Stall),
        OssFault::Delay(time) => reply.wire.before = *time,
        OssFault::Slow { bytes, every } => reply.wire.pace = Some((*bytes, *every)),
        OssFault::FlipBit(at) => reply.wire.flip = Some(*at),
        OssFault::ContentLength(text) => {
            reply.wire.cut = Some(Cut { at: reply.body.len(), how: CutHow::Close });
            reply.wire.framing = Framing::Claimed(text.clone());
        }
        OssFault::Chunked => reply.wire.framing = Framing::Chunked,
        OssFault::NoLength => reply.wire.framing = Framing::UntilClose,
        OssFault::NoEtag => reply.remove("ETag"),
        OssFault::NoCrc => reply.remove("x-oss-hash-crc64ecma"),
        OssFault::WrongCrc => reply.set("x-oss-hash-crc64ecma", (digests.crc64 ^ 1).to_string()),
        OssFault::RangeTotal(total) if reply.status == 206 => {
            let header = reply.headers.iter().find(|(name, _)| name == "Content-Range");
            let range = header.and_then(|(_, value)| value.split_once('/')).map(|(range, _)| range.to_owned());
            reply.set("Content-Range", format!("{}/{total}", range.unwrap_or_default()));
        }
        OssFault::NoContentRange => reply.remove("Content-Range"),
        OssFault::Gzip => {
            let mut plain = vec![0; usize::try_from(reply.body.len()).unwrap_or(0)];
            match &reply.body {
                Payload::Bytes(bytes) => plain.copy_from_slice(bytes),
                Payload::Part { body, start, .. } => body.read_at(*start, &mut plain),
            }
            reply.body = Payload::Bytes(gzip(&plain).into());
            reply.set("Content-Encoding", "gzip");
        }
        _ => {}
    }
}

/// An answer that has nothing to do with the object; `None` when the fault only bends the right one.
pub(super) fn instead(fault: &OssFault) -> Option<Result<Reply, Refusal>> {
    let plain = |status: u16, kind: &str, body: Bytes| {
        Some(Ok(Reply::new(status, body).with(Cow::Borrowed("Content-Type"), kind)))
    };
    match fault {
        OssFault::Error { status, code, message, ec } => Some(Err(Refusal::new(*status, code, message, ec))),
        OssFault::HiddenError { status, code } => {
            let mut refusal = Refusal::new(*status, code, "The request failed.", "0099-00000001");
            refusal.hidden = true;
            Some(Err(refusal))
        }
        OssFault::HtmlPage => {
            let page = "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Sign in first.</body></html>\n";
            plain(200, "text/html; charset=utf-8", Bytes::from_static(page.as_bytes()))
        }
        OssFault::Body { status, content_type, body } => plain(*status, content_type, body.clone()),
        OssFault::Redirect { status, location } => Some(Ok(Reply::new(*status, "").with("Location", location.clone()))),
        _ => None,
    }
}
