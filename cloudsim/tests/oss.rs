//! What the object store accepts, refuses and says.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use std::{io::Read as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudsim::{CloudSim, EtagMode, Export, Generated, LinkStyle, Object, TaskSpec};
use common::{End, ID, cloud, get, inside, request};
use md5::{Digest as _, Md5};

const STYLES: [LinkStyle; 4] = [LinkStyle::V1, LinkStyle::V1WithToken, LinkStyle::V4, LinkStyle::V4WithToken];
const TEXT: &[u8] = b"0123456789abcdefghij";

/// A cloud with one task, and a link to its file.
async fn with(object: Object) -> (CloudSim, String) {
    let cloud = cloud().await;
    let id = cloud.add_task(ID, Export::UsageDetail, TaskSpec::default().with_object(object));
    let link = cloud.link(ID, Export::UsageDetail, &id, LinkStyle::V1).unwrap();
    (cloud, link)
}

fn object() -> Object {
    Object::new(TEXT.to_vec(), "application/pdf")
}

fn code(reply: &common::Reply) -> String {
    inside(&reply.text(), "Code").unwrap_or_default()
}

#[tokio::test]
async fn links_of_every_style_lead_to_the_file_with_all_its_headers() {
    let (cloud, _) = with(object().with_content_md5(true)).await;
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    for style in STYLES {
        let link = cloud.link(ID, Export::UsageDetail, &id, style).unwrap();
        let reply = get(&link, &[]).await;
        assert_eq!((reply.status, reply.end, reply.body.as_slice()), (200, End::Complete, TEXT), "{style:?}");
        let md5 = Md5::digest(TEXT);
        assert_eq!(reply.header("ETag").unwrap(), format!("\"{}\"", hex::encode_upper(md5)));
        assert_eq!(reply.header("Content-MD5").unwrap(), STANDARD.encode(md5));
        let mut crc = crc64fast::Digest::new();
        crc.write(TEXT);
        assert_eq!(reply.header("x-oss-hash-crc64ecma").unwrap(), crc.sum64().to_string());
        assert_eq!(reply.header("x-oss-object-type"), Some("Normal"));
        assert_eq!(reply.header("Content-Type"), Some("application/pdf"));
        assert_eq!(reply.header("x-oss-request-id").unwrap().len(), 24);
        assert!(reply.header("x-oss-server-time").unwrap().parse::<u32>().is_ok());
    }
}

#[tokio::test]
async fn a_link_with_one_changed_character_is_refused() {
    let (cloud, _) = with(object()).await;
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    for style in STYLES {
        let link = cloud.link(ID, Export::UsageDetail, &id, style).unwrap();
        let mut refused = 0;
        let start = link.find("/cdn-billing").unwrap() + 1;
        for at in start..link.len() {
            let mut bytes = link.clone().into_bytes();
            // Only letters and digits, so that the link stays one; case stays, so that the change is always seen.
            bytes[at] = match bytes[at] {
                b'0'..=b'8' | b'a'..=b'y' | b'A'..=b'Y' if at < 2 || bytes[at - 1] != b'%' => bytes[at] + 1,
                _ => continue,
            };
            let reply = get(&String::from_utf8(bytes).unwrap(), &[]).await;
            assert!(matches!(reply.status, 400 | 403), "{style:?} {at} {}", reply.status);
            refused += usize::from(code(&reply) == "SignatureDoesNotMatch");
        }
        assert!(refused > 30, "{style:?}: {refused}");
    }
}

