//! A real server on a real store.

use std::path::Path;

use jiff::Timestamp;
use sqlx::{Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::{
    clock,
    config::{Config, Environment},
    metrics::PollResult,
    model::{
        health::Beat,
        link::SignedUrl,
        task::{AccountName, Export, ListingKey, Status, TaskId, TaskSnapshot},
    },
};

/// Waiting for a condition ends here: long after it should have come true, on the slowest machine.
const DEADLINE: Duration = Duration::from_secs(60);

struct Bench {
    address: std::net::SocketAddr,
    state: AdminState,
    dir: TempDir,
    cancel: CancellationToken,
    server: JoinSet<()>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn listing() -> ListingKey {
    ListingKey { account: AccountName::parse("main").unwrap(), export: Export::UsageDetail }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn beat(interval: Duration) -> Beat {
    Beat { interval, request_timeout: Duration::ZERO, full_sweep_interval: Duration::from_secs(3600) }
}

fn polled(error: Option<&str>, interval: Duration) -> Polled {
    Polled { at: at(0), error: error.map(ToOwned::to_owned), consistent: Some(true), interval }
}

/// With three years of days expected of the account.
fn config(dir: &Path) -> Config {
    let text = format!(
        "[storage]\nstate_dir = {dir:?}\ndownload_dir = {dir:?}\n[http]\nhosts = ['status.example.com']\n[[account]]\nname = 'main'\n\
         [[account.expect]]\nwindow = 'day'\nfrom = '2023-01-01'\n"
    );
    Config::parse(&text, Path::new("test.toml"), &Environment::empty()).unwrap()
}

fn row(id: &str, status: &str) -> TaskSnapshot {
    TaskSnapshot {
        id: TaskId::parse(id).unwrap(),
        name: None,
        status: Status::parse(status).unwrap(),
        created_at: Some(at(-100)),
        updated_at: Some(at(-90)),
        range_start: None,
        range_end: None,
        link: (status == "success").then(|| SignedUrl::parse("https://b.example.com/a?Signature=s").unwrap()),
    }
}

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Store::open(dir.path()).await.unwrap();
        store.register_listing(&listing(), "https://cdn.example.com").await.unwrap();
        let sight = Arc::new(Sight::new(&config(dir.path())));
        let state = AdminState { store, metrics: Metrics::new().unwrap(), health: Arc::new(Health::new()), sight };
        state.metrics.set_listings(&[listing()]);
        state.health.set_listings(vec![ListingHealthConfig { listing: listing(), beat: beat(DEADLINE) }]);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let cancel = CancellationToken::new();
        let mut server = JoinSet::new();
        server.spawn(serve(socket, state.clone(), cancel.clone()));
        Self { address, state, dir, cancel, server }
    }

    async fn apply(&self, rows: &[TaskSnapshot]) {
        self.state.store.apply_page(&listing(), 1, rows, &[], None, None, at(0)).await.unwrap();
    }

    async fn ask(&self, method: &str, path: &str) -> Answer {
        self.ask_as(&format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await
    }

    async fn ask_as(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // The server closes after its answer.
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path).await
    }

    /// Asks until the answer is as wanted.
    async fn until(&self, path: &str, wanted: impl Fn(&Answer) -> bool) -> Answer {
        let begin = clock::instant();
        loop {
            let answer = self.get(path).await;
            if wanted(&answer) {
                return answer;
            }
            assert!(clock::instant() - begin < DEADLINE, "still {} {}", answer.status, answer.body);
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn healthz(&self) -> (u16, serde_json::Value) {
        let answer = self.get("/healthz").await;
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        (answer.status, serde_json::from_str(&answer.body).unwrap())
    }
}

async fn other_process(dir: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", dir.join("usage.db").display())).await.unwrap()
}

#[tokio::test]
async fn metrics_show_what_the_daemon_counted_and_what_the_store_holds() {
    let bench = Bench::new().await;
    bench.state.metrics.poll(&listing(), PollResult::Ok);
    bench.apply(&[row("1", "success"), row("2", "created"), row("3", "Halted"), row("4", "created")]).await;
    let answer = bench.get("/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{}", answer.head);
    let of = "account=\"main\",export=\"usage-detail\"";
    for line in [
        format!("cdn_usaged_polls_total{{{of},result=\"ok\"}} 1\n"),
        format!("cdn_usaged_tasks{{{of},status=\"created\"}} 2\n"),
        format!("cdn_usaged_tasks{{{of},status=\"success\"}} 1\n"),
        format!("cdn_usaged_tasks{{{of},status=\"failed\"}} 0\n"),
        format!("cdn_usaged_tasks{{{of},status=\"other\"}} 1\n"),
        format!("cdn_usaged_downloads{{{of},state=\"pending\"}} 1\n"),
        format!("cdn_usaged_downloads{{{of},state=\"stored\"}} 0\n"),
    ] {
        assert!(answer.body.contains(&line), "{line} in\n{}", answer.body);
    }
}

#[tokio::test]
async fn later_changes_of_the_store_show_and_a_removed_account_is_not_counted() {
    let bench = Bench::new().await;
    bench.apply(&[row("1", "created")]).await;
    let _ = bench.get("/metrics").await;
    bench.apply(&[row("1", "failed")]).await;
    bench
        .until("/metrics", |a| a.body.contains("status=\"failed\"} 1\n") && a.body.contains("status=\"created\"} 0\n"))
        .await;
    bench.state.metrics.set_listings(&[]);
    let answer = bench.get("/metrics").await;
    assert!(!answer.body.contains("account="), "{}", answer.body);
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let bench = Bench::new().await;
    for path in ["/", "/page.js", "/metrics", "/livez", "/healthz"] {
        let head = bench.ask("HEAD", path).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""), "{path}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
            let answer = bench.ask(method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.head.contains("allow: get,head"), "{}", answer.head);
        }
    }
    assert_eq!(bench.get("/elsewhere").await.status, 404);
}

#[tokio::test]
async fn every_answer_forbids_what_does_not_come_from_here_and_is_not_kept() {
    let bench = Bench::new().await;
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/page.js", "text/javascript; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
        ("/metrics", "text/plain"),
        ("/livez", "text/plain"),
        ("/elsewhere", ""),
    ] {
        let head = bench.get(path).await.head;
        assert!(kind.is_empty() || head.contains(&format!("content-type: {kind}")), "{path}: {head}");
        for wanted in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';",
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cache-control: no-store",
        ] {
            assert!(head.contains(wanted), "{path}: {wanted} in {head}");
        }
        assert!(!head.contains("unsafe"), "{head}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_answered_with_421_on_every_path() {
    let bench = Bench::new().await;
    for path in ["/", "/metrics", "/livez", "/healthz", "/elsewhere"] {
        let answer = bench.ask_as(&format!("GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n")).await;
        assert_eq!(answer.status, 421, "{path}");
        assert!(answer.body.contains("http.hosts") && !answer.body.contains("main"), "{}", answer.body);
        let bare = bench.ask_as(&format!("GET {path} HTTP/1.1\r\n\r\n")).await;
        assert_eq!(bare.status, 400, "{path}");
    }
    let address = bench.address.to_string();
    for host in [address.as_str(), "127.0.0.1", "localhost:1", "STATUS.example.com"] {
        let answer = bench.ask_as(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{host}");
    }
    assert_eq!(bench.ask_as("GET /livez HTTP/1.0\r\n\r\n").await.status, 200, "a simple prober");
}

#[tokio::test]
async fn many_who_look_cost_no_more_than_one_and_see_what_the_database_has() {
    let bench = Bench::new().await;
    bench.apply(&[row("1", "success"), row("2", "created"), row("3", "failed")]).await;
    let page = bench.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.body.matches("first seen, ").count(), 3, "{}", page.body);
    assert!(page.body.contains("<b>1</b> pending") && page.body.contains("<dd>1 pending</dd>"), "{}", page.body);
    assert!(page.body.contains("main/usage-detail <small>by day"), "{}", page.body);
    assert!(!page.body.contains("Signature"), "no link");
    let looks = futures::future::join_all((0..100).map(|_| bench.get("/"))).await;
    assert!(looks.iter().all(|look| look.status == 200));
    // The next page comes when it has something new to tell, and is a second old at most.
    bench.apply(&[row("4", "created")]).await;
    let page = bench.until("/", |a| a.body.contains("main/usage-detail/4")).await;
    assert_eq!(page.body.matches("first seen, ").count(), 4);
}

#[tokio::test]
async fn a_page_is_made_once_a_second_at_most_and_not_when_the_database_cannot_be_read() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let sight = Arc::new(Sight::new(&config(dir.path())));
    let state = AdminState { store, metrics: Metrics::new().unwrap(), health: Arc::new(Health::new()), sight };
    let page = Page::default();
    let made = || page.made.load(std::sync::atomic::Ordering::Relaxed);
    let began = clock::instant();
    let mut looks = 0;
    // Some 50 µs each: many more than pages are made.
    while made() < 2 {
        assert_eq!(page.show(&state).await.status(), 200);
        looks += 1;
        tokio::task::yield_now().await;
    }
    assert!(began.elapsed() >= Duration::from_secs(1) && looks > 100, "{looks}");
    state.store.clone().close().await;
    while page.show(&state).await.status() == 200 {
        tokio::task::yield_now().await;
    }
    assert!(made() >= 3, "what cannot be read is not shown as if it were");
}

