//! What an error of the service means for the next step, and what it says to people.

mod refusal;

use std::time::Duration;

use jiff::SignedDuration;

pub use self::refusal::Refusal;

/// Further off than this, the gateway refuses a call.
const SKEW_MAX: SignedDuration = SignedDuration::from_mins(15);

/// The one question that every error answers: what now?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// Again, after a wait.
    Retry,
    /// Again at once: only the nonce was refused, and the next attempt has another.
    RetryNow,
    /// Again after a wait that the whole account keeps.
    Throttled,
    /// Again once with the credentials read anew; then they are wrong.
    RefreshCredentials,
    /// Not again before somebody sets this machine's clock.
    ClockSkew,
    /// The account may not; that changes by hand, so in a long interval.
    Denied,
    /// The call itself is wrong, and so would the next one be.
    Fatal,
}

impl Disposition {
    /// Judges a refusal. The code decides before the status: throttling is a 400 here, and an unknown key a 404.
    #[must_use]
    pub fn of(code: Option<&str>, status: u16) -> Self {
        match code {
            Some(code) => Self::of_code(code).unwrap_or(match status {
                // An unknown code is not made better by the status that says all is well.
                200..=299 => Self::Fatal,
                _ => Self::of_status(status),
            }),
            None => Self::of_status(status),
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        let code = code.to_ascii_lowercase();
        // Families: `InvalidAccessKeyId.NotFound` belongs to `InvalidAccessKeyId`.
        let family = code.split('.').next().unwrap_or_default();
        Some(match family {
            "throttling" | "flowcontrolerror" => Self::Throttled,
            "rejected" if code == "rejected.throttling" => Self::Throttled,
            "servicebusy" | "serviceunavailable" | "internalerror" | "unknownerror" => Self::Retry,
            "signaturenonceused" => Self::RetryNow,
            "invalidaccesskeyid" | "signaturedoesnotmatch" | "incompletesignature" => Self::RefreshCredentials,
            _ if code.contains("securitytoken") => Self::RefreshCredentials,
            "invalidtimestamp" if code == "invalidtimestamp.expired" => Self::ClockSkew,
            "forbidden" | "nopermission" | "accessdenied" | "operationdenied" | "illegaloperation" => Self::Denied,
            "invalidtimestamp" | "illegaltimestamp" | "invalidsignaturemethod" | "unsupportedhttpmethod" => Self::Fatal,
            _ => return None,
        })
    }

    const fn of_status(status: u16) -> Self {
        match status {
            429 => Self::Throttled,
            // A success that cannot be read is a broken answer of something in between.
            200..=299 | 408 | 500..=599 => Self::Retry,
            401 | 403 => Self::Denied,
            _ => Self::Fatal,
        }
    }

    /// What a person can do, as the end of an error's text.
    fn advice(self) -> &'static str {
        match self {
            Self::Retry | Self::RetryNow => "",
            Self::Throttled => {
                "; the account makes too many calls: lower rate_limit.calls_per_second, or look for what else calls with it"
            }
            Self::RefreshCredentials => {
                "; check the account's [account.credentials]: the id, the secret and, for temporary keys, the token"
            }
            Self::ClockSkew => "; mend it with NTP",
            Self::Denied => "; ask whoever manages the account",
            Self::Fatal => "; this does not mend itself",
        }
    }
}

/// A call that failed for good, as far as this poll is concerned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CallError {
    /// What to do about it.
    pub disposition: Disposition,
    /// The API operation.
    pub operation: &'static str,
    /// The service's code; none when the service did not answer, or not in its own words.
    pub code: Option<String>,
    /// Identifies the last attempt to the service's support.
    pub request_id: Option<String>,
    /// The last HTTP status.
    pub status: Option<u16>,
    /// Attempts that were made.
    pub attempts: u32,
    /// How long the server asks to be left alone.
    pub hint: Option<Duration>,
    /// The RAM action that the keys' user lacks, if that is what is wrong.
    pub missing_action: Option<String>,
    text: String,
}

impl CallError {
    /// What `api_requests_total` calls it: the service's code, else `transport`.
    #[must_use]
    pub fn label(&self) -> &str {
        self.code.as_deref().unwrap_or("transport")
    }
}