#[tokio::test]
async fn a_link_dies_in_its_time_and_that_is_judged_first() {
    let (cloud, _) = with(object()).await;
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    cloud.clock().set_speed(0.0);
    cloud.settings().set_link_lifetime(Duration::from_secs(600));
    let links = STYLES.map(|style| cloud.link(ID, Export::UsageDetail, &id, style).unwrap());
    cloud.clock().advance(Duration::from_secs(599));
    for link in &links {
        assert_eq!(get(link, &[]).await.status, 200);
    }
    cloud.clock().advance(Duration::from_secs(2));
    for link in &links {
        for link in [link.clone(), link.replace("ignature=", "ignature=x")] {
            let reply = get(&link, &[]).await;
            assert_eq!((reply.status, code(&reply).as_str()), (403, "AccessDenied"));
            let text = reply.text();
            assert!(text.contains("<Message>Request has expired.</Message>"), "{text}");
            assert_eq!(inside(&text, "EC").as_deref(), Some("0002-00000069"));
            assert_eq!(reply.header("x-oss-ec"), Some("0002-00000069"));
        }
    }
    cloud.settings().set_link_token_lifetime(Some(Duration::from_secs(60)));
    let link = cloud.link(ID, Export::UsageDetail, &id, LinkStyle::V4WithToken).unwrap();
    assert_eq!(get(&link, &[]).await.status, 200);
    cloud.clock().advance(Duration::from_secs(61));
    let reply = get(&link, &[]).await;
    assert_eq!(inside(&reply.text(), "EC").as_deref(), Some("0002-00000007"), "the token died before the link");
}

#[tokio::test]
async fn what_changes_the_signed_text_is_refused_and_what_does_not_is_free() {
    let (cloud, _) = with(object()).await;
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    for style in STYLES {
        let link = cloud.link(ID, Export::UsageDetail, &id, style).unwrap();
        let mismatch = (403, "SignatureDoesNotMatch".to_owned());
        for header in
            [("x-oss-range-behavior", "standard"), ("x-oss-traffic-limit", "819200"), ("Content-Type", "text/plain")]
        {
            let reply = get(&link, &[header]).await;
            assert_eq!((reply.status, code(&reply)), mismatch, "{style:?} {header:?}");
        }
        assert_eq!(request("HEAD", &link, &[]).await.status, 403);
        let both = get(&link, &[("Authorization", "Bearer x")]).await;
        assert_eq!((both.status, code(&both).as_str()), (400, "InvalidArgument"));
        let free = [("Range", "bytes=0-3"), ("If-Match", "*"), ("Accept-Encoding", "identity"), ("User-Agent", "x")];
        assert_eq!(get(&link, &free).await.status, 206);
    }
    let bare = cloud.link(ID, Export::UsageDetail, &id, LinkStyle::Plain).unwrap();
    assert_eq!(code(&get(&bare, &[]).await), "AccessDenied");
    cloud.settings().set_link_style(LinkStyle::Plain);
    assert_eq!(get(&bare, &[]).await.status, 200);
    let none = format!("{bare}9");
    assert_eq!(code(&get(&none, &[]).await), "AccessDenied");
}

#[tokio::test]
async fn only_a_range_that_fits_to_the_letter_is_a_part() {
    let (_cloud, link) = with(object()).await;
    for (range, body, content_range) in [
        ("bytes=0-3", &TEXT[..4], "bytes 0-3/20"),
        ("bytes=5-", &TEXT[5..], "bytes 5-19/20"),
        ("bytes=-4", &TEXT[16..], "bytes 16-19/20"),
        ("bytes=0-19", TEXT, "bytes 0-19/20"),
        ("bytes=1-2,5-6", &TEXT[1..3], "bytes 1-2/20"),
    ] {
        let reply = get(&link, &[("Range", range)]).await;
        assert_eq!((reply.status, reply.body.as_slice()), (206, body), "{range}");
        assert_eq!(reply.header("Content-Range"), Some(content_range));
        let whole = get(&link, &[]).await;
        assert_eq!(reply.header("x-oss-hash-crc64ecma"), whole.header("x-oss-hash-crc64ecma"), "it is of the whole");
    }
    for range in
        ["bytes=0-20", "bytes=20-", "bytes=-21", "bytes=7-3", "items=0-3", "bytes=a-b", "bytes=-", "bytes=-0", "0-3"]
    {
        let reply = get(&link, &[("Range", range)]).await;
        assert_eq!((reply.status, reply.body.as_slice()), (200, TEXT), "{range}");
        assert_eq!(reply.header("Content-Range"), None);
    }
}

