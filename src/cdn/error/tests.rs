use proptest::prelude::*;

use super::{Disposition::*, *};

/// Codes and the statuses they come with, and what each means here.
const CODES: &[(&str, u16, Disposition)] = &[
    ("Throttling.User", 400, Throttled),
    ("Throttling.Api", 400, Throttled),
    ("Throttling", 400, Throttled),
    ("Throttling", 503, Throttled),
    ("Rejected.Throttling", 400, Throttled),
    ("FlowControlError", 400, Throttled),
    ("ServiceBusy", 400, Retry),
    ("ServiceUnavailable", 503, Retry),
    ("InternalError", 500, Retry),
    ("InternalError", 400, Retry),
    ("UnknownError", 500, Retry),
    ("SomethingNew", 500, Retry),
    ("SomethingNew", 502, Retry),
    ("SomethingNew", 503, Retry),
    ("SomethingNew", 504, Retry),
    ("SignatureNonceUsed", 400, RetryNow),
    ("InvalidTimeStamp.Expired", 400, ClockSkew),
    ("InvalidTimeStamp.Format", 400, Fatal),
    ("IllegalTimestamp", 400, Fatal),
    ("SignatureDoesNotMatch", 400, RefreshCredentials),
    ("SignatureDoesNotMatch", 403, RefreshCredentials),
    ("IncompleteSignature", 400, RefreshCredentials),
    ("InvalidSignatureMethod", 400, Fatal),
    ("UnsupportedHTTPMethod", 403, Fatal),
    ("UnsupportedHTTPMethod", 400, Fatal),
    ("InvalidAccessKeyId.NotFound", 404, RefreshCredentials),
    ("InvalidAccessKeyId.NotFound", 400, RefreshCredentials),
    ("InvalidAccessKeyId.Inactive", 400, RefreshCredentials),
    ("InvalidAccessKeyId", 403, RefreshCredentials),
    ("InvalidSecurityToken.Expired", 400, RefreshCredentials),
    ("InvalidSecurityToken.Malformed", 403, RefreshCredentials),
    ("MissingSecurityToken", 400, RefreshCredentials),
    ("MalformedSecurityToken", 400, RefreshCredentials),
    ("Forbidden.RAM", 403, Denied),
    ("Forbidden", 403, Denied),
    ("NoPermission", 403, Denied),
    ("Forbidden.RiskControl", 403, Denied),
    ("OperationDenied", 403, Denied),
    ("IllegalOperation", 403, Denied),
    ("InvalidApi.NotFound", 404, Fatal),
    ("InvalidProduct.NotFound", 404, Fatal),
    ("InvalidProtocol.NeedSsl", 404, Fatal),
    ("NoSuchVersion", 400, Fatal),
    ("UnsupportedOperation", 400, Fatal),
    ("SomethingNew", 200, Fatal),
    ("Throttling.User", 200, Throttled),
    ("MissingPageNumber", 400, Fatal),
    ("InvalidParameterProduct", 400, Fatal),
    ("InvalidParameterOperator", 400, Fatal),
];

#[test]
fn the_code_decides_before_the_status() {
    for &(code, status, meaning) in CODES {
        for code in [code.to_owned(), code.to_lowercase(), code.to_uppercase()] {
            assert_eq!(Disposition::of(Some(&code), status), meaning, "{code} {status}");
        }
    }
}

#[test]
fn without_a_code_the_status_decides() {
    for (status, meaning) in [
        (200, Retry),
        (301, Fatal),
        (400, Fatal),
        (401, Denied),
        (403, Denied),
        (404, Fatal),
        (407, Fatal),
        (408, Retry),
        (429, Throttled),
        (500, Retry),
        (502, Retry),
        (503, Retry),
        (504, Retry),
    ] {
        assert_eq!(Disposition::of(None, status), meaning, "{status}");
    }
}

#[test]
fn a_refusal_is_read_in_every_dress() {
    for body in [
        r#"{"RequestId":"R-1","HostId":"h","Code":"Throttling.User","Message":"too much","Recommend":"https://x"}"#,
        r#"{"requestId":"R-1","code":"Throttling.User","message":"too much"}"#,
        r#"{"Code":"Old","Code":"Throttling.User","Message":"too much","RequestId":"R-1"}"#,
        "<Error><RequestId>R-1</RequestId><HostId>h</HostId><Code>Throttling.User</Code><Message>too much</Message></Error>",
        "\u{feff}<?xml version=\"1.0\"?>\n<Error><requestid>R-1</requestid><code>Throttling.User</code><message>too much</message></Error>",
    ] {
        let refusal = Refusal::parse(body.as_bytes(), "LTAI");
        let expected = Refusal {
            code: Some("Throttling.User".to_owned()),
            message: "too much".to_owned(),
            request_id: Some("R-1".to_owned()),
            auth_action: None,
        };
        assert_eq!(refusal, expected, "{body}");
    }
}

