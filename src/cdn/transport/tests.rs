use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    io::Write,
    num::NonZeroU32,
    path::Path,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use super::{answer::BODY_MAX_BYTES, *};
use crate::{
    cdn::listing::Client,
    config::{CredentialSource, Environment, KeyFiles, RateLimit},
    credentials::Outside,
    logging::tests::everybody_listens,
    model::task::Export,
    rpc::signature::{self, EMPTY_BODY_SHA256},
};

const PAGE: &str = r#"{"RequestId":"R-OK","UsageDataPerPage":{"TotalCount":0,"Data":{"DataItem":[]}}}"#;
const SECRET: &str = "SECRETMARK";
const TOKEN: &str = "CAIS/with+plus==TOKENMARK";

#[derive(Clone)]
enum Answer {
    Reply(u16, Vec<(&'static str, String)>, String),
    /// Writes another key id into the folder before it answers.
    Rotate(std::path::PathBuf),
    Hang,
}

fn reply(status: u16, body: &str) -> Answer {
    Answer::Reply(status, Vec::new(), body.to_owned())
}

fn refusal(status: u16, code: &str) -> Answer {
    reply(status, &format!(r#"{{"Code":"{code}","Message":"no","RequestId":"R-1"}}"#))
}

/// What arrived.
#[derive(Clone, Debug)]
struct Seen {
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: usize,
}

#[derive(Clone)]
struct Script {
    /// Answers in order; the last one is repeated.
    answers: Arc<Mutex<VecDeque<Answer>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

async fn handle(State(script): State<Script>, request: Request) -> axum::http::Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap().len();
    let headers = parts.headers.iter().map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_owned())).collect();
    script.seen.lock().unwrap().push(Seen {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers,
        body,
    });
    let answer = {
        let mut answers = script.answers.lock().unwrap();
        if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
    };
    let answer = match answer {
        Answer::Hang => std::future::pending().await,
        Answer::Rotate(folder) => {
            std::fs::write(folder.join("id"), "LTAINEW").unwrap();
            refusal(404, "InvalidAccessKeyId.NotFound")
        }
        other => other,
    };
    let Answer::Reply(status, headers, body) = answer else { unreachable!() };
    let mut response = axum::http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.into()).unwrap()
}

struct Bench {
    client: Client,
    permits: Arc<Permits>,
    script: Script,
    folder: TempDir,
    log: Log,
    _server: JoinSet<()>,
    _logging: tracing::subscriber::DefaultGuard,
}

impl Bench {
    async fn new(answers: Vec<Answer>) -> Self {
        Self::with(answers, 4, Duration::from_secs(20), false).await
    }

