//! A small HTTP/1.1 server over plain TCP. A ready-made one would refuse to do what this simulator is for: lie about a
//! length, stop in the middle of a body, reset a connection, hold an answer back.

mod read;
mod serve;
mod write;

use std::{
    borrow::Cow,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use bytes::Bytes;

use crate::body::Body;

pub(crate) use serve::{Handler, serve};

/// A request as it came: nothing is decoded.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case, values trimmed.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Request {
    /// The first value of a header, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a token stands in a comma-separated header, parameters (and so `;q=0`) apart.
    pub(crate) fn header_lists(&self, name: &str, token: &str) -> bool {
        let listed = |value: &str| {
            value.split(',').any(|part| {
                let mut fields = part.split(';').map(str::trim);
                let same = fields.next().is_some_and(|first| first.eq_ignore_ascii_case(token));
                same && !fields.any(|field| matches!(field, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
            })
        };
        self.headers.iter().any(|(known, value)| known == name && listed(value))
    }
}

/// What is done with a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    /// The connection is reset before a byte is sent.
    Reset,
    /// Nothing is ever sent.
    Hang,
}

/// An answer and the way it goes over the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(Cow<'static, str>, String)>,
    pub(crate) body: Payload,
    pub(crate) wire: Wire,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, headers: Vec::new(), body: Payload::Bytes(body.into()), wire: Wire::default() }
    }

    pub(crate) fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a header; one of that name that is there goes.
    pub(crate) fn set(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<String>) {
        let name = name.into();
        self.remove(&name);
        self.headers.push((name, value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }
}

/// The bytes of an answer.
#[derive(Debug)]
pub(crate) enum Payload {
    Bytes(Bytes),
    /// A part of an object, read while it is sent.
    Part {
        body: Body,
        start: u64,
        len: u64,
    },
}

impl Payload {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part { len, .. } => *len,
        }
    }
}

/// How an answer goes over the wire.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// Time before the first byte.
    pub(crate) before: Duration,
    pub(crate) framing: Framing,
    /// Only the head is sent, as for HEAD or 304.
    pub(crate) head_only: bool,
    pub(crate) cut: Option<Cut>,
    /// So many bytes at a time, with a pause after each.
    pub(crate) pace: Option<(u64, Duration)>,
    /// The byte of this body in which a bit is turned.
    pub(crate) flip: Option<u64>,
    /// Counts the body bytes that were sent.
    pub(crate) sent: Arc<AtomicU64>,
}

/// How the end of a body is told.
#[derive(Debug, Default)]
pub(crate) enum Framing {
    #[default]
    Length,
    /// This Content-Length, true or not.
    Claimed(String),
    Chunked,
    UntilClose,
}

/// Where a body breaks off.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    /// After so many bytes of the body.
    pub(crate) at: u64,
    pub(crate) how: CutHow,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum CutHow {
    Reset,
    Close,
    Stall,
}
