//! One request and its answer, judged.

use jiff::SignedDuration;
use reqwest::{
    Response, StatusCode,
    header::{DATE, HeaderMap, LOCATION},
};
use url::Url;

use crate::{
    cdn::{
        error::{Disposition, Failure, Refusal},
        hint,
    },
    clock,
    egress::{Api, Trouble, describe},
    text::redact,
};

/// The most that is read of one answer, in bytes. A page of 50 rows has about 40 KiB, and 100 with the longest signed
/// links; a hundred times that is no page any more, and a few at a time still fit into a small machine.
pub(super) const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Why a body of a success is not what was asked for.
#[derive(Debug)]
pub enum Unreadable {
    /// It is a refusal.
    Refusal,
    /// It is something else; what, as a fragment.
    Other(String),
}

/// Sends a request and reads the answer to its end.
pub(super) async fn exchange(http: &Api, request: reqwest::Request) -> Result<Answer, Failure> {
    let origin = request.url().origin().ascii_serialization();
    let mut response = http.execute(request).await.map_err(|error| {
        let is_connect = error.is_connect();
        let Trouble { what, advice } = http.describe(error);
        let advice = advice.or(is_connect.then_some("; check the account's endpoint, DNS and the proxy"));
        Failure::local(Disposition::Retry, format!("{origin} cannot be reached: {}", redact(&what)), advice)
    })?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let body = read_body(&mut response).await?;
    Ok(Answer { status, headers, body })
}

/// What came back, whole.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    /// Makes a value or a failure of it. `key_id` is our own, which messages must not repeat.
    pub(super) fn judge<T>(self, key_id: &str, read: &impl Fn(&[u8]) -> Result<T, Unreadable>) -> Result<T, Failure> {
        if self.status.is_redirection() {
            let to = self.headers.get(LOCATION).and_then(|to| to.to_str().ok()).and_then(|to| Url::parse(to).ok());
            let to = to.map_or_else(String::new, |to| format!(" to {}", to.origin().ascii_serialization()));
            // A signature is for one host, and a repeated nonce is refused: following makes no sense.
            let what = format!("the endpoint redirects{to} (HTTP {})", self.status.as_u16());
            let mut failure =
                Failure::local(Disposition::Fatal, what, Some("; check the account's endpoint and the proxy"));
            failure.status = Some(self.status.as_u16());
            return Err(failure);
        }
        if self.status.is_success() {
            match read(&self.body) {
                Ok(value) => return Ok(value),
                Err(Unreadable::Refusal) => {}
                Err(Unreadable::Other(what)) => {
                    let mut failure = Failure::local(Disposition::Retry, what, None);
                    failure.status = Some(self.status.as_u16());
                    failure.request_id = self.request_id();
                    return Err(failure);
                }
            }
        }
        let now = clock::now();
        let theirs = self.headers.get(DATE).and_then(|date| date.to_str().ok()).and_then(clock::http_date);
        let skew: Option<SignedDuration> = theirs.map(|theirs| now.duration_since(theirs));
        let mut refusal = Refusal::parse(&self.body, key_id);
        refusal.request_id = refusal.request_id.take().or_else(|| self.request_id());
        let hint = hint::wait(&self.headers, theirs.unwrap_or(now));
        Err(Failure::refused(self.status.as_u16(), refusal, hint, skew))
    }

    fn request_id(&self) -> Option<String> {
        let id = self.headers.get("x-acs-request-id")?.to_str().ok()?;
        Some(id.chars().take(100).collect())
    }
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    // Ends: every chunk has at least one byte, and there is room for so many.
    while let Some(chunk) = response.chunk().await.map_err(|e| {
        Failure::local(Disposition::Retry, format!("the answer broke off: {}", redact(&describe(e).what)), None)
    })? {
        if body.len() + chunk.len() > BODY_MAX_BYTES {
            let what = format!("the answer has more than {} MiB", BODY_MAX_BYTES / (1024 * 1024));
            return Err(Failure::local(Disposition::Fatal, what, Some("; check the account's endpoint and the proxy")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
