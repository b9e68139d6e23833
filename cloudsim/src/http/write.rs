//! Writes answers, well or badly, as told.

use std::{fmt::Write as _, io, sync::atomic::Ordering, time::Duration};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use super::{CutHow, Framing, Payload, Reply};

/// The most bytes read from an object at a time.
const PIECE: u64 = 64 * 1024;

/// What becomes of the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    Keep,
    Close,
    Reset,
    Hold,
}

/// Sends one answer.
pub(super) async fn write(stream: &mut TcpStream, reply: &Reply, keep: bool) -> io::Result<After> {
    if !reply.wire.before.is_zero() {
        tokio::time::sleep(reply.wire.before).await;
    }
    let keep = keep && reply.wire.cut.is_none() && matches!(reply.wire.framing, Framing::Length | Framing::Chunked);
    let head = head(reply, keep);
    // The head and a small body leave in one packet.
    if let (Payload::Bytes(bytes), Framing::Length, None, None, None, false) =
        (&reply.body, &reply.wire.framing, reply.wire.cut, reply.wire.pace, reply.wire.flip, reply.wire.head_only)
    {
        let mut all = Vec::with_capacity(head.len() + bytes.len());
        all.extend_from_slice(head.as_bytes());
        all.extend_from_slice(bytes);
        stream.write_all(&all).await?;
        reply.wire.sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        return Ok(if keep { After::Keep } else { After::Close });
    }
    stream.write_all(head.as_bytes()).await?;
    if !reply.wire.head_only {
        body(stream, reply).await?;
    }
    stream.flush().await?;
    Ok(match reply.wire.cut.map(|cut| cut.how) {
        Some(CutHow::Reset) => After::Reset,
        Some(CutHow::Stall) => After::Hold,
        Some(CutHow::Close) => After::Close,
        None if keep => After::Keep,
        None => After::Close,
    })
}

fn head(reply: &Reply, keep: bool) -> String {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, phrase(reply.status));
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = write!(head, "{name}: {value}\r\n");
    };
    for (name, value) in &reply.headers {
        line(name, value);
    }
    let silent = matches!(reply.status, 204 | 304);
    match &reply.wire.framing {
        _ if silent => {}
        Framing::Length => line("Content-Length", &reply.body.len().to_string()),
        Framing::Claimed(text) => line("Content-Length", text),
        Framing::Chunked => line("Transfer-Encoding", "chunked"),
        Framing::UntilClose => {}
    }
    line("Connection", if keep { "keep-alive" } else { "close" });
    head.push_str("\r\n");
    head
}

async fn body(stream: &mut TcpStream, reply: &Reply) -> io::Result<()> {
    let wire = &reply.wire;
    let total = reply.body.len();
    let end = wire.cut.map_or(total, |cut| cut.at.min(total));
    let chunked = matches!(wire.framing, Framing::Chunked);
    let mut buffer = vec![0; usize::try_from(PIECE.min(end.max(1))).unwrap_or(1)];
    let mut at = 0;
    while at < end {
        let step = PIECE.min(end - at).min(wire.pace.map_or(PIECE, |(bytes, _)| bytes.max(1)));
        let piece = &mut buffer[..usize::try_from(step).unwrap_or(0)];
        match &reply.body {
            Payload::Bytes(bytes) => {
                let from = usize::try_from(at).unwrap_or(0);
                piece.copy_from_slice(&bytes[from..from + piece.len()]);
            }
            Payload::Part { body, start, .. } => body.read_at(start + at, piece),
        }
        if let Some(flip) = wire.flip.filter(|flip| (at..at + step).contains(flip)) {
            piece[usize::try_from(flip - at).unwrap_or(0)] ^= 1;
        }
        if chunked {
            stream.write_all(format!("{step:x}\r\n").as_bytes()).await?;
        }
        stream.write_all(piece).await?;
        if chunked {
            stream.write_all(b"\r\n").await?;
        }
        at += step;
        wire.sent.fetch_add(step, Ordering::Relaxed);
        if let Some((_, pause)) = wire.pace {
            stream.flush().await?;
            pause_for(pause).await;
        }
    }
    if chunked && wire.cut.is_none() {
        stream.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

async fn pause_for(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        416 => "Requested Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
