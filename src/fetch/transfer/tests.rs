//! Against a scripted server on loopback.

mod server;

use std::{fs, path::PathBuf};

use self::server::{Say, Server, answer};
use super::*;
use crate::{
    config::Download,
    egress::{Policy, Surroundings},
    fetch::verify::Digests,
};

const ETAG: &str = "\"5EB63BBBE01EEED093CB22BB8F5ACDC3-1\"";

struct Bench {
    dir: tempfile::TempDir,
    downloads: Downloads,
    progress: Progress,
    limits: Limits,
    space: SpaceCheck,
    resume_etag: Option<String>,
    if_none_match: Option<String>,
}

impl Bench {
    fn new() -> Self {
        let config = Download {
            concurrency: 1,
            max_attempts: 1,
            idle_timeout: Duration::from_secs(20),
            min_rate_bytes: 1,
            max_size_bytes: 10_000_000,
            allowed_hosts: Vec::new(),
            allowed_networks: vec!["127.0.0.0/8".parse().unwrap()],
            allow_http: true,
            proxy: config::Proxy::default(),
            internal_endpoint: false,
        };
        Self {
            dir: tempfile::tempdir().unwrap(),
            downloads: Downloads::new(Policy::new(&config), &Surroundings::Loopback).unwrap(),
            progress: Progress::default(),
            limits: Limits::from(&config),
            space: Arc::new(|_| Ok(())),
            resume_etag: None,
            if_none_match: None,
        }
    }

    fn partial(&self) -> PathBuf {
        self.dir.path().join("x.part")
    }

    /// As an earlier attempt left it.
    fn with_partial(self, bytes: &[u8]) -> Self {
        fs::write(self.partial(), bytes).unwrap();
        Self { resume_etag: Some(ETAG.to_owned()), ..self }
    }

    async fn run(&self, url: &str) -> Result<Outcome, TransferError> {
        let link = SignedUrl::parse(&format!("{url}/billing/x?Signature=MARK&Expires=1")).unwrap();
        let result = transfer(
            &self.downloads,
            &Request {
                link: &link,
                partial: &self.partial(),
                resume_etag: self.resume_etag.as_deref(),
                if_none_match: self.if_none_match.as_deref(),
                limits: self.limits,
                progress: &self.progress,
                space: self.space.clone(),
            },
        )
        .await;
        if let Err(e) = &result {
            assert!(!format!("{e} {e:?}").contains("MARK"), "{e:?}");
        }
        result
    }

    async fn fetched(&self, url: &str) -> Fetched {
        match self.run(url).await {
            Ok(Outcome::Fetched(fetched)) => fetched,
            other => panic!("not fetched: {other:?}"),
        }
    }

    async fn failed(&self, url: &str, reason: Reason) -> TransferError {
        let error = self.run(url).await.unwrap_err();
        assert_eq!(error.reason, reason, "{error:?}");
        error
    }

    fn left(&self) -> Option<Vec<u8>> {
        fs::read(self.partial()).ok()
    }
}

/// A table of about this many bytes.
fn table(bytes: usize) -> Vec<u8> {
    let mut rows = b"time,domain,bytes\n".to_vec();
    let mut row: u64 = 0;
    while rows.len() < bytes {
        rows.extend(format!("{row},a.example.com,{}\n", row.wrapping_mul(2_654_435_761)).bytes());
        row += 1;
    }
    rows
}

fn crc(bytes: &[u8]) -> u64 {
    let mut digests = Digests::new(false);
    digests.update(bytes);
    digests.crc64()
}

/// What the object store says of an object.
fn of(object: &[u8]) -> Vec<String> {
    vec![
        format!("ETag: {ETAG}"),
        format!("x-oss-hash-crc64ecma: {}", crc(object)),
        "x-oss-request-id: 5C3D9175B6FC201293AD4890".to_owned(),
    ]
}

fn with(mut headers: Vec<String>, more: &[String]) -> Vec<String> {
    headers.extend_from_slice(more);
    headers
}

fn length(n: usize) -> String {
    format!("Content-Length: {n}")
}

fn whole(object: &[u8]) -> Vec<u8> {
    answer("200 OK", &with(of(object), &[length(object.len())]), object)
}

fn part(object: &[u8], first: usize, range: &str) -> Vec<u8> {
    let headers = with(of(object), &[length(object.len() - first), format!("Content-Range: {range}")]);
    answer("206 Partial Content", &headers, &object[first..])
}