#[tokio::test]
async fn livez_is_ok_until_the_store_cannot_be_written() {
    let bench = Bench::new().await;
    let answer = bench.get("/livez").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    let mut other = other_process(bench.dir.path()).await;
    let transaction = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let answer = bench.until("/livez", |a| a.status == 503).await;
    assert!(answer.body.contains("cannot begin to write the database"), "{}", answer.body);
    assert_eq!(bench.healthz().await.0, 503);
    transaction.rollback().await.unwrap();
    bench.until("/livez", |a| a.status == 200).await;
    // Nothing is left behind that would stop a write.
    bench.apply(&[row("1", "created")]).await;
}

#[tokio::test]
async fn livez_fails_when_the_database_file_is_gone() {
    let bench = Bench::new().await;
    assert_eq!(bench.get("/livez").await.status, 200);
    std::fs::remove_file(bench.dir.path().join("usage.db")).unwrap();
    let answer = bench.until("/livez", |a| a.status == 503).await;
    assert!(answer.body.contains("was moved, removed or replaced"), "{}", answer.body);
}

#[tokio::test]
async fn healthz_tells_each_listing_and_fails_when_one_is_overdue() {
    let bench = Bench::new().await;
    let health = &bench.state.health;
    health.restore(&listing(), Some(at(-60)), None);
    let (status, report) = bench.healthz().await;
    assert_eq!((status, &report["healthy"], &report["error"]), (200, &true.into(), &serde_json::Value::Null));
    let only = &report["listings"][0];
    assert_eq!((&only["account"], &only["export"]), (&"main".into(), &"usage-detail".into()));
    assert_eq!(only["last_poll_at"], "2025-12-31T23:59:00.000Z");
    assert!(only["last_consistent_sweep_at"].is_null());

    health.polled(&listing(), polled(None, Duration::from_millis(1)));
    let answer = bench.until("/healthz", |a| a.status == 503).await;
    assert!(answer.body.contains("no successful poll for"), "{}", answer.body);
    assert_eq!(bench.get("/livez").await.status, 200);

    // A failed poll mends nothing; its text comes as it is, and as JSON.
    health.polled(&listing(), polled(Some("said \"刷新\"\n<b>"), Duration::from_millis(1)));
    let (status, report) = bench.healthz().await;
    assert_eq!((status, &report["listings"][0]["error"]), (503, &"said \"刷新\"\n<b>".into()));

    health.polled(&listing(), polled(None, DEADLINE));
    let (status, report) = bench.healthz().await;
    let only = &report["listings"][0];
    assert_eq!((status, &only["healthy"], &only["error"]), (200, &true.into(), &serde_json::Value::Null));
    assert_eq!(only["last_consistent_sweep_at"], "2026-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn a_listing_without_a_consistent_sweep_is_overdue_and_a_removed_one_is_not() {
    let bench = Bench::new().await;
    let health = &bench.state.health;
    let soon = Beat { full_sweep_interval: Duration::from_millis(1), ..beat(DEADLINE) };
    health.set_listings(vec![ListingHealthConfig { listing: listing(), beat: soon }]);
    health.polled(&listing(), Polled { consistent: Some(false), ..polled(None, DEADLINE) });
    let answer = bench.until("/healthz", |a| a.status == 503).await;
    assert!(answer.body.contains("no consistent sweep for"), "{}", answer.body);
    health.set_listings(Vec::new());
    health.polled(&listing(), polled(None, DEADLINE));
    let (status, report) = bench.healthz().await;
    assert_eq!((status, &report["listings"]), (200, &serde_json::json!([])));
}

#[tokio::test]
async fn more_connections_than_are_served_wait_for_their_turn() {
    let bench = Bench::new().await;
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        silent.push(TcpStream::connect(bench.address).await.unwrap());
    }
    let patient = bench.get("/livez");
    tokio::pin!(patient);
    assert!(timeout(Duration::from_millis(200), &mut patient).await.is_err());
    drop(silent);
    assert_eq!(patient.await.status, 200);
}

#[tokio::test]
async fn it_ends_when_cancelled_also_while_somebody_says_nothing() {
    let mut bench = Bench::new().await;
    assert_eq!(bench.get("/livez").await.status, 200);
    let mut silent = TcpStream::connect(bench.address).await.unwrap();
    silent.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
    bench.cancel.cancel();
    timeout(DEADLINE, bench.server.join_next()).await.unwrap().unwrap().unwrap();
    // It is cut off: what comes is the end.
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await;
    assert!(rest.is_empty());
    bench.state.store.close().await;
}
