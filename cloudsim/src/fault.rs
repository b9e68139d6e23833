//! Faults that a test can script.

use std::time::Duration;

use bytes::Bytes;

use crate::{object::Object, task::Export};

/// Which calls of the gateway a fault is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayMatch {
    /// Every call.
    Any,
    /// Calls of one family.
    Export(Export),
    /// Calls signed with this access key id.
    Account(String),
    /// Calls for this page.
    Page(u64),
    /// Calls of this operation.
    Action(String),
    /// Calls that all of these fit.
    All(Vec<GatewayMatch>),
}

/// What goes wrong with a call of the gateway. Only a call that is signed correctly meets its fault.
#[derive(Debug, Clone)]
pub enum GatewayFault {
    /// An error answer.
    Error(ApiError),
    /// The connection is reset before the answer.
    Reset,
    /// The connection is reset after so many bytes of the body.
    ResetAfter(u64),
    /// The connection is closed after so many bytes of the body, fewer than were announced.
    CloseAfter(u64),
    /// The body stops after so many bytes and nothing more comes.
    StallAfter(u64),
    /// No answer at all.
    Hang,
    /// The right answer, late.
    Delay(Duration),
    /// The right answer's first half, with a length to match.
    Truncated,
    /// 200 and no byte.
    EmptyBody,
    /// A well-formed answer with padding of so many MiB.
    HugeBody(u64),
    /// JSON arrays nested so deep.
    DeepNesting(usize),
    /// This answer.
    Body {
        /// The status.
        status: u16,
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// This JSON token as `TotalCount`, or none at all.
    Total(Option<String>),
    /// This JSON token as the echoed `PageSize`; the rows are as they should be.
    EchoPageSize(String),
    /// Pages of at most this size, and this size echoed: the whole paging is cut by it.
    ServeFewer(u64),
    /// This page, whatever was asked for; the echoed page number is the one asked for.
    SamePage(u64),
    /// A page without rows; the total stays.
    EmptyPage,
    /// The last so many rows of the page are not there; counters and total stay.
    DropRows(usize),
    /// These rows (JSON or XML texts) after the right ones.
    ExtraRows(Vec<String>),
    /// Each row twice.
    RepeatRows,
}

/// An error answer of the gateway.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// The code.
    pub code: String,
    /// The HTTP status; 200 makes an error that looks like a success.
    pub status: u16,
    /// The message.
    pub message: String,
    /// Headers besides the usual ones, for wait hints.
    pub headers: Vec<(String, String)>,
    /// How the body looks.
    pub format: ErrorFormat,
}

/// How the body of an error looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorFormat {
    /// As the call asked.
    AsAsked,
    /// JSON, whatever was asked.
    Json,
    /// JSON with lower-case field names.
    JsonLower,
    /// XML, whatever was asked.
    Xml,
    /// A page of some proxy.
    Html,
    /// Nothing.
    Empty,
}

impl ApiError {
    /// An error in the form that was asked for.
    #[must_use]
    pub fn new(code: impl Into<String>, status: u16) -> Self {
        let code = code.into();
        let message = format!("The request failed: {code}.");
        Self { code, status, message, headers: Vec::new(), format: ErrorFormat::AsAsked }
    }

    /// Throttling as most products answer it: 400.
    #[must_use]
    pub fn throttling() -> Self {
        Self::new("Throttling.User", 400).with_message("Request was denied due to user flow control.")
    }

    /// A missing permission: 403, with details of the denial.
    #[must_use]
    pub fn forbidden() -> Self {
        Self::new("Forbidden.RAM", 403)
            .with_message("User not authorized to operate on the specified resource, or this API doesn't support RAM.")
    }

    /// The same with a message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same in another form.
    #[must_use]
    pub fn with_format(mut self, format: ErrorFormat) -> Self {
        self.format = format;
        self
    }
}

/// Which requests to the object store a fault is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OssMatch {
    /// Every request.
    Any,
    /// Requests for the file of this task.
    Task(String),
    /// The n-th request since the start, counted from 1.
    Nth(u64),
    /// Requests that ask for a range.
    Ranged,
    /// Requests that all of these fit.
    All(Vec<OssMatch>),
}

/// What goes wrong with a request to the object store. Only a request that is signed correctly meets its fault.
/// Places are counted in bytes of the answer's own body, from 0.
#[derive(Debug, Clone)]
pub enum OssFault {
    /// The connection is reset before the answer.
    Reset,
    /// The connection is reset after so many bytes.
    ResetAt(u64),
    /// The connection is closed after so many bytes, fewer than were announced.
    TruncateAt(u64),
    /// Nothing more comes after so many bytes.
    StallAt(u64),
    /// No answer at all.
    Hang,
    /// The right answer, late.
    Delay(Duration),
    /// So many bytes at a time.
    Slow {
        /// Bytes in one go.
        bytes: u64,
        /// The pause after each.
        every: Duration,
    },
    /// One bit is turned in this byte.
    FlipBit(u64),
    /// This text as `Content-Length`; the connection is closed after the true bytes.
    ContentLength(String),
    /// No length, chunks.
    Chunked,
    /// No length, the end of the connection is the end.
    NoLength,
    /// No `ETag`.
    NoEtag,
    /// No CRC header.
    NoCrc,
    /// A CRC header that is wrong.
    WrongCrc,
    /// An error in the store's own form.
    Error {
        /// The HTTP status.
        status: u16,
        /// `Code`.
        code: String,
        /// `Message`.
        message: String,
        /// `EC`.
        ec: String,
    },
    /// An error without a body: what would stand there is in `x-oss-err`.
    HiddenError {
        /// The HTTP status.
        status: u16,
        /// `Code`.
        code: String,
    },
    /// 200 and a page.
    HtmlPage,
    /// This answer.
    Body {
        /// The status.
        status: u16,
        /// The `Content-Type`.
        content_type: String,
        /// The body.
        body: Bytes,
    },
    /// A redirect.
    Redirect {
        /// The HTTP status.
        status: u16,
        /// The `Location`.
        location: String,
    },
    /// The whole object with 200, whatever range was asked for.
    IgnoreRange,
    /// A range that begins so many bytes later (or earlier) than asked for, honestly labelled.
    ShiftRange(i64),
    /// This as the total in `Content-Range`.
    RangeTotal(String),
    /// A 206 without `Content-Range`.
    NoContentRange,
    /// `Content-Encoding: gzip` and gzipped bytes, asked for or not.
    Gzip,
    /// The task's object is another one from now on; this request gets it already.
    Replace(Object),
}