#[tokio::test]
async fn a_whole_file_is_fetched_with_no_header_that_a_signature_covers() {
    let object = table(3_000_000);
    let server = Server::start(vec![Say::Bytes(whole(&object))]).await;
    let bench = Bench::new();
    let fetched = bench.fetched(&server.url).await;

    assert_eq!(bench.left().unwrap(), object);
    assert_eq!((fetched.bytes, fetched.crc64), (object.len() as u64, crc(&object)));
    assert_eq!((fetched.verified_by, fetched.kind), (VerifiedBy::Crc64, ContentKind::Csv));
    assert_eq!((fetched.etag.as_deref(), fetched.resumed_bytes), (Some(ETAG), 0));
    assert_eq!(fetched.request_id.as_deref(), Some("5C3D9175B6FC201293AD4890"));
    assert_eq!(bench.progress.done_bytes(), object.len() as u64);
    assert_eq!(bench.progress.total_bytes(), Some(object.len() as u64));
    let request = &server.requests()[0];
    assert!(request.starts_with("get /billing/x?signature=mark&expires=1 http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
    let names: Vec<&str> = request.lines().skip(1).filter_map(|l| l.split_once(':')).map(|(n, _)| n).collect();
    for name in names {
        assert!(["host", "accept", "accept-encoding", "user-agent"].contains(&name), "{name}");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(bench.partial()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_broken_off_body_is_resumed_where_it_broke() {
    let object = table(1_000_000);
    let mut first = whole(&object);
    let head = first.len() - object.len();
    first.truncate(head + 400_000);
    let rest = object.len();
    let server = Server::start(vec![
        Say::Bytes(first),
        Say::Bytes(part(&object, 400_000, &format!("bytes 400000-{}/{rest}", rest - 1))),
    ])
    .await;
    let mut bench = Bench::new();
    let error = bench.failed(&server.url, Reason::Network).await;
    assert_eq!((error.from_byte, error.to_byte), (0, 400_000));
    assert_eq!((error.etag.as_deref(), error.keep_partial), (Some(ETAG), true));
    assert_eq!(bench.left().unwrap(), object[..400_000]);
    assert_eq!(bench.progress.etag().as_deref(), Some(ETAG));

    bench.resume_etag = error.etag;
    let fetched = bench.fetched(&server.url).await;
    assert_eq!((fetched.bytes, fetched.resumed_bytes), (object.len() as u64, 400_000));
    assert_eq!(fetched.verified_by, VerifiedBy::Crc64);
    assert_eq!(bench.left().unwrap(), object);
    let request = &server.requests()[1];
    assert!(request.contains("\r\nrange: bytes=400000-\r\n"), "{request}");
    assert!(request.contains(&format!("\r\nif-match: {}\r\n", ETAG.to_lowercase())), "{request}");
    assert!(!request.contains("if-range"), "{request}");
}

#[tokio::test]
async fn a_whole_answer_to_a_range_starts_over() {
    let object = table(10_000);
    let server = Server::start(vec![Say::Bytes(whole(&object))]).await;
    let bench = Bench::new().with_partial(&object[..5_000]);
    let fetched = bench.fetched(&server.url).await;
    assert_eq!((fetched.resumed_bytes, bench.left().unwrap()), (0, object));
    assert!(server.requests()[0].contains("range: bytes=5000-"));
}

#[tokio::test]
async fn an_unfit_answer_to_a_range_costs_one_fresh_request() {
    let object = table(10_000);
    let n = object.len();
    let last = n - 1;
    let other_etag = answer(
        "206 Partial Content",
        &["ETag: \"other\"".to_owned(), length(n - 5_000), format!("Content-Range: bytes 5000-{last}/{n}")],
        &object[5_000..],
    );
    let unfit = [
        part(&object, 5_000, &format!("bytes 4999-{last}/{n}")),
        part(&object, 5_000, &format!("bytes 5000-{}/{n}", last - 1)),
        part(&object, 5_000, &format!("bytes 5000-{last}/{}", n + 1)),
        part(&object, 5_000, &format!("bytes 5000-{last}/*")),
        part(&object, 5_000, "nonsense"),
        part(&object, 5_001, &format!("bytes 5000-{last}/{n}")),
        answer("206 Partial Content", &with(of(&object), &[length(n - 5_000)]), &object[5_000..]),
        other_etag,
        answer("412 Precondition Failed", &[length(0)], b""),
        answer("416 Requested Range Not Satisfiable", &[length(0)], b""),
    ];
    for (i, first) in unfit.into_iter().enumerate() {
        let server = Server::start(vec![Say::Bytes(first), Say::Bytes(whole(&object))]).await;
        let bench = Bench::new().with_partial(&object[..5_000]);
        let fetched = bench.fetched(&server.url).await;
        assert_eq!((fetched.resumed_bytes, bench.left().unwrap()), (0, object.clone()), "{i}");
        let requests = server.requests();
        assert_eq!(requests.len(), 2, "{i}");
        assert!(!requests[1].contains("range:") && !requests[1].contains("if-match:"), "{i}: {}", requests[1]);
    }
}

#[tokio::test]
async fn a_part_that_nobody_asked_for_is_refused() {
    let object = table(1_000);
    let n = object.len();
    let server = Server::start(vec![Say::Bytes(part(&object, 0, &format!("bytes 0-{}/{n}", n - 1)))]).await;
    let error = Bench::new().failed(&server.url, Reason::Http).await;
    assert!(error.text.contains("206") && !error.keep_partial, "{error:?}");
}

#[tokio::test]
async fn without_a_strong_etag_what_is_there_is_dropped() {
    let object = table(10_000);
    for etag in [None, Some("W/\"x\"".to_owned()), Some(String::new())] {
        let server = Server::start(vec![Say::Bytes(whole(&object))]).await;
        let bench =
            Bench { resume_etag: etag, ..Bench::new().with_partial(b"of another object, and longer".as_slice()) };
        assert_eq!(bench.fetched(&server.url).await.resumed_bytes, 0);
        assert_eq!(bench.left().unwrap(), object);
        assert!(!server.requests()[0].contains("range:"));
    }
}

#[tokio::test]
async fn a_reset_and_a_silence_are_network_failures_that_keep_what_came() {
    let object = table(100_000);
    let mut cut = whole(&object);
    cut.truncate(cut.len() - 50_000);
    let server = Server::start(vec![Say::ThenSilence(cut.clone())]).await;
    let mut bench = Bench::new();
    bench.limits.idle_timeout = Duration::from_secs(1);
    let error = bench.failed(&server.url, Reason::Network).await;
    assert!(error.text.contains("no byte for"), "{error:?}");
    assert_eq!(error.to_byte, object.len() as u64 - 50_000);
    assert_eq!(bench.left().unwrap(), object[..object.len() - 50_000]);

    let server = Server::start(vec![Say::ThenReset(cut)]).await;
    let error = Bench::new().failed(&server.url, Reason::Network).await;
    // A reset may overtake bytes before it.
    assert!(error.to_byte <= object.len() as u64 - 50_000, "{error:?}");

    let server = Server::start(vec![Say::ThenSilence(Vec::new())]).await;
    let error = bench.failed(&server.url, Reason::Network).await;
    assert!(error.text.contains("no answer for"), "{error:?}");
}

#[tokio::test]
async fn a_trickle_below_the_slowest_rate_is_a_network_failure() {
    let head = answer("200 OK", &with(of(b""), &[length(1_000_000)]), b"");
    let server = Server::start(vec![Say::Trickle(head, 10_000)]).await;
    let mut bench = Bench::new();
    bench.limits.rate_window = Duration::from_millis(300);
    bench.limits.min_rate_bytes = 100_000;
    let error = bench.failed(&server.url, Reason::Network).await;
    assert!(error.text.contains("download.min_rate") && error.keep_partial, "{error:?}");
}

/// With the limits of an untouched configuration, on a clock that only the test moves.
#[tokio::test(start_paused = true)]
async fn a_byte_every_29_seconds_is_too_slow_although_it_is_never_silent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut bench = Bench::new();
    let (idle_timeout, min_rate_bytes) = (Duration::from_secs(30), 1024);
    bench.limits = Limits { idle_timeout, min_rate_bytes, ..bench.limits };
    let mut sent = 0;
    let trickle = async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await.unwrap();
        let head = answer("200 OK", &with(of(b""), &[length(1_000_000)]), b"");
        stream.write_all(&head).await.unwrap();
        // More than enough: a minute is over after three.
        while sent < 10 {
            sent += 1;
            stream.write_all(b"x").await.unwrap();
            while bench.progress.done_bytes() < sent {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(Duration::from_secs(29)).await;
        }
    };
    let error = tokio::select! {
        result = bench.run(&url) => result.unwrap_err(),
        () = trickle => panic!("ten bytes in five minutes were borne"),
    };
    assert_eq!(error.reason, Reason::Network, "{error:?}");
    let slow = "3 bytes in 60 s are fewer than download.min_rate";
    assert!(error.text.contains(slow) && error.keep_partial, "{error:?}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_refused_before_or_while_it_is_written() {
    let object = table(50_000);
    let chunked = {
        let mut body = format!("{:x}\r\n", object.len()).into_bytes();
        body.extend(&object);
        body.extend(b"\r\n0\r\n\r\n");
        answer("200 OK", &with(of(&object), &["Transfer-Encoding: chunked".to_owned()]), &body)
    };
    for reply in [whole(&object), chunked] {
        let server = Server::start(vec![Say::Bytes(reply)]).await;
        let mut bench = Bench::new().with_partial(b"");
        bench.limits.max_size_bytes = 20_000;
        let error = bench.failed(&server.url, Reason::TooLarge).await;
        assert!(error.text.contains("download.max_size") && !error.keep_partial && error.etag.is_none(), "{error:?}");
        assert_eq!(bench.left(), None);
    }
}

#[tokio::test]
async fn pages_and_nothing_are_no_exports_with_or_without_a_length() {
    let page = b"\n<!DOCTYPE html><html>please log in</html>";
    for (reply, what) in [
        (answer("200 OK", &[length(page.len())], page), "HTML"),
        (answer("200 OK", &[], page), "HTML"),
        (answer("200 OK", &[length(33)], b"<?xml version=\"1.0\"?><Error>x    "), "HTML"),
        (answer("200 OK", &[length(0)], b""), "empty"),
        (answer("200 OK", &[], b""), "empty"),
    ] {
        let server = Server::start(vec![Say::Bytes(reply)]).await;
        let bench = Bench::new();
        let error = bench.failed(&server.url, Reason::NotAnExport).await;
        assert!(error.text.contains(what), "{error:?}");
        assert_eq!(bench.left(), None);
    }
}

#[tokio::test]
async fn another_crc_or_md5_is_an_integrity_failure_and_drops_the_file() {
    let object = table(10_000);
    let n = length(object.len());
    for digest in ["x-oss-hash-crc64ecma: 1", "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww=="] {
        let headers = [n.clone(), digest.to_owned(), format!("ETag: {ETAG}")];
        let server = Server::start(vec![Say::Bytes(answer("200 OK", &headers, &object))]).await;
        let bench = Bench::new();
        let error = bench.failed(&server.url, Reason::Integrity).await;
        assert!(!error.keep_partial && error.etag.is_none(), "{error:?}");
        assert_eq!(bench.left(), None);
    }
}

#[tokio::test]
async fn a_spliced_file_is_noticed() {
    let object = table(10_000);
    let n = object.len();
    let range = format!("bytes 5000-{}/{n}", n - 1);
    let server = Server::start(vec![Say::Bytes(part(&object, 5_000, &range))]).await;
    let bench = Bench::new().with_partial(&[b'x'; 5_000]);
    bench.failed(&server.url, Reason::Integrity).await;
    assert_eq!(bench.left(), None);
}

#[tokio::test]
async fn an_md5_is_computed_over_a_resumed_file_too() {
    let object = b"hello world";
    let headers = [
        length(6),
        "Content-Range: bytes 5-10/11".to_owned(),
        format!("ETag: {ETAG}"),
        "Content-MD5: XrY7u+Ae7tCTyyK7j1rNww==".to_owned(),
    ];
    let server = Server::start(vec![Say::Bytes(answer("206 Partial Content", &headers, &object[5..]))]).await;
    let bench = Bench::new().with_partial(&object[..5]);
    let fetched = bench.fetched(&server.url).await;
    assert_eq!((fetched.verified_by, fetched.resumed_bytes), (VerifiedBy::Md5, 5));
    assert_eq!(fetched.kind, ContentKind::Txt);
}

#[tokio::test]
async fn without_a_digest_a_length_is_required_and_an_archive_must_have_its_end() {
    let object = table(1_000);
    let server = Server::start(vec![
        Say::Bytes(answer("200 OK", &[], &object)),
        Say::Bytes(answer("200 OK", &[length(object.len())], &object)),
    ])
    .await;
    let bench = Bench::new();
    bench.failed(&server.url, Reason::Integrity).await;
    assert_eq!(bench.fetched(&server.url).await.verified_by, VerifiedBy::Length);

    let archive = crate::fetch::zip::archive(&[("xl/workbook.xml", b"<workbook/>")]);
    let cut = &archive[..archive.len() - 5];
    let server = Server::start(vec![
        Say::Bytes(answer("200 OK", &[length(archive.len())], &archive)),
        Say::Bytes(answer("200 OK", &[length(cut.len())], cut)),
        Say::Bytes(whole(cut)),
    ])
    .await;
    let bench = Bench::new();
    assert_eq!(bench.fetched(&server.url).await.kind, ContentKind::Xlsx);
    let error = bench.failed(&server.url, Reason::Integrity).await;
    assert!(error.text.contains("end record"), "{error:?}");
    // A digest says that the object itself is like that.
    assert_eq!(bench.fetched(&server.url).await.verified_by, VerifiedBy::Crc64);
}

#[tokio::test]
async fn a_digest_makes_up_for_a_missing_length() {
    let object = table(100_000);
    let server = Server::start(vec![
        Say::Bytes(answer("200 OK", &of(&object), &object)),
        Say::Bytes(answer("200 OK", &of(&object), &object[..50_000])),
    ])
    .await;
    let bench = Bench::new();
    assert_eq!(bench.fetched(&server.url).await.verified_by, VerifiedBy::Crc64);
    assert_eq!(bench.progress.total_bytes(), None);
    bench.failed(&server.url, Reason::Integrity).await;
}

#[tokio::test]
async fn an_encoded_body_is_kept_as_it_is_stored() {
    let stored = b"\x1f\x8b\x08\x00not really deflated, which nobody minds";
    let headers = with(of(stored), &[length(stored.len()), "Content-Encoding: gzip".to_owned()]);
    let server = Server::start(vec![Say::Bytes(answer("200 OK", &headers, stored))]).await;
    let bench = Bench::new();
    assert_eq!(bench.fetched(&server.url).await.kind, ContentKind::Gz);
    assert_eq!(bench.left().unwrap(), stored);
}

#[tokio::test]
async fn an_encoded_body_without_a_digest_is_refused_and_identity_is_no_encoding() {
    let object = table(1_000);
    for (encoding, is_refused) in [("gzip", true), ("br", true), ("identity, gzip", true), ("Identity", false)] {
        let headers = [length(object.len()), format!("Content-Encoding: {encoding}")];
        let server = Server::start(vec![Say::Bytes(answer("200 OK", &headers, &object))]).await;
        let bench = Bench::new();
        if is_refused {
            let error = bench.failed(&server.url, Reason::Integrity).await;
            assert!(error.text.contains("encoded"), "{encoding}: {error:?}");
            assert_eq!(bench.left(), None, "{encoding}");
        } else {
            assert_eq!(bench.fetched(&server.url).await.verified_by, VerifiedBy::Length, "{encoding}");
        }
    }
}

fn redirect(status: u16, to: &str) -> Say {
    Say::Bytes(answer(&format!("{status} Elsewhere"), &[format!("Location: {to}"), length(0)], b""))
}

#[tokio::test]
async fn five_redirects_are_followed_and_six_are_not() {
    let object = table(1_000);
    let hops = [301, 302, 303, 307, 308];
    let mut script: Vec<Say> = hops.iter().map(|s| redirect(*s, &format!("/{s}?Signature=MARK"))).collect();
    script.push(Say::Bytes(whole(&object)));
    let server = Server::start(script).await;
    let bench = Bench::new();
    bench.fetched(&server.url).await;
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests[5].starts_with("get /308?signature=mark http/1.1"), "{}", requests[5]);
    assert!(requests.iter().all(|r| r.contains("accept-encoding: identity") && !r.contains("referer")));

    let server = Server::start((0..7).map(|_| redirect(302, "/again?Signature=MARK")).collect()).await;
    let error = bench.failed(&server.url, Reason::Http).await;
    assert!(error.text.contains("redirects more than 5 times"), "{error:?}");
    assert_eq!(server.requests().len(), 6);
}

#[tokio::test]
async fn a_redirect_is_judged_like_the_first_link() {
    for to in [
        "http://10.0.0.1/x?Signature=MARK",
        "http://100.100.100.200/latest/meta-data/?MARK",
        "http://[::ffff:169.254.169.254]/MARK",
        "ftp://127.0.0.1/x?MARK",
        "http://u:MARK@127.0.0.1/",
        "file:///etc/MARK",
    ] {
        let server = Server::start(vec![redirect(302, to)]).await;
        let error = Bench::new().failed(&server.url, Reason::RefusedHost).await;
        assert_eq!(server.requests().len(), 1, "{error:?}");
    }
    for to in ["http://[::1", "http://"] {
        let server = Server::start(vec![redirect(302, to)]).await;
        Bench::new().failed(&server.url, Reason::Http).await;
    }
    let server = Server::start(vec![Say::Bytes(answer("302 Found", &[length(0)], b""))]).await;
    Bench::new().failed(&server.url, Reason::Http).await;
}

#[tokio::test]
async fn a_refused_link_reaches_nobody() {
    for url in ["http://10.0.0.1", "http://169.254.169.254", "http://[::1]"] {
        let error = Bench::new().failed(url, Reason::RefusedHost).await;
        assert!(error.unreachable_host.is_none(), "{error:?}");
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_named() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let bench = Bench::new().with_partial(b"some,thing\n");
    let error = bench.failed(&url, Reason::Network).await;
    assert_eq!(error.unreachable_host.as_deref(), Some("127.0.0.1"));
    assert_eq!((error.from_byte, error.to_byte, error.keep_partial), (11, 11, true));
    assert_eq!(bench.left().unwrap(), b"some,thing\n");
}

#[tokio::test]
async fn each_refusal_has_its_reason_and_the_servers_words_without_its_secrets() {
    let xml = |code: &str| {
        format!(
            "<Error><Code>{code}</Code><Message>Request has expired.</Message><RequestId>R1</RequestId>\
             <StringToSign>MARK</StringToSign><EC>0002-00000069</EC></Error>"
        )
    };
    for (status, reason) in [
        ("403 Forbidden", Reason::Expired),
        ("404 Not Found", Reason::Gone),
        ("400 Bad Request", Reason::Http),
        ("500 Internal Server Error", Reason::Http),
        ("304 Not Modified", Reason::Http),
        ("204 No Content", Reason::Http),
    ] {
        let body =
            if status.starts_with('3') || status.starts_with("20") { String::new() } else { xml("AccessDenied") };
        let reply = if body.is_empty() {
            answer(status, &[], b"")
        } else {
            answer(status, &[length(body.len())], body.as_bytes())
        };
        let server = Server::start(vec![Say::Bytes(reply)]).await;
        let bench = Bench::new().with_partial(b"some,thing\n");
        let error = bench.failed(&server.url, reason).await;
        assert!(error.text.contains(&status[..3]), "{error:?}");
        if !body.is_empty() {
            assert!(error.text.contains("AccessDenied: Request has expired. (EC 0002-00000069)"), "{error:?}");
            assert_eq!(error.request_id.as_deref(), Some("R1"));
        }
        assert!(error.keep_partial && error.etag.is_some(), "{error:?}");
        assert_eq!(bench.left().unwrap(), b"some,thing\n");
    }
}

#[tokio::test]
async fn a_throttling_server_is_heard() {
    let reply = answer("503 Service Unavailable", &["Retry-After: 17".to_owned(), length(0)], b"");
    let server = Server::start(vec![Say::Bytes(reply)]).await;
    let error = Bench::new().failed(&server.url, Reason::Http).await;
    assert_eq!(error.retry_after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn an_unchanged_object_is_not_fetched_and_a_changed_one_is() {
    let object = table(1_000);
    let server = Server::start(vec![
        Say::Bytes(answer("304 Not Modified", &[format!("ETag: {ETAG}")], b"")),
        Say::Bytes(whole(&object)),
    ])
    .await;
    let bench = Bench { if_none_match: Some(ETAG.to_owned()), ..Bench::new() };
    assert_eq!(bench.run(&server.url).await, Ok(Outcome::Unchanged));
    assert_eq!(bench.left(), None);
    bench.fetched(&server.url).await;
    for request in server.requests() {
        assert!(request.contains(&format!("if-none-match: {}", ETAG.to_lowercase())), "{request}");
    }
}

#[tokio::test]
async fn a_lack_of_space_is_told_before_and_while_writing() {
    let object = table(40 * 1024 * 1024);
    let server = Server::start(vec![Say::Bytes(whole(&object)), Say::Bytes(whole(&object))]).await;
    let mut bench = Bench::new();
    bench.limits.max_size_bytes = u64::MAX;
    bench.space = Arc::new(|_| Err("under min_free".to_owned()));
    let error = bench.failed(&server.url, Reason::Disk).await;
    assert!(error.is_out_of_space && error.text == "under min_free" && !error.keep_partial, "{error:?}");

    let total = object.len() as u64;
    bench.space = Arc::new(move |more| if more == total { Ok(()) } else { Err("under min_free".to_owned()) });
    let error = bench.failed(&server.url, Reason::Disk).await;
    assert!(error.is_out_of_space && error.keep_partial, "{error:?}");
    let left = bench.left().unwrap();
    assert_eq!(left.len() as u64, error.to_byte);
    assert!(!left.is_empty() && object.starts_with(&left));
}

#[tokio::test]
async fn a_folder_that_is_gone_is_a_failure_of_the_disk() {
    let object = table(1_000);
    let server = Server::start(vec![Say::Bytes(whole(&object))]).await;
    let bench = Bench::new();
    fs::remove_dir(bench.dir.path()).unwrap();
    let error = bench.failed(&server.url, Reason::Disk).await;
    assert!(!error.is_out_of_space && error.text.contains("x.part"), "{error:?}");
}

#[tokio::test]
async fn a_dropped_attempt_leaves_a_beginning_that_the_next_one_resumes() {
    let object = table(1_000_000);
    let n = object.len();
    let mut cut = whole(&object);
    cut.truncate(cut.len() - n + 600_000);
    let server = Server::start(vec![Say::ThenSilence(cut)]).await;
    let mut bench = Bench::new();
    tokio::select! {
        result = bench.run(&server.url) => panic!("ended by itself: {result:?}"),
        () = async {
            server.said().await;
            while bench.progress.done_bytes() < 600_000 {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    // What an attempt in another process, or the next one here, finds: the writer may still be at it.
    let path = bench.partial();
    let held = tokio::task::spawn_blocking(move || Partial::resume(&path, || true)).await.unwrap().unwrap();
    let length = held.map_or(0, |p| p.digests().length());
    let left = bench.left().unwrap();
    assert_eq!(left.len() as u64, length);
    assert!(object.starts_with(&left));

    bench.resume_etag = bench.progress.etag();
    assert_eq!(bench.resume_etag.as_deref(), Some(ETAG));
    let first = left.len();
    let server = Server::start(vec![Say::Bytes(part(&object, first, &format!("bytes {first}-{}/{n}", n - 1)))]).await;
    assert_eq!(bench.fetched(&server.url).await.bytes, n as u64);
    assert_eq!(bench.left().unwrap(), object);
}

#[tokio::test]
async fn a_fetched_file_can_be_published_as_it_is() {
    use crate::{
        fetch::publish::{Area, FileDigests},
        model::task::{AccountName, Export, ListingKey, TaskId, TaskKey},
    };
    let object = table(100_000);
    let server = Server::start(vec![Say::Bytes(whole(&object))]).await;
    let bench = Bench::new();
    let area = Area::open(bench.dir.path().join("exports")).unwrap();
    let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage };
    let partial = area.partial(&TaskKey { listing, id: TaskId::parse("11").unwrap() });
    let link = SignedUrl::parse(&server.url).unwrap();
    let request = Request {
        link: &link,
        partial: &partial,
        resume_etag: None,
        if_none_match: None,
        limits: bench.limits,
        progress: &bench.progress,
        space: bench.space.clone(),
    };
    let Ok(Outcome::Fetched(fetched)) = transfer(&bench.downloads, &request).await else { panic!("not fetched") };
    area.seal(&partial).unwrap();
    area.place(&partial, "main/usage/x.csv").unwrap();
    let Fetched { bytes, sha256, crc64, .. } = fetched;
    assert_eq!(area.hash("main/usage/x.csv").unwrap(), Some(FileDigests { bytes, sha256, crc64 }));
    assert_eq!(area.list_partials().unwrap(), Vec::<PathBuf>::new());
}