#[tokio::test]
async fn conditions_are_kept_and_if_range_is_not_known() {
    let (cloud, link) = with(object()).await;
    let first = get(&link, &[]).await;
    let etag = first.header("ETag").unwrap().to_owned();
    let date = first.header("Last-Modified").unwrap().to_owned();
    let bare = etag.trim_matches('"').to_owned();
    let other = "\"00000000000000000000000000000000\"";
    let long_ago = "Tue, 09 Oct 2018 06:33:38 GMT";
    for (name, value, status) in [
        ("If-Match", etag.as_str(), 200),
        ("If-Match", &bare, 200),
        ("If-Match", other, 412),
        ("If-None-Match", &etag, 304),
        ("If-None-Match", other, 200),
        ("If-Modified-Since", &date, 304),
        ("If-Modified-Since", long_ago, 200),
        ("If-Unmodified-Since", &date, 200),
        ("If-Unmodified-Since", long_ago, 412),
    ] {
        let reply = get(&link, &[(name, value)]).await;
        assert_eq!(reply.status, status, "{name}: {value}");
        match status {
            304 => assert!(reply.body.is_empty() && reply.header("ETag") == Some(&etag)),
            412 => assert_eq!(code(&reply), "PreconditionFailed"),
            _ => assert_eq!(reply.body, TEXT),
        }
    }
    let reply = get(&link, &[("Range", "bytes=2-3"), ("If-Range", other)]).await;
    assert_eq!((reply.status, reply.body.as_slice()), (206, &TEXT[2..4]));
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    cloud.update_task(ID, Export::UsageDetail, &id, |task| task.object = Object::pdf("new"));
    let reply = get(&link, &[("Range", "bytes=2-3"), ("If-Match", &etag)]).await;
    assert_eq!(reply.status, 412, "the object is another one");
    cloud.update_task(ID, Export::UsageDetail, &id, |task| task.object.etag = EtagMode::None);
    assert_eq!(get(&link, &[("If-Match", &etag)]).await.status, 412);
    assert_eq!(get(&link, &[]).await.header("ETag"), None);
}

#[tokio::test]
async fn text_is_compressed_only_when_that_is_asked_for() {
    let text = "a line of text\n".repeat(200).into_bytes();
    let (cloud, link) = with(Object::new(text.clone(), "text/plain")).await;
    let reply = get(&link, &[("Accept-Encoding", "gzip, br")]).await;
    assert_eq!((reply.header("Content-Encoding"), reply.header("ETag")), (Some("gzip"), None));
    assert!(reply.header("Content-Length").is_none() && reply.body.len() < text.len());
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(reply.body.as_slice()).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, text);
    for encoding in ["identity", "gzip;q=0, identity", "br"] {
        let reply = get(&link, &[("Accept-Encoding", encoding)]).await;
        assert_eq!((reply.header("Content-Encoding"), &reply.body), (None, &text), "{encoding}");
    }
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    for (object, encoding) in [
        (Object::new(text.clone(), "text/csv"), None),
        (Object::new(text[..1000].to_vec(), "text/plain"), None),
        (Object::new(text.clone(), "text/plain").with_content_encoding("br"), Some("br")),
    ] {
        cloud.update_task(ID, Export::UsageDetail, &id, |task| task.object = object.clone());
        let reply = get(&link, &[("Accept-Encoding", "gzip")]).await;
        assert_eq!(reply.header("Content-Encoding"), encoding);
        assert!(reply.header("ETag").is_some());
    }
}

