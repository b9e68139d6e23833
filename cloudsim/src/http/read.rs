//! Reads requests off a connection.

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Request;

/// The largest head: many times what a signed link with a token needs.
const HEAD_MAX: usize = 256 * 1024;
/// The largest body: only objects put by tests have one.
const BODY_MAX: usize = 256 * 1024 * 1024;

/// One connection and what was read beyond the last request.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    pending: Vec<u8>,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// The peer is done, or gone.
    Closed,
    /// It cannot be understood; the status to answer with.
    Bad(u16),
}

impl Connection {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, pending: Vec::new() }
    }

    /// Waits for the next request.
    pub(super) async fn request(&mut self) -> Result<Request, NoRequest> {
        let head = self.head().await?;
        let mut request = parse(&head).ok_or(NoRequest::Bad(400))?;
        if request.header("transfer-encoding").is_some() {
            return Err(NoRequest::Bad(411));
        }
        let length = match request.header("content-length") {
            Some(text) => text.parse::<usize>().map_err(|_| NoRequest::Bad(400))?,
            None => 0,
        };
        if length > BODY_MAX {
            return Err(NoRequest::Bad(413));
        }
        let waits = request.header("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
        if waits && self.pending.len() < length {
            let go = self.stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await;
            go.map_err(|_| NoRequest::Closed)?;
        }
        // Ends with the body or the connection: every turn reads at least a byte.
        while self.pending.len() < length {
            self.fill().await?;
        }
        let rest = self.pending.split_off(length);
        request.body = Bytes::from(std::mem::replace(&mut self.pending, rest));
        Ok(request)
    }

    async fn head(&mut self) -> Result<Vec<u8>, NoRequest> {
        let mut searched: usize = 0;
        // Ends with the head, its limit or the connection: every turn reads at least a byte.
        loop {
            let from = searched.saturating_sub(3);
            if let Some(at) = self.pending[from..].windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.pending.split_off(from + at + 4);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            searched = self.pending.len();
            if searched > HEAD_MAX {
                return Err(NoRequest::Bad(431));
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), NoRequest> {
        match self.stream.read_buf(&mut self.pending).await {
            Ok(0) | Err(_) => Err(NoRequest::Closed),
            Ok(_) => Ok(()),
        }
    }

    /// Holds the connection until the peer leaves it.
    pub(super) async fn hold(&mut self) {
        let mut sink = [0; 1024];
        // Ends with the connection, or with the server that owns it.
        while matches!(self.stream.read(&mut sink).await, Ok(n) if n > 0) {}
    }
}

fn parse(head: &[u8]) -> Option<Request> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let mut words = lines.next()?.split(' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !version.starts_with("HTTP/1.") || method.is_empty() {
        return None;
    }
    // A client behind a proxy setting sends the whole address.
    let target = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    if !path.starts_with('/') {
        return None;
    }
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return None;
        }
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Bytes::new(),
    })
}