#[test]
fn a_foreign_or_empty_body_is_told_from_the_service_s() {
    let html = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body><center>nginx<br></center></body></html>";
    let refusal = Refusal::parse(html.as_bytes(), "");
    assert_eq!(refusal.code, None);
    assert_eq!(refusal.message, "an answer that is not the service's: 502 Bad Gateway nginx");
    assert_eq!(Refusal::parse(b"", "").message, "the answer is empty");
    for body in ["oops", "[]", "{}", "<a/>", "{\"Code\":", "1"] {
        assert_eq!(Refusal::parse(body.as_bytes(), "").code, None, "{body}");
    }
    assert!(Refusal::parse("x".repeat(1 << 20).as_bytes(), "").message.len() <= 500);
}

#[test]
fn what_the_server_signed_and_our_key_id_are_not_repeated() {
    for text in [
        "Specified signature is not matched with our calculation. server string to sign is:POST&%2F&MARK",
        "Specified signature does not match our calculation: ACS3-HMAC-SHA256 MARK",
        "Signature of LTAIMARK differs. StringToSign=MARK",
    ] {
        let body = format!(r#"{{"Code":"SignatureDoesNotMatch","Message":"{text}"}}"#);
        let message = Refusal::parse(body.as_bytes(), "LTAIMARK").message;
        assert!(!message.contains("MARK") && message.to_lowercase().contains("signature"), "{message}");
    }
    let body = r#"{"Code":"InvalidAccessKeyId.NotFound","Message":"the key LTAIMARK is not known"}"#;
    assert_eq!(Refusal::parse(body.as_bytes(), "LTAIMARK").message, "the key [redacted] is not known");
}

#[test]
fn a_denial_names_the_missing_action() {
    let said = r#"{"Code":"Forbidden.RAM","Message":"m","AccessDeniedDetail":{"AuthAction":"cdn:Other","NoPermissionType":"ImplicitDeny"}}"#;
    let xml = "<Error><Code>Forbidden.RAM</Code><Message>m</Message><AccessDeniedDetail><AuthAction>cdn:Other</AuthAction></AccessDeniedDetail></Error>";
    for body in [said, xml] {
        let text = error(403, body, None).to_string();
        assert!(text.contains("must allow the action cdn:Other"), "{text}");
    }
    let text = error(403, r#"{"Code":"Forbidden.RAM","Message":"m"}"#, None).to_string();
    assert!(text.contains("cdn:DescribeUserUsageDetailDataExportTask"), "{text}");
}

#[test]
fn clock_skew_is_told_with_its_measure_and_its_sign() {
    let body = r#"{"Code":"InvalidTimeStamp.Expired","Message":"Specified time stamp or date value is expired."}"#;
    for (seconds, words) in [
        (1200, "is 20 min ahead of the service"),
        (-1200, "is 20 min behind the service"),
        (100, "is 100 s ahead of the service"),
        (-36_000, "is 10 h behind the service"),
        (864_000, "is 10 days ahead of the service"),
    ] {
        let text = error(400, body, Some(SignedDuration::from_secs(seconds))).to_string();
        assert!(text.contains(words) && text.contains("NTP"), "{text}");
    }
    assert!(error(400, body, None).to_string().contains("more than 15 min off"));
    let other = r#"{"Code":"IllegalTimestamp","Message":"m"}"#;
    assert!(error(400, other, Some(SignedDuration::from_hours(8))).to_string().contains("is 8 h ahead of"));
    assert!(!error(400, other, Some(SignedDuration::from_mins(1))).to_string().contains("clock"));
}

#[test]
fn an_error_says_what_to_do_and_keeps_its_parts() {
    let e = error(404, r#"{"Code":"InvalidAccessKeyId.NotFound","Message":"gone","RequestId":"R"}"#, None);
    assert_eq!(
        (e.code.as_deref(), e.request_id.as_deref(), e.status),
        (Some("InvalidAccessKeyId.NotFound"), Some("R"), Some(404))
    );
    assert_eq!(e.label(), "InvalidAccessKeyId.NotFound");
    assert!(e.to_string().contains("account.credentials"), "{e}");
    let e = Failure::local(Retry, "the endpoint cannot be reached", None).into_error("Op", 3);
    assert_eq!(
        (e.label(), e.to_string().as_str()),
        ("transport", "Op failed after 3 attempts: the endpoint cannot be reached")
    );
}

fn error(status: u16, body: &str, skew: Option<SignedDuration>) -> CallError {
    let refusal = Refusal::parse(body.as_bytes(), "");
    Failure::refused(status, refusal, None, skew).into_error("DescribeUserUsageDetailDataExportTask", 1)
}

proptest! {
    #[test]
    fn no_body_makes_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200), id in ".{0,3}") {
        let refusal = Refusal::parse(&body, &id);
        prop_assert!(refusal.message.chars().count() <= 500 + "an answer that is not the service's: ".len());
    }
}
