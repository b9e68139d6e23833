//! Sends the request, follows redirects, and reads what the answer's head says.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::{
    Response, StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use url::Url;

use super::{Failure, Request, is_strong, oss_error};
use crate::{
    clock,
    egress::{Downloads, Refusal, refusal},
    fetch::{
        content_range::ContentRange,
        sniff::{NotAnExport, is_markup},
        verify::{Expected, Mismatch},
    },
    model::{download::Reason, link::SignedUrl},
};

/// As many redirects as the contract promises. The object store itself sends none.
const REDIRECTS_MAX: usize = 5;

/// A longer hint is not believed: a link that a day cannot mend is looked up in the listing again anyway.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// As much of an unexpected body as is looked at.
const PEEK_BYTES: usize = 16 * 1024;

/// A wrong day of the week does not make a date useless.
const DATE: DateTimeParser = DateTimeParser::new().relaxed_weekday(true);

/// What to go on from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resume<'a> {
    /// Bytes that are there.
    pub(super) offset: u64,
    /// The object they are of.
    pub(super) etag: &'a str,
}

/// What the server answers.
pub(super) enum Answer {
    /// `if_none_match` holds.
    Unchanged,
    /// The resume cannot go on from where it is. Only to a request with a [`Resume`].
    Unfit,
    /// Bytes follow.
    Body(Box<Body>),
}

/// Bytes to come.
pub(super) struct Body {
    /// Their source.
    pub(super) response: Response,
    /// What is known of the object.
    pub(super) facts: Facts,
}

/// What the answer's head says of the object.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    /// Where the body begins in the object: 0, or the resume's offset.
    pub(super) offset: u64,
    /// Length and digests of the whole.
    pub(super) expected: Expected,
    /// As the server wrote it.
    pub(super) etag: Option<String>,
    /// The object store's id of the request.
    pub(super) request_id: Option<String>,
}

impl Facts {
    /// What a later attempt may resume with.
    pub(super) fn resume_etag(&self) -> Option<String> {
        self.etag.clone().filter(|e| is_strong(e))
    }
}

/// Asks for the object, or for the rest of it.
pub(super) async fn ask(
    downloads: &Downloads,
    request: &Request<'_>,
    resume: Option<Resume<'_>>,
) -> Result<Answer, Failure> {
    let idle = request.limits.idle_timeout;
    let headers = headers(request, resume);
    let response = follow(downloads, request.link.expose(), &headers, idle).await?;
    let request_id = text(response.headers(), "x-oss-request-id").map(|t| oss_error::scrub(&t));
    let status = response.status();
    let length = match (status, resume) {
        (StatusCode::OK, _) => response.content_length(),
        (StatusCode::PARTIAL_CONTENT, Some(resume)) => match fitting_total(&response, resume) {
            Some(total) => Some(total),
            None => return Ok(Answer::Unfit),
        },
        (StatusCode::PRECONDITION_FAILED | StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => return Ok(Answer::Unfit),
        (StatusCode::NOT_MODIFIED, None) if request.if_none_match.is_some() => return Ok(Answer::Unchanged),
        _ => return Err(refused(response, request_id, idle).await),
    };
    let offset = match (status, resume) {
        (StatusCode::PARTIAL_CONTENT, Some(resume)) => resume.offset,
        _ => 0,
    };
    let facts = Facts {
        offset,
        expected: Expected::from_headers(response.headers(), length),
        etag: text(response.headers(), "etag"),
        request_id,
    };
    check(response, facts, request).await
}

/// Refuses what is known to be of no use before a byte of it is written.
async fn check(response: Response, facts: Facts, request: &Request<'_>) -> Result<Answer, Failure> {
    let max = request.limits.max_size_bytes;
    if let Some(length) = facts.expected.length
        && length > max
    {
        let text = format!("the file has {length} bytes, more than download.max_size ({max})");
        return Err(Failure { request_id: facts.request_id, ..Failure::new(Reason::TooLarge, text) });
    }
    let doubt = match facts.expected.length {
        _ if facts.expected.has_digest() => None,
        None => Some(Mismatch::Unverifiable),
        // The length is that of what was encoded on the way, or of a file that is kept so: nothing tells them apart.
        Some(_) => is_encoded(response.headers()).then_some(Mismatch::Encoded),
    };
    if let Some(doubt) = doubt {
        // A page for people often has no digest either; then that is the better reason.
        let head = peek(response, request.limits.idle_timeout).await;
        let (reason, text) = if head.is_empty() {
            (Reason::NotAnExport, NotAnExport::Empty.to_string())
        } else if is_markup(&head) {
            (Reason::NotAnExport, NotAnExport::Markup.to_string())
        } else {
            (Reason::Integrity, doubt.to_string())
        };
        return Err(Failure { request_id: facts.request_id, ..Failure::new(reason, text) });
    }
    Ok(Answer::Body(Box::new(Body { response, facts })))
}

/// Only headers that no signature covers.
fn headers(request: &Request<'_>, resume: Option<Resume<'_>>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // Compressed on the fly, neither length nor digest nor range would fit.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let condition = match resume {
        Some(resume) => {
            headers.insert(header::RANGE, ascii(&format!("bytes={}-", resume.offset)));
            Some((header::IF_MATCH, resume.etag))
        }
        None => request.if_none_match.map(|etag| (header::IF_NONE_MATCH, etag)),
    };
    if let Some((name, etag)) = condition {
        headers.insert(name, ascii(etag));
    }
    headers
}