/// One failed attempt.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub disposition: Disposition,
    pub code: Option<String>,
    pub request_id: Option<String>,
    pub status: Option<u16>,
    pub hint: Option<Duration>,
    /// A lower-case fragment.
    pub what: String,
    /// Instead of what the disposition advises.
    pub advice: Option<Box<Advice>>,
}

/// What a person can do about a failure.
#[derive(Debug, Clone)]
pub(super) enum Advice {
    /// The end of a text.
    Text(String),
    /// Allow this RAM action.
    Allow(String),
}

impl Failure {
    /// The service did not answer, or cannot have been asked.
    pub(super) fn local(disposition: Disposition, what: impl Into<String>, advice: Option<&str>) -> Self {
        Self {
            disposition,
            code: None,
            request_id: None,
            status: None,
            hint: None,
            what: what.into(),
            advice: advice.map(|text| Box::new(Advice::Text(text.to_owned()))),
        }
    }

    /// The service, or something before it, refused. `skew` is how far this machine's clock is ahead, by the answer's
    /// `Date`.
    pub(super) fn refused(status: u16, refusal: Refusal, hint: Option<Duration>, skew: Option<SignedDuration>) -> Self {
        let disposition = Disposition::of(refusal.code.as_deref(), status);
        let mut what = match &refusal.code {
            Some(code) => format!("the service answers {code} (HTTP {status}): {}", refusal.message),
            None => format!("HTTP {status}: {}", refusal.message),
        };
        let mut advice = None;
        match (disposition, refusal.auth_action) {
            (Disposition::ClockSkew, _) => {
                what = format!("the service refuses the time of the call: {}", describe_skew(skew));
            }
            (Disposition::Denied, Some(action)) => {
                advice = Some(Box::new(Advice::Allow(action)));
            }
            // Not what the service complains of, but very likely why.
            _ if skew.is_some_and(|skew| skew.abs() > SKEW_MAX) => {
                what = format!("{what}; also, {}", describe_skew(skew));
            }
            _ => {}
        }
        Self {
            disposition,
            code: refusal.code,
            request_id: refusal.request_id,
            status: Some(status),
            hint,
            what,
            advice,
        }
    }

    /// What the caller gets to see.
    pub(super) fn into_error(self, operation: &'static str, attempts: u32) -> CallError {
        let lacks = self.disposition == Disposition::Denied && self.code.as_deref().is_some_and(is_about_permission);
        let mut missing_action = lacks.then(|| format!("cdn:{operation}"));
        let advice = match (self.advice.map(|advice| *advice), self.disposition) {
            (Some(Advice::Text(text)), _) => text,
            (Some(Advice::Allow(action)), _) => {
                let text = format!("; a RAM policy of the user must allow the action {action}");
                missing_action = Some(action);
                text
            }
            (None, Disposition::Denied) => {
                format!(
                    "; a RAM policy of the user must allow the action cdn:{operation}, and the CDN service must be open"
                )
            }
            (None, disposition) => disposition.advice().to_owned(),
        };
        let times = if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
        CallError {
            disposition: self.disposition,
            operation,
            code: self.code,
            request_id: self.request_id,
            status: self.status,
            attempts,
            hint: self.hint,
            missing_action,
            text: format!("{operation} failed{times}: {}{advice}", self.what),
        }
    }
}

/// Other denials are of the account: it is suspended, or under suspicion.
fn is_about_permission(code: &str) -> bool {
    matches!(code.to_ascii_lowercase().as_str(), "forbidden" | "forbidden.ram" | "nopermission" | "accessdenied")
}

/// Says how far the clock is off. Below two of a unit the smaller one is used.
#[must_use]
pub fn describe_skew(skew: Option<SignedDuration>) -> String {
    let Some(skew) = skew else { return "this machine's clock is more than 15 min off".to_owned() };
    let seconds = skew.as_secs().unsigned_abs();
    let amount = match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    let direction = if skew.is_negative() { "behind" } else { "ahead of" };
    format!("this machine's clock is {amount} {direction} the service")
}

#[cfg(test)]
mod tests;
