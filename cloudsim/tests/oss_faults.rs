//! Each fault of the object store does what it says, for the requests it is meant for.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::{io::Read as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudsim::{CloudSim, Export, LinkStyle, Object, OssFault, OssMatch, TaskSpec};
use common::{End, ID, LATE, Reply, cloud, get, impatiently, inside};

const SIZE: usize = 100_000;

fn bytes() -> Vec<u8> {
    (0..SIZE).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

async fn start() -> (CloudSim, String, String) {
    let cloud = cloud().await;
    let task = TaskSpec::default().with_object(Object::new(bytes(), "application/pdf"));
    let id = cloud.add_task(ID, Export::UsageDetail, task);
    let link = cloud.link(ID, Export::UsageDetail, &id, LinkStyle::V1).unwrap();
    (cloud, link, id)
}

/// One request that meets a fault; the next one does not.
async fn with(fault: OssFault, headers: &[(&str, &str)]) -> Reply {
    let (cloud, link, _) = start().await;
    let silent = matches!(fault, OssFault::Hang | OssFault::StallAt(_));
    let replaced = matches!(fault, OssFault::Replace(_));
    cloud.script_oss(OssMatch::Any, fault, 1);
    let reply = if silent { impatiently(get(&link, headers)).await } else { get(&link, headers).await };
    let after = get(&link, &[]).await;
    assert_eq!((after.status, after.end), (200, End::Complete));
    assert!(replaced || after.body == bytes());
    reply
}

#[tokio::test]
async fn connections_break_where_they_should() {
    let reply = with(OssFault::Reset, &[]).await;
    assert_eq!((reply.status, reply.end), (0, End::Reset));
    let reply = with(OssFault::Hang, &[]).await;
    assert_eq!((reply.status, reply.end), (0, End::Silent));
    let length = SIZE.to_string();
    for (fault, end) in [(OssFault::TruncateAt(70_001), End::Closed), (OssFault::StallAt(70_001), End::Silent)] {
        let reply = with(fault, &[]).await;
        assert_eq!((reply.status, reply.end), (200, end));
        assert_eq!(reply.header("Content-Length"), Some(length.as_str()));
        assert!(reply.body == bytes()[..70_001]);
    }
    let reply = with(OssFault::ResetAt(70_001), &[]).await;
    assert_eq!(reply.end, End::Reset);
    assert!(reply.body.len() <= 70_001);
    let reply = with(OssFault::TruncateAt(0), &[]).await;
    assert_eq!((reply.status, reply.body.len(), reply.end), (200, 0, End::Closed));
}

#[tokio::test]
async fn slow_and_late_answers_are_right_in_the_end() {
    let every = Duration::from_millis(1);
    let reply = with(OssFault::Slow { bytes: 10_000, every }, &[]).await;
    assert!(reply.body == bytes());
    assert!(with(OssFault::Delay(LATE), &[]).await.body == bytes());
}

#[tokio::test]
async fn bytes_and_digests_are_spoiled_as_they_should() {
    let reply = with(OssFault::FlipBit(66_000), &[("Range", "bytes=10-99999")]).await;
    let right = bytes();
    let wrong: Vec<_> = (0..reply.body.len()).filter(|n| reply.body[*n] != right[n + 10]).collect();
    assert_eq!((reply.status, wrong), (206, vec![66_000]));
    let right = with(OssFault::Delay(Duration::ZERO), &[]).await;
    let crc = right.header("x-oss-hash-crc64ecma");
    assert!(crc.is_some() && right.header("ETag").is_some());
    let reply = with(OssFault::WrongCrc, &[]).await;
    assert!(reply.header("x-oss-hash-crc64ecma") != crc && reply.body == bytes());
    assert_eq!(with(OssFault::NoCrc, &[]).await.header("x-oss-hash-crc64ecma"), None);
    assert_eq!(with(OssFault::NoEtag, &[]).await.header("ETag"), None);
}

#[tokio::test]
async fn lengths_are_wrong_or_missing_as_they_should_be() {
    for length in ["99999999999999999999999", "-1", "abc", "200000"] {
        let reply = with(OssFault::ContentLength(length.to_owned()), &[]).await;
        assert_eq!((reply.header("Content-Length"), reply.end), (Some(length), End::Closed));
        assert!(reply.body == bytes());
    }
    let reply = with(OssFault::Chunked, &[]).await;
    assert_eq!((reply.header("Content-Length"), reply.header("Transfer-Encoding")), (None, Some("chunked")));
    assert!(reply.body == bytes());
    let reply = with(OssFault::NoLength, &[]).await;
    assert_eq!(
        (reply.header("Content-Length"), reply.header("Transfer-Encoding"), reply.end),
        (None, None, End::Closed)
    );
    assert!(reply.body == bytes());
}

#[tokio::test]
async fn errors_pages_and_redirects_come_as_scripted() {
    let (code, message) = ("ServiceUnavailable".to_owned(), "Later.".to_owned());
    let ec = "0099-1".to_owned();
    let reply = with(OssFault::Error { status: 503, code: code.clone(), message, ec }, &[]).await;
    let text = reply.text();
    assert_eq!(
        (reply.status, inside(&text, "Code"), inside(&text, "EC")),
        (503, Some(code.clone()), Some("0099-1".into()))
    );
    let reply = with(OssFault::HiddenError { status: 500, code: code.clone() }, &[]).await;
    let hidden = STANDARD.decode(reply.header("x-oss-err").unwrap()).unwrap();
    assert!(reply.body.is_empty() && String::from_utf8(hidden).unwrap().contains(&code));
    let reply = with(OssFault::HtmlPage, &[]).await;
    assert!(reply.status == 200 && reply.text().starts_with("<!DOCTYPE html>"));
    let location = "http://169.254.169.254/x".to_owned();
    for status in [301, 302, 307, 308] {
        let reply = with(OssFault::Redirect { status, location: location.clone() }, &[]).await;
        assert_eq!((reply.status, reply.header("Location")), (status, Some(location.as_str())));
    }
    let body = OssFault::Body { status: 418, content_type: "text/x".to_owned(), body: "tea".into() };
    let reply = with(body, &[]).await;
    assert_eq!((reply.status, reply.text().as_str(), reply.header("Content-Type")), (418, "tea", Some("text/x")));
}

#[tokio::test]
async fn ranges_are_answered_wrongly_as_scripted() {
    let range = [("Range", "bytes=100-199")];
    let reply = with(OssFault::IgnoreRange, &range).await;
    assert!(reply.status == 200 && reply.body == bytes());
    let reply = with(OssFault::ShiftRange(-50), &range).await;
    assert_eq!((reply.status, reply.header("Content-Range")), (206, Some("bytes 50-149/100000")));
    assert!(reply.body == bytes()[50..150]);
    let reply = with(OssFault::RangeTotal("*".to_owned()), &range).await;
    assert_eq!(reply.header("Content-Range"), Some("bytes 100-199/*"));
    let reply = with(OssFault::NoContentRange, &range).await;
    assert_eq!((reply.status, reply.header("Content-Range"), reply.body.len()), (206, None, 100));
    let reply = with(OssFault::Gzip, &[]).await;
    assert_eq!(reply.header("Content-Encoding"), Some("gzip"));
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_end(&mut plain).unwrap();
    assert!(plain == bytes());
    let reply = with(OssFault::Replace(Object::pdf("other")), &[]).await;
    assert!(reply.body.starts_with(b"%PDF"));
}

#[tokio::test]
async fn a_fault_meets_only_the_requests_it_is_meant_for() {
    let (cloud, link, id) = start().await;
    let other = cloud.add_task(ID, Export::UsageDetail, TaskSpec::default());
    let other = cloud.link(ID, Export::UsageDetail, &other, LinkStyle::V4).unwrap();
    let error = |status| OssFault::Body { status, content_type: String::new(), body: "".into() };
    cloud.script_oss(OssMatch::Nth(2), error(500), 1);
    cloud.script_oss(OssMatch::All(vec![OssMatch::Task(id), OssMatch::Ranged]), error(501), 2);
    let range = [("Range", "bytes=0-1")];
    assert_eq!(get(&link, &[]).await.status, 200);
    assert_eq!(get(&link, &[]).await.status, 500);
    assert_eq!(get(&other, &range).await.status, 206);
    assert_eq!(get(&link, &[]).await.status, 200);
    for status in [501, 501, 206] {
        assert_eq!(get(&link, &range).await.status, status);
    }
    cloud.script_oss(OssMatch::Any, error(502), 1);
    assert_eq!(get(&link.replace("Signature=", "Signature=x"), &[]).await.status, 403);
    assert_eq!(cloud.faults_left(), (0, 1), "a bad signature meets no fault");
    cloud.settings().set_oss_down(true);
    assert_eq!(get(&link, &[]).await.status, 0);
}
