//! Every code of throttling with every hint of how long it lasts. Hints come as headers; none in a body is documented.

use super::*;

/// Codes that are answered when the account calls too often, and the statuses they come with.
const CODES: &[(&str, u16)] = &[
    ("Throttling", 400),
    ("Throttling", 503),
    ("Throttling.User", 400),
    ("Throttling.Api", 400),
    ("Rejected.Throttling", 400),
    ("Rejected.Throttling", 429),
    ("FlowControlError", 400),
    ("FlowControlError", 503),
    ("", 429),
];

/// What a service that is busy by itself answers: nobody else of the account has to wait.
const BUSY: &[(&str, u16)] = &[("ServiceBusy", 400), ("ServiceBusy", 503), ("ServiceUnavailable", 503), ("", 503)];

type Headers = &'static [(&'static str, &'static str)];

/// Headers, and the wait that they ask for in seconds.
const HINTS: &[(Headers, Option<u64>)] = &[
    (&[], None),
    (&[("x-acs-retry-after", "1800000")], Some(1800)),
    (&[("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:1800000,Reset:1")], Some(1800)),
    (&[("x-ratelimit-user", "Limit:1,Remain:0,TimeLeft:1800000,Reset:1")], Some(1800)),
    (&[("retry-after", "1800")], Some(1800)),
    (&[("retry-after", "60"), ("x-ratelimit-user", "TimeLeft:1800000"), ("x-acs-retry-after", "7")], Some(1800)),
    (&[("x-acs-retry-after", "86400000")], Some(3600)),
    (&[("retry-after", "soon"), ("x-ratelimit-user", "TimeLeft:-1"), ("x-acs-retry-after", "0")], None),
];

/// The dresses that a refusal comes in, in turn; without a code, the pages of a proxy.
fn body(code: &str, n: usize) -> String {
    match (code, n % 3) {
        ("", 0) => String::new(),
        ("", _) => "<html><body>too many requests</body></html>".to_owned(),
        (_, 0) => format!(r#"{{"RequestId":"R-1","HostId":"h","Code":"{code}","Message":"no"}}"#),
        (_, 1) => format!(r#"{{"requestId":"R-1","code":"{code}","message":"no"}}"#),
        _ => format!("<Error><RequestId>R-1</RequestId><Code>{code}</Code><Message>no</Message></Error>"),
    }
}

/// Every code with every hint.
fn cases(codes: &[(&'static str, u16)]) -> impl Iterator<Item = (&'static str, u16, usize)> {
    codes.iter().flat_map(|&(code, status)| (0..HINTS.len()).map(move |n| (code, status, n)))
}

/// One refused call: its error, how long the account is paused afterwards, and what is logged.
async fn refused(status: u16, headers: Headers, body: &str) -> (CallError, Duration, String) {
    let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let answer = Answer::Reply(status, headers, body.to_owned());
    let bench = Bench::with(vec![answer], 1, Duration::from_secs(20), false).await;
    let error = bench.error().await;
    assert_eq!(bench.seen().len(), 1);
    (error, bench.permits.paused_for(), bench.log.text())
}

#[tokio::test]
async fn every_code_of_throttling_pauses_the_account_for_as_long_as_any_hint_says() {
    assert_eq!(cases(CODES).count(), 72);
    for (code, status, n) in cases(CODES) {
        let ((headers, hint), body) = (HINTS[n], body(code, n));
        let case = format!("{status} {headers:?} {body}");
        let (error, paused, log) = refused(status, headers, &body).await;
        assert_eq!(error.disposition, Disposition::Throttled, "{case}");
        assert_eq!(error.hint, hint.map(Duration::from_secs), "{case}");
        // Without a hint it is the delay of the first attempt, which may be over by now.
        let least = hint.map_or(Duration::ZERO, |secs| Duration::from_secs(secs - 60));
        let most = hint.map_or(Duration::from_millis(2), |secs| Duration::from_secs(secs + 1));
        assert!(paused >= least && paused <= most, "{case}: {paused:?}");
        let said = if code.is_empty() { "429" } else { code };
        assert!(log.contains("api.throttled") && log.contains(&format!("code=\"{said}\"")), "{case}: {log}");
    }
}

#[tokio::test]
async fn a_busy_service_makes_only_its_own_caller_wait_for_as_long_as_any_hint_says() {
    for (code, status, n) in cases(BUSY) {
        let ((headers, hint), body) = (HINTS[n], body(code, n));
        let case = format!("{status} {headers:?} {body}");
        let (error, paused, log) = refused(status, headers, &body).await;
        assert_eq!((error.disposition, error.hint), (Disposition::Retry, hint.map(Duration::from_secs)), "{case}");
        assert!(paused.is_zero() && !log.contains("api.throttled"), "{case}");
    }
}