#[tokio::test]
async fn a_generated_file_of_any_length_can_be_read_in_parts() {
    let object = Object::generated(3, 5 << 20, Generated::Zip);
    let whole = object.body.to_bytes();
    let (cloud, link) = with(object).await;
    let reply = get(&link, &[]).await;
    assert_eq!(reply.body, whole);
    let mut crc = crc64fast::Digest::new();
    crc.write(&whole);
    assert_eq!(reply.header("x-oss-hash-crc64ecma").unwrap(), crc.sum64().to_string());
    assert!(reply.header("ETag").unwrap().ends_with("-1\""));
    assert_eq!(reply.header("x-oss-object-type"), Some("Multipart"));
    let part = get(&link, &[("Range", "bytes=1000003-3000000")]).await;
    assert_eq!(part.body, whole[1_000_003..=3_000_000]);
    let calls = cloud.oss_calls();
    assert_eq!((calls[0].status, calls[0].sent), (200, 5 << 20));
    assert_eq!((calls[1].status, calls[1].range.as_deref()), (206, Some("bytes=1000003-3000000")));
    assert_eq!(calls[1].task_id.as_deref(), Some(cloud.tasks(ID, Export::UsageDetail)[0].0.as_str()));
}

#[tokio::test]
async fn files_of_every_kind_begin_as_such_files_do() {
    for (object, start) in [
        (Object::csv(2), &b"\xef\xbb\xbfTime"[..]),
        (Object::xlsx("a"), b"PK\x03\x04"),
        (Object::zip("a"), b"PK\x03\x04"),
        (Object::xls("a"), b"\xd0\xcf\x11\xe0"),
        (Object::pdf("a"), b"%PDF"),
        (Object::gz("a"), b"\x1f\x8b"),
        (Object::html("a"), b"<!DOCTYPE html>"),
    ] {
        let (_cloud, link) = with(object).await;
        let reply = get(&link, &[]).await;
        assert!(reply.status == 200 && reply.body.starts_with(start), "{start:?}");
    }
    let book = Object::xlsx("a").body.to_bytes();
    let has = |text: &[u8]| book.windows(text.len()).any(|part| part == text);
    assert!(has(b"[Content_Types].xml") && has(b"xl/workbook.xml") && has(b"PK\x05\x06"));
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_found_and_odd_ids_are() {
    let cloud = cloud().await;
    for id in ["A91BE91F-0B34", "刷新/..%2f?&", "."] {
        cloud.add_task(ID, Export::Usage, TaskSpec::default().with_id(id).with_object(object()));
        for style in STYLES {
            let link = cloud.link(ID, Export::Usage, id, style).unwrap();
            assert_eq!(get(&link, &[]).await.body, TEXT, "{id}");
        }
    }
    let link = cloud.link(ID, Export::Usage, ".", LinkStyle::V1).unwrap();
    cloud.remove_task(ID, Export::Usage, ".");
    let reply = get(&link, &[]).await;
    assert_eq!((reply.status, code(&reply).as_str()), (404, "NoSuchKey"));
    assert_eq!(inside(&reply.text(), "EC").as_deref(), Some("0026-00000001"));
}

#[tokio::test]
async fn links_are_renewed_as_the_settings_say() {
    let (cloud, _) = with(object()).await;
    cloud.clock().set_speed(0.0);
    let id = cloud.tasks(ID, Export::UsageDetail)[0].0.clone();
    let link = || cloud.link(ID, Export::UsageDetail, &id, LinkStyle::V1).unwrap();
    let first = link();
    cloud.clock().advance(Duration::from_secs(1));
    assert_ne!(link(), first);
    cloud.settings().set_link_renewal(Duration::from_secs(600));
    let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    cloud.clock().set(start);
    let first = link();
    cloud.clock().advance(Duration::from_secs(599));
    assert_eq!(link(), first);
    cloud.clock().advance(Duration::from_secs(1));
    assert_ne!(link(), first);
    cloud.settings().set_link_base(Some("https://cdn-polaris.example".to_owned()));
    assert!(link().starts_with("https://cdn-polaris.example/cdn-billing/"));
    cloud.settings().set_link_base(None);
    let bare = cloud.link(ID, Export::UsageDetail, &id, LinkStyle::V1NoScheme).unwrap();
    assert!(bare.starts_with("127.0.0.1:") && get(&format!("http://{bare}"), &[]).await.status == 200);
}