    async fn with(answers: Vec<Answer>, attempts: u32, request_timeout: Duration, sts: bool) -> Self {
        let script = Script { answers: Arc::new(Mutex::new(answers.into())), seen: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let mut server = JoinSet::new();
        let app = Router::new().fallback(handle).with_state(script.clone());
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        let folder = tempfile::tempdir().unwrap();
        let permits = Arc::new(permits());
        let client = client(endpoint, folder.path(), &permits, attempts, request_timeout, sts);
        let log = Log::default();
        let writer = log.clone();
        everybody_listens();
        let logging = tracing::subscriber::set_default(
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish(),
        );
        Self { client, permits, script, folder, log, _server: server, _logging: logging }
    }

    fn then(&self, answers: Vec<Answer>) {
        *self.script.answers.lock().unwrap() = answers.into();
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.seen.lock().unwrap().clone()
    }

    async fn page(&self) -> Result<super::super::wire::Page, CallError> {
        self.client.page(Export::UsageDetail, 3, 50).await
    }

    /// The error of a call; nothing secret is in it.
    async fn error(&self) -> CallError {
        let error = self.page().await.unwrap_err();
        let shown = format!("{error} {error:?} {:?} {}", self.client, self.log.text());
        for secret in ["MARK", "Signature=", "LTAIOLD", "PageNumber="] {
            assert!(!shown.contains(secret), "{shown}");
        }
        error
    }
}

fn permits() -> Permits {
    let many = NonZeroU32::new(1000).unwrap();
    Permits::new(&RateLimit { calls_per_second: many, burst: many })
}

fn client(
    endpoint: Url,
    folder: &Path,
    permits: &Arc<Permits>,
    call_attempts: u32,
    request_timeout: Duration,
    sts: bool,
) -> Client {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let source = CredentialSource::Files(KeyFiles {
        access_key_id_file: write("id", "LTAIOLD"),
        access_key_secret_file: write("secret", SECRET),
        security_token_file: sts.then(|| write("token", TOKEN)),
        allow_open_files: true,
    });
    // Another test of this process may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the server is on the loopback, which the real builder refuses")]
    let http = reqwest::Client::builder()
        .no_proxy()
        .retry(reqwest::retry::never())
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let account = AccountName::parse("main").unwrap();
    let outside = Outside::new(http.clone(), None).unwrap();
    Client::new(
        account.clone(),
        endpoint,
        http,
        Provider::new(account, source, Environment::empty(), outside),
        Arc::clone(permits),
        config::Retry { base: Duration::from_millis(1), max: Duration::from_millis(2), call_attempts },
        request_timeout,
    )
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn count(&self, event: &str) -> usize {
        self.text().matches(&format!("event=\"{event}\"")).count()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Computes the signature again from what arrived.
fn assert_signed(seen: &Seen, key_id: &str) {
    let authorization = &seen.headers["authorization"];
    let names = authorization.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let headers: Vec<(&str, &str)> = names.split(';').map(|name| (name, seen.headers[name].as_str())).collect();
    let query: Vec<(&str, &str)> = seen.query.split('&').map(|pair| pair.split_once('=').unwrap()).collect();
    let signed =
        signature::sign(key_id, SECRET, &signature::Request { method: &seen.method, query: &query, headers: &headers });
    assert_eq!(*authorization, signed.authorization);
    let unsigned =
        seen.headers.keys().filter(|name| name.starts_with("x-acs-") && !names.split(';').any(|n| n == *name));
    assert_eq!(unsigned.count(), 0, "{:?}", seen.headers);
}

#[tokio::test]
async fn a_call_is_a_signed_post_with_an_empty_body() {
    let bench = Bench::new(vec![reply(200, PAGE)]).await;
    let page = bench.page().await.unwrap();
    assert_eq!((page.request_id.as_deref(), page.total, page.calls), (Some("R-OK"), Some(0), 1));
    let seen = &bench.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.body), ("POST", "/", 0));
    assert_eq!(seen.query, "PageNumber=3&PageSize=50");
    for (name, value) in [
        ("x-acs-action", "DescribeUserUsageDetailDataExportTask"),
        ("x-acs-version", "2018-05-10"),
        ("x-acs-content-sha256", EMPTY_BODY_SHA256),
        ("accept", "application/json"),
        ("content-length", "0"),
        ("user-agent", concat!("cdn-usaged/", env!("CARGO_PKG_VERSION"))),
    ] {
        assert_eq!(seen.headers[name], value, "{name}");
    }
    assert_eq!(seen.headers["x-acs-date"].len(), "2024-05-06T07:08:09Z".len());
    assert_eq!(seen.headers["x-acs-signature-nonce"].len(), 32);
    assert!(!seen.headers.contains_key("accept-encoding") && !seen.headers.contains_key("x-acs-security-token"));
    assert_signed(seen, "LTAIOLD");
    bench.client.page(Export::Usage, 1, 1).await.unwrap();
    assert_eq!(bench.seen()[1].headers["x-acs-action"], "DescribeUserUsageDataExportTask");
    assert_eq!(bench.client.calls(), 2);
}

#[tokio::test]
async fn temporary_keys_send_and_sign_their_token() {
    let bench = Bench::with(vec![reply(200, PAGE)], 1, Duration::from_secs(20), true).await;
    bench.page().await.unwrap();
    let seen = &bench.seen()[0];
    assert_eq!(seen.headers["x-acs-security-token"], TOKEN);
    assert_eq!(seen.headers["x-acs-accesskey-id"], "LTAIOLD");
    assert_signed(seen, "LTAIOLD");
}

#[tokio::test]
async fn every_attempt_is_signed_anew() {
    let answers = vec![
        refusal(500, "InternalError"),
        refusal(400, "SignatureNonceUsed"),
        reply(502, "<html><body>502 Bad Gateway</body></html>"),
        reply(503, ""),
        reply(200, "<html>a captive portal</html>"),
        reply(200, PAGE),
    ];
    let mut bench = Bench::with(answers, 6, Duration::from_secs(20), false).await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    bench.client = bench.client.observed(Arc::new(move |told| {
        if let Told::Sent(a) = told {
            tell.lock().unwrap().push(a.code.to_owned());
        }
    }));
    let page = bench.page().await.unwrap();
    assert_eq!((page.calls, bench.client.calls()), (6, 6));
    let seen = bench.seen();
    for name in ["x-acs-signature-nonce", "authorization"] {
        assert_eq!(seen.iter().map(|s| &s.headers[name]).collect::<HashSet<_>>().len(), 6, "{name}");
    }
    seen.iter().for_each(|seen| assert_signed(seen, "LTAIOLD"));
    assert_eq!(
        *told.lock().unwrap(),
        ["InternalError", "SignatureNonceUsed", "transport", "transport", "transport", "OK"]
    );
}

#[tokio::test]
async fn attempts_are_bounded_and_the_last_error_is_told() {
    let bench = Bench::new(vec![reply(502, "<html>nginx</html>")]).await;
    let error = bench.error().await;
    assert_eq!((bench.seen().len(), error.attempts, error.status), (4, 4, Some(502)));
    assert_eq!(error.disposition, Disposition::Retry);
    assert!(error.to_string().contains("after 4 attempts") && error.to_string().contains("nginx"), "{error}");
    bench.then(vec![refusal(400, "SignatureNonceUsed")]);
    assert_eq!(bench.error().await.attempts, 4);
}

#[tokio::test]
async fn throttling_pauses_the_account_for_as_long_as_the_server_says() {
    let hour = 1_800_000;
    for (name, value) in [
        ("x-acs-retry-after", hour.to_string()),
        ("x-ratelimit-user-api", format!("Limit:1,Remain:0,TimeLeft:{hour},Reset:1")),
        ("retry-after", (hour / 1000).to_string()),
    ] {
        let body = r#"{"Code":"Throttling.User","Message":"no","RequestId":"R-1"}"#;
        let answer = Answer::Reply(400, vec![(name, value)], body.to_owned());
        let bench = Bench::with(vec![answer], 1, Duration::from_secs(20), false).await;
        let error = bench.error().await;
        assert_eq!(error.disposition, Disposition::Throttled);
        assert_eq!(error.hint, Some(Duration::from_secs(1800)));
        assert!(bench.permits.paused_for() > Duration::from_secs(1500), "{name}");
        assert_eq!(bench.log.count("api.throttled"), 1);
        assert!(bench.log.text().contains("wait_ms=180000"), "{}", bench.log.text());
    }
}

#[tokio::test]
async fn a_throttled_call_is_made_again_and_success_speeds_up() {
    let bench = Bench::new(vec![refusal(400, "Throttling"), refusal(503, "Throttling"), reply(200, PAGE)]).await;
    assert_eq!(bench.page().await.unwrap().calls, 3);
    assert!(bench.permits.spacing_factor() > 1.0 && bench.permits.spacing_factor() < 4.0);
    assert_eq!(bench.log.count("api.throttled"), 2);
}

#[tokio::test]
async fn credentials_that_were_just_replaced_are_found() {
    let mut bench = Bench::with(vec![reply(200, PAGE)], 1, Duration::from_secs(20), false).await;
    bench.then(vec![Answer::Rotate(bench.folder.path().to_owned()), reply(200, PAGE)]);
    assert_eq!(bench.page().await.unwrap().calls, 2);
    assert_signed(&bench.seen()[1], "LTAINEW");
    assert_eq!(bench.log.count("credentials.rejected"), 0);
    bench._server.abort_all();
}

#[tokio::test]
async fn credentials_are_tried_twice_at_the_onset_then_once_a_call_and_complained_of_once() {
    for code in
        ["InvalidAccessKeyId.NotFound", "SignatureDoesNotMatch", "IncompleteSignature", "InvalidSecurityToken.Expired"]
    {
        let bench = Bench::new(vec![refusal(403, code)]).await;
        let error = bench.error().await;
        assert_eq!((bench.seen().len(), error.disposition), (2, Disposition::RefreshCredentials));
        assert_eq!(error.code.as_deref(), Some(code));
        assert!(error.to_string().contains("[account.credentials]"), "{error}");
        bench.error().await;
        assert_eq!((bench.seen().len(), bench.log.count("credentials.rejected")), (3, 1));
        bench.then(vec![reply(200, PAGE)]);
        bench.page().await.unwrap();
        bench.then(vec![refusal(403, code)]);
        bench.error().await;
        assert_eq!(bench.log.count("credentials.rejected"), 2);
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let bench = Bench::new(vec![reply(200, PAGE)]).await;
    std::fs::remove_file(bench.folder.path().join("secret")).unwrap();
    let error = bench.error().await;
    assert_eq!((error.disposition, error.code.as_deref()), (Disposition::RefreshCredentials, None));
    assert_eq!((bench.seen().len(), bench.client.calls()), (0, 0));
    assert_eq!(bench.log.count("credentials.rejected"), 1);
}

#[tokio::test]
async fn what_another_attempt_cannot_mend_is_not_tried_again() {
    for (status, code, disposition) in [
        (403, "Forbidden.RAM", Disposition::Denied),
        (403, "OperationDenied", Disposition::Denied),
        (404, "InvalidApi.NotFound", Disposition::Fatal),
        (400, "InvalidParameterProduct", Disposition::Fatal),
        (200, "SomethingNew", Disposition::Fatal),
    ] {
        let bench = Bench::new(vec![refusal(status, code)]).await;
        let error = bench.error().await;
        assert_eq!((bench.seen().len(), error.disposition), (1, disposition), "{code}");
        assert_eq!((error.label(), error.request_id.as_deref()), (code, Some("R-1")));
    }
}

#[tokio::test]
async fn a_wrong_clock_is_measured_by_the_answer_s_date_and_not_tried_again() {
    let date = "Mon, 06 May 2024 07:08:09 GMT".to_owned();
    let body = r#"{"Code":"InvalidTimeStamp.Expired","Message":"expired"}"#.to_owned();
    let bench = Bench::new(vec![Answer::Reply(400, vec![("date", date)], body)]).await;
    let error = bench.error().await;
    assert_eq!((bench.seen().len(), error.disposition), (1, Disposition::ClockSkew));
    assert!(error.to_string().contains("days ahead of the service") && error.to_string().contains("NTP"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_refused() {
    let to = "https://elsewhere.example/?Signature=MARK".to_owned();
    let bench = Bench::new(vec![Answer::Reply(302, vec![("location", to)], String::new())]).await;
    let error = bench.error().await;
    assert_eq!((bench.seen().len(), error.disposition, error.status), (1, Disposition::Fatal, Some(302)));
    assert!(error.to_string().contains("redirects to https://elsewhere.example"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let bench = Bench::new(vec![reply(200, &" ".repeat(BODY_MAX_BYTES + 1))]).await;
    let error = bench.error().await;
    assert_eq!((bench.seen().len(), error.disposition), (1, Disposition::Fatal));
    assert!(error.to_string().contains("16 MiB"), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left_after_the_timeout() {
    let bench = Bench::with(vec![Answer::Hang], 2, Duration::from_millis(50), false).await;
    let error = bench.error().await;
    assert_eq!((error.attempts, error.disposition, error.label()), (2, Disposition::Retry, "transport"));
    assert!(error.to_string().contains("poll.request_timeout"), "{error}");
}

/// The error of a call to a server that is written by hand.
async fn raw_error(answer: Option<&'static str>) -> CallError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let mut server = JoinSet::new();
    match answer {
        None => drop(listener),
        Some(answer) => {
            server.spawn(async move {
                loop {
                    let (mut socket, _) = listener.accept().await.unwrap();
                    let _ = socket.read(&mut [0; 4096]).await;
                    let _ = socket.write_all(answer.as_bytes()).await;
                }
            });
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let client = client(endpoint, folder.path(), &Arc::new(permits()), 2, Duration::from_secs(20), false);
    let error = client.page(Export::UsageDetail, 1, 1).await.unwrap_err();
    assert_eq!((error.attempts, error.disposition), (2, Disposition::Retry));
    assert!(!error.to_string().contains("PageNumber"), "{error}");
    error
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_is_named_with_the_cause() {
    let text = raw_error(None).await.to_string();
    for words in ["http://127.0.0.1:", "refused", "DNS", "endpoint"] {
        assert!(text.contains(words), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let text = raw_error(Some("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")).await.to_string();
    assert!(text.contains("broke off"), "{text}");
    raw_error(Some("")).await;
    raw_error(Some("nonsense\r\n\r\n")).await;
}

mod throttling;