/// An ETag came as a header and was kept as text; one that cannot be a header again matches nothing.
fn ascii(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Follows redirects, each judged like the first link.
async fn follow(downloads: &Downloads, link: &Url, headers: &HeaderMap, idle: Duration) -> Result<Response, Failure> {
    let mut url = link.clone();
    for _ in 0..=REDIRECTS_MAX {
        let get = downloads.get(&url).map_err(|e| refused_host(&e))?;
        let response = match tokio::time::timeout(idle, get.headers(headers.clone()).send()).await {
            Ok(Ok(response)) => response,
            Ok(Err(e)) => return Err(unsent(downloads, e, &url)),
            Err(_) => {
                let host = downloads.asked_host(&url);
                let text = format!("GET from {host}: no answer for {} ms", idle.as_millis());
                return Err(Failure::new(Reason::Network, text));
            }
        };
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(response);
        }
        url = target(&url, &response)?;
    }
    Err(Failure::new(Reason::Http, format!("the link redirects more than {REDIRECTS_MAX} times")))
}

fn target(from: &Url, response: &Response) -> Result<Url, Failure> {
    let status = response.status().as_u16();
    let host = from.host_str().unwrap_or("");
    let broken = |what: &str| Failure::new(Reason::Http, format!("{host} answers {status} {what}"));
    let location = response.headers().get(header::LOCATION).ok_or_else(|| broken("without a place to go"))?;
    let location = std::str::from_utf8(location.as_bytes()).map_err(|_| broken("with a place that is no text"))?;
    if location.len() > SignedUrl::MAX_BYTES {
        return Err(broken("with a link that is too long"));
    }
    from.join(location).map_err(|_| broken("with a link that cannot be read"))
}

fn refused_host(refusal: &Refusal) -> Failure {
    Failure::new(Reason::RefusedHost, refusal.to_string())
}

/// No answer came.
fn unsent(downloads: &Downloads, error: reqwest::Error, url: &Url) -> Failure {
    if let Some(refusal) = refusal(&error) {
        return refused_host(refusal);
    }
    let unreachable_host = error.is_connect().then(|| url.host_str().unwrap_or("").to_owned());
    let text = format!("GET from {}: {}", downloads.asked_host(url), downloads.describe(error));
    Failure { unreachable_host, ..Failure::new(Reason::Network, oss_error::scrub(&text)) }
}

/// The object's length, if a 206 is what was asked for: from the right byte to the end, of the same object.
fn fitting_total(response: &Response, resume: Resume<'_>) -> Option<u64> {
    let range = ContentRange::parse(&text(response.headers(), "content-range")?)?;
    let is_whole_rest = response.content_length().is_none_or(|l| l == range.bytes());
    let is_same = text(response.headers(), "etag").is_none_or(|e| e == resume.etag);
    (range.is_rest_from(resume.offset) && is_whole_rest && is_same).then_some(range.total)
}

/// Any other status.
async fn refused(response: Response, request_id: Option<String>, idle: Duration) -> Failure {
    let status = response.status();
    let reason = match status {
        StatusCode::FORBIDDEN => Reason::Expired,
        StatusCode::NOT_FOUND => Reason::Gone,
        _ => Reason::Http,
    };
    let retry_after = text(response.headers(), "retry-after").and_then(|t| hint(&t));
    let headers = response.headers().clone();
    let body = peek(response, idle).await;
    let said = oss_error::OssError::read(&headers, &body);
    let text = format!("the server answers {status}{said}");
    Failure { request_id: request_id.or(said.request_id), retry_after, ..Failure::new(reason, text) }
}

/// The first bytes of a body that is not written; fewer when they do not come.
async fn peek(mut response: Response, idle: Duration) -> Vec<u8> {
    let mut head = Vec::new();
    let read = async {
        // Ends with the body, or when there is enough.
        while head.len() < PEEK_BYTES {
            match response.chunk().await {
                Ok(Some(chunk)) => head.extend_from_slice(&chunk[..chunk.len().min(PEEK_BYTES - head.len())]),
                Ok(None) | Err(_) => break,
            }
        }
    };
    // Whether it came to an end or not, what is there serves.
    let _ = tokio::time::timeout(idle, read).await;
    head
}

/// `Retry-After`: seconds, or a date.
fn hint(value: &str) -> Option<Duration> {
    let wait = match value.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = DATE.parse_timestamp(value.trim()).ok()?;
            Duration::from_millis(clock::millis_between(clock::now(), at))
        }
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

/// Whether the body is said to be anything but the plain bytes that were asked for.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|v| !v.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(|t| t.trim().to_owned()).filter(|t| !t.is_empty())
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_hint_is_seconds_or_a_date_and_at_most_a_day() {
        assert_eq!(hint("7"), Some(Duration::from_secs(7)));
        assert_eq!(hint("99999999999"), Some(RETRY_AFTER_MAX));
        assert_eq!(hint("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(hint("Sun, 06 Nov 2994 08:49:37 GMT"), Some(RETRY_AFTER_MAX));
        assert_eq!(hint("soon"), None);
    }
}
