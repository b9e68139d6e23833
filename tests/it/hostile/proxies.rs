//! Proxies that the environment names, and those that the configuration does.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cloudsim::{LinkMode, Object, OssFault, OssMatch, TaskSpec};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::front::{Front, Secure, gateway_address};
use crate::{
    common::{DETAIL, MAIN, Run, World, csv_path, finish},
    secrets::{found, spellings},
};

const PASSWORD: &str = "MARK+proxy/password";
/// The same in the variable, where its special characters must be written like this.
const PASSWORD_IN_URL: &str = "MARK%2Bproxy%2Fpassword";

/// What a proxy was asked, and whether it was with the right password.
type Asked = Arc<Mutex<Vec<String>>>;

/// Connects whatever is asked for to the same port of this machine, so that any name leads to a test's server; or answers
/// everything with the same words.
#[derive(Debug)]
struct Proxy {
    address: SocketAddr,
    asked: Asked,
    _server: JoinSet<()>,
}

impl Proxy {
    async fn start(refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let noted = Arc::clone(&asked);
        let mut server = JoinSet::new();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                connections.spawn(serve(client, Arc::clone(&noted), refusal));
            }
        });
        Self { address, asked, _server: server }
    }

    /// As a variable names it.
    fn url(&self) -> String {
        format!("http://user:{PASSWORD_IN_URL}@{}", self.address)
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

/// One connection, which serves one request.
async fn serve(mut client: TcpStream, asked: Asked, refusal: Option<&str>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let target = words[1].trim_start_matches("http://");
    let (authority, path) = target.find('/').map_or((target, "/"), |at| target.split_at(at));
    let login = format!("Basic {}", STANDARD.encode(format!("user:{PASSWORD}")));
    let header = rest.lines().find(|l| l.to_ascii_lowercase().starts_with("proxy-authorization:"));
    let known = if header.is_some_and(|h| h.ends_with(&login)) { "" } else { " from a stranger" };
    asked.lock().unwrap().push(format!("{} {authority}{known}", words[0]));
    if let Some(refusal) = refusal {
        let _ = client.write_all(refusal.as_bytes()).await;
        return;
    }
    let port: u16 = authority.rsplit_once(':').map_or(443, |(_, port)| port.parse().unwrap());
    let Ok(mut onward) = TcpStream::connect(("127.0.0.1", port)).await else {
        let _ = client.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        return;
    };
    if words[0] == "CONNECT" {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    } else {
        let request = format!("{} {path} HTTP/1.1\r\nConnection: close\r\n{rest}", words[0]);
        onward.write_all(request.as_bytes()).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut onward).await;
}

/// What a proxy for https is asked when everything goes through it.
fn connects(secure: &Secure) -> Vec<String> {
    let mut asked = [&secure.gateway, &secure.store].map(|f| format!("CONNECT localhost:{}", f.port())).to_vec();
    asked.sort();
    asked
}

/// Runs `once` with variables of the environment.
async fn once_with(secure: &Secure, variables: &[(&str, &str)], code: i32) -> Run {
    let mut command = secure.command(&["once"]);
    command.env("CDN_USAGED_LOG", "trace").envs(variables.iter().copied());
    finish(&mut command).await.expect(code)
}

#[tokio::test]
async fn https_goes_through_the_proxy_of_the_environment_for_gateway_and_object_store() {
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        let (secure, proxy) = (Secure::start("good.pem", "good.pem").await, Proxy::start(None).await);
        secure.world.add("1", Object::csv(40));
        let run = once_with(&secure, &[(variable, &proxy.url()), ("HTTP_PROXY", "http://127.0.0.1:1")], 0).await;
        assert_eq!(proxy.asked(), connects(&secure), "{variable}");
        assert_eq!(secure.world.published(), [csv_path("1")], "{variable}");
        assert_no_password(&secure.world, &run).await;
    }
}

#[tokio::test]
async fn plain_http_goes_through_the_proxy_of_the_environment_for_gateway_and_object_store() {
    for variable in ["HTTP_PROXY", "http_proxy"] {
        let (world, proxy) = (World::start().await, Proxy::start(None).await);
        world.add("1", Object::csv(40));
        finish(world.command(["once"]).env(variable, proxy.url())).await.expect(0);
        let mut asked =
            [format!("POST {}", gateway_address(&world.cloud)), format!("GET {}", world.cloud.oss_address())];
        asked.sort();
        assert_eq!(proxy.asked(), asked, "{variable}");
        assert_eq!(world.published(), [csv_path("1")], "{variable}");
    }
}

#[tokio::test]
async fn what_no_proxy_names_is_reached_directly() {
    let secure = Secure::start("good.pem", "good.pem").await;
    let proxy = Proxy::start(None).await;
    let url = proxy.url();
    for (n, (variable, value)) in
        [("NO_PROXY", "localhost"), ("no_proxy", "example.com, .localhost"), ("NO_PROXY", "*")].into_iter().enumerate()
    {
        secure.world.add(&n.to_string(), Object::csv(40));
        once_with(&secure, &[("HTTPS_PROXY", &url), (variable, value)], 0).await;
        assert_eq!(proxy.asked(), Vec::<String>::new(), "{variable}={value}");
        assert_eq!(secure.world.published().len(), n + 1);
    }
    once_with(&secure, &[("HTTPS_PROXY", &url), ("NO_PROXY", "example.com,10.0.0.0/8")], 0).await;
    assert!(!proxy.asked().is_empty());
}

/// Nothing that was said or kept holds the password, in any spelling.
async fn assert_no_password(world: &World, run: &Run) {
    let mut texts = vec![run.stderr.clone().into_bytes(), run.stdout.clone().into_bytes()];
    for table in crate::common::TABLES {
        texts.push(world.dump(table).await.concat().into_bytes());
    }
    texts.push(std::fs::read(world.database()).unwrap());
    for text in texts {
        if let Some(found) = found(&spellings("MARK+proxy"), &text).or_else(|| found(&spellings("MARK%2Bproxy"), &text))
        {
            panic!("there is {found}");
        }
    }
}

/// Ways in which a proxy fails, and what is said of it.
const REFUSALS: [(&str, &str); 4] = [
    ("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "wants a user name and a password"),
    ("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno", "refuses to connect there"),
    ("SSH-2.0-OpenSSH\r\n\r\n", "refuses to connect there"),
    ("", "does not answer as a proxy does"),
];

#[tokio::test]
async fn a_proxy_that_refuses_the_gateway_is_named_without_its_password() {
    let secure = Secure::start("good.pem", "good.pem").await;
    for (refusal, said) in REFUSALS {
        let proxy = Proxy::start(Some(refusal)).await;
        let run = once_with(&secure, &[("HTTPS_PROXY", &proxy.url())], 1).await;
        let failed = run.event("poll.failed");
        let error = failed["error"].as_str().unwrap();
        assert!(error.contains(said) && error.contains(&format!("the proxy http://{} ", proxy.address)), "{error}");
        assert!(error.contains(&secure.gateway.base()) && error.contains("HTTPS_PROXY"), "{error}");
        assert_no_password(&secure.world, &run).await;
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_the_object_store_is_named_without_its_password() {
    let secure = Secure::start("good.pem", "good.pem").await;
    let mut world = secure.world;
    // Only the store is behind it.
    world.set_endpoint(&world.cloud.endpoint());
    let secure = Secure { world, ..secure };
    secure.world.add("1", Object::csv(40));
    for (refusal, said) in REFUSALS {
        let proxy = Proxy::start(Some(refusal)).await;
        let run = once_with(&secure, &[("HTTPS_PROXY", &proxy.url())], 1).await;
        let given_up = run.event("download.abandoned");
        let error = given_up["error"].as_str().unwrap();
        assert_eq!(given_up["reason"], "network");
        assert!(error.contains(said) && error.contains(&format!("the proxy http://{} ", proxy.address)), "{error}");
        assert!(error.contains("localhost"), "{error}");
        assert_no_password(&secure.world, &run).await;
    }
    once_with(&secure, &[], 0).await;
    assert_eq!(secure.world.published(), [csv_path("1")]);
}

#[tokio::test]
async fn a_proxy_that_cannot_be_reached_is_named_and_nothing_goes_past_it() {
    let secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://user:{PASSWORD_IN_URL}@{closed}");
    let run = once_with(&secure, &[("HTTPS_PROXY", &url)], 1).await;
    let failed = run.event("poll.failed");
    let error = failed["error"].as_str().unwrap();
    let named = format!("the proxy http://{closed} cannot be reached");
    assert!(error.contains(&named) && error.contains("refused"), "{error}");
    assert_eq!(secure.world.cloud.gateway_call_count(), 0);
    assert_no_password(&secure.world, &run).await;

    // By plain http, where nothing is said to the proxy first, and the gateway stands aside.
    let world = World::start().await;
    world.cloud.settings().set_link_base(Some(format!("http://localhost:{}", world.cloud.oss_address().port())));
    world.add("1", Object::csv(40));
    let run = finish(world.command(["once"]).env("http_proxy", &url).env("no_proxy", "127.0.0.1")).await.expect(1);
    let given_up = run.event("download.abandoned");
    assert!(given_up["error"].as_str().unwrap().contains(&named), "{given_up}");
    assert_eq!(world.cloud.oss_calls().len(), 0);
    assert_no_password(&world, &run).await;
}

#[tokio::test]
async fn a_proxy_that_is_spoken_to_by_tls_must_have_a_right_certificate_too() {
    let secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    let proxy = Proxy::start(None).await;
    let front = Front::before(proxy.address, "expired.pem").await;
    let url = format!("https://user:{PASSWORD_IN_URL}@localhost:{}", front.port());
    let run = once_with(&secure, &[("HTTPS_PROXY", &url)], 1).await;
    let failed = run.event("poll.failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains(&format!("the proxy {}: the certificate expired on 2021", front.base())), "{error}");
    assert_eq!(proxy.asked(), Vec::<String>::new());
    assert_no_password(&secure.world, &run).await;

    front.show("good.pem");
    // The link's host is the proxy's here, which no file is fetched from.
    once_with(&secure, &[("HTTPS_PROXY", &url), ("NO_PROXY", "files.example.com")], 1).await;
    assert_eq!(
        proxy.asked(),
        connects(&secure)[..]
            .iter()
            .filter(|a| a.contains(&secure.gateway.port().to_string()))
            .cloned()
            .collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_variable_that_names_no_usable_proxy_ends_the_start_and_is_not_repeated() {
    let world = World::start().await;
    for (variable, value) in [
        ("HTTPS_PROXY", "socks5://user:MARKproxy@localhost:1080"),
        ("https_proxy", "http://user:MARK proxy@localhost:3128"),
        ("ALL_PROXY", "http://user:MARKproxy@"),
    ] {
        for words in [["once"].as_slice(), &["run"], &["check", "--online"]] {
            let run = finish(world.command(words).env(variable, value)).await.expect(1);
            assert!(run.complaint().contains(&format!("{variable} names no proxy")), "{run}");
            assert!(!run.stderr.contains("MARK") && !run.stdout.contains("MARK"), "{run}");
        }
    }
    assert_eq!(world.cloud.gateway_call_count(), 0);
}

#[tokio::test]
async fn private_literals_are_refused_behind_a_proxy_and_a_name_is_its_business() {
    let Secure { mut world, gateway, .. } = Secure::start("good.pem", "good.pem").await;
    let proxy = Proxy::start(None).await;
    world.unset("download.allowed_networks");
    world.unset("download.allow_http");
    world.set("download.max_attempts", "1");
    // A public name that the proxy takes to this machine.
    let store = Front::before(world.cloud.oss_address(), "wrong-name.pem").await;
    world.cloud.settings().set_link_base(Some(format!("https://files.example.com:{}", store.port())));
    world.add("public", Object::csv(40));
    world.add("redirected", Object::csv(40));
    let location = format!("https://127.0.0.1:{}/x", store.port());
    let redirect = OssFault::Redirect { status: 302, location };
    world.cloud.script_oss(OssMatch::Task("redirected".to_owned()), redirect, u32::MAX);
    let links =
        ["127.0.0.1", "10.1.2.3", "[::1]", "169.254.169.254", "[::ffff:100.100.100.200]", "localhost", "0x7f.1"];
    for (n, host) in links.into_iter().enumerate() {
        let link = LinkMode::Fixed(format!("https://{host}:{}/x", store.port()));
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(format!("private-{n}")).with_link(link));
    }
    let secure = Secure { world, gateway, store };
    once_with(&secure, &[("HTTPS_PROXY", &proxy.url())], 1).await;
    assert_eq!(secure.world.published(), [csv_path("public")]);
    let refused = "SELECT count(*) FROM downloads WHERE state = 'abandoned' AND reason = 'refused_host'";
    assert_eq!(secure.world.number(refused).await, links.len() as i64 + 1);
    let (gateway, store) = (secure.gateway.port(), secure.store.port());
    let mut asked = vec![format!("CONNECT localhost:{gateway}"), format!("CONNECT files.example.com:{store}")];
    asked.sort();
    assert_eq!(proxy.asked(), asked);
}

/// A file with the proxy's user name and password.
fn login(world: &World, mode: u32) -> String {
    let path = world.path().join("proxy.login");
    fs::write(&path, format!("user:{PASSWORD}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    format!("{path:?}")
}

/// Sends the calls, or the downloads, through a proxy that wants a password.
fn set_proxy(world: &mut World, section: &str, proxy: &Proxy) {
    let login = login(world, 0o600);
    world.set(&format!("{section}.proxy"), &format!("\"http://{}\"", proxy.address));
    world.set(&format!("{section}.proxy_credentials_file"), &login);
}

/// A variable that nothing may follow.
const NOBODY: [(&str, &str); 2] = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("HTTP_PROXY", "http://127.0.0.1:1")];

#[tokio::test]
async fn gateway_and_object_store_each_go_through_their_own_proxy_whatever_the_environment_says() {
    let mut secure = Secure::start("good.pem", "good.pem").await;
    let (gateway, store) = (Proxy::start(None).await, Proxy::start(None).await);
    set_proxy(&mut secure.world, "gateway", &gateway);
    set_proxy(&mut secure.world, "download", &store);
    secure.world.add("1", Object::csv(40));
    let run = once_with(&secure, &[NOBODY.as_slice(), &[("NO_PROXY", "*")]].concat(), 0).await;
    assert_eq!(gateway.asked(), [format!("CONNECT localhost:{}", secure.gateway.port())]);
    assert_eq!(store.asked(), [format!("CONNECT localhost:{}", secure.store.port())]);
    assert_eq!(secure.world.published(), [csv_path("1")]);
    assert_no_password(&secure.world, &run).await;
    let shown = finish(&mut secure.command(&["config", "show"])).await.expect(0);
    assert_no_password(&secure.world, &shown).await;
}

#[tokio::test]
async fn no_proxy_is_taken_where_the_configuration_says_none() {
    let mut secure = Secure::start("good.pem", "good.pem").await;
    secure.world.add("1", Object::csv(40));
    once_with(&secure, &NOBODY, 1).await;
    secure.world.set("gateway.proxy", "\"none\"");
    // The gateway is reached now, and the object store is not.
    let run = once_with(&secure, &NOBODY, 1).await;
    assert_eq!((run.events("poll.failed").len(), run.events("download.abandoned").len()), (0, 1));
    secure.world.set("download.proxy", "\"none\"");
    once_with(&secure, &NOBODY, 0).await;
    assert_eq!(secure.world.published(), [csv_path("1")]);
}

#[tokio::test]
async fn a_configured_proxy_that_refuses_is_named_with_its_key_and_without_its_password() {
    for (section, event) in [("gateway", "poll.failed"), ("download", "download.abandoned")] {
        let mut secure = Secure::start("good.pem", "good.pem").await;
        secure.world.add("1", Object::csv(40));
        for (refusal, said) in REFUSALS {
            let proxy = Proxy::start(Some(refusal)).await;
            set_proxy(&mut secure.world, section, &proxy);
            let run = once_with(&secure, &[], 1).await;
            let failed = run.event(event);
            let error = failed["error"].as_str().unwrap();
            assert!(error.contains(said) && error.contains(&format!("the proxy http://{} ", proxy.address)), "{error}");
            assert!(error.contains(&format!("{section}.proxy")) && !error.contains("HTTPS_PROXY"), "{error}");
            assert_no_password(&secure.world, &run).await;
        }
    }
}

#[tokio::test]
async fn a_password_of_a_proxy_that_is_open_missing_or_in_the_configuration_starts_nothing() {
    let mut world = World::start().await;
    let proxy = Proxy::start(None).await;
    set_proxy(&mut world, "gateway", &proxy);
    login(&world, 0o644);
    for words in [["once"].as_slice(), &["run"], &["check"]] {
        let run = world.run(words).await.expect(78);
        assert!(run.complaint().contains("is open to other users (mode 0644); mend it with: chmod 0640"), "{run}");
        assert!(run.complaint().contains("gateway.proxy_credentials_file: the credentials file"), "{run}");
        assert!(!run.stderr.contains("MARK") && !run.stdout.contains("MARK"), "{run}");
    }
    fs::remove_file(world.path().join("proxy.login")).unwrap();
    let run = world.run(&["once"]).await.expect(78);
    assert!(run.complaint().contains("cannot be read: No such file"), "{run}");
    world.unset("gateway.proxy_credentials_file");
    world.set("gateway.proxy", &format!("{:?}", proxy.url()));
    let run = world.run(&["once"]).await.expect(78);
    assert!(run.complaint().contains("gateway.proxy: holds a user name or a password"), "{run}");
    assert!(!run.stderr.contains("MARK"), "{run}");
    assert_eq!(proxy.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_link_to_the_object_store_is_taken_from_its_internal_endpoint_where_that_is_configured() {
    let (mut world, proxy) = (World::start().await, Proxy::start(None).await);
    // The proxy stands for the names of the cloud.
    set_proxy(&mut world, "download", &proxy);
    world.unset("download.allowed_networks");
    world.set("download.allowed_hosts", "[\"exports.oss-cn-beijing.aliyuncs.com\"]");
    let port = world.cloud.oss_address().port();
    world.cloud.settings().set_link_base(Some(format!("http://exports.oss-cn-beijing.aliyuncs.com:{port}")));
    world.add("1", Object::csv(40));
    world.once(0).await;
    assert_eq!(proxy.asked(), [format!("GET exports.oss-cn-beijing.aliyuncs.com:{port}")]);

    world.set("download.internal_endpoint", "true");
    world.add("2", Object::csv(40));
    world.once(0).await;
    let mut asked = proxy.asked();
    assert_eq!(asked.remove(0), format!("GET exports.oss-cn-beijing-internal.aliyuncs.com:{port}"));
    assert_eq!(asked.len(), 1);
    assert_eq!(world.published(), [csv_path("1"), csv_path("2")]);

    // Whoever has no such endpoint in reach is told which key sends him there.
    let gone = Proxy::start(Some("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 2\r\n\r\nno")).await;
    set_proxy(&mut world, "download", &gone);
    world.cloud.settings().set_link_base(Some(format!("https://exports.oss-cn-beijing.aliyuncs.com:{port}")));
    world.add("3", Object::csv(40));
    let run = world.once(1).await;
    let error = run.event("download.abandoned")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("exports.oss-cn-beijing-internal.aliyuncs.com (download.internal_endpoint)"), "{error}");
}

#[tokio::test]
async fn a_reload_takes_other_proxies_and_what_their_files_hold() {
    let mut secure = Secure::start("good.pem", "good.pem").await;
    let (first, second) = (Proxy::start(None).await, Proxy::start(None).await);
    set_proxy(&mut secure.world, "gateway", &first);
    let daemon = crate::common::Running::start(&mut secure.command(&["run"]));
    daemon.await_events("poll.completed", 1).await;
    assert!(!first.asked().is_empty() && second.asked().is_empty());
    set_proxy(&mut secure.world, "gateway", &second);
    set_proxy(&mut secure.world, "download", &second);
    secure.world.write_config();
    daemon.signal(rustix::process::Signal::HUP);
    let said = daemon.await_events("config.reloaded", 1).await;
    let changed = said[0]["changed"].as_str().unwrap();
    assert_eq!(changed, "download.proxy,download.proxy_credentials_file,gateway.proxy");
    secure.world.add("1", Object::csv(40));
    secure.world.until_stored(&daemon, 1).await;
    assert_eq!(second.asked(), connects(&secure));

    // Another password in the same file.
    fs::write(secure.world.path().join("proxy.login"), "user:another\n").unwrap();
    daemon.signal(rustix::process::Signal::HUP);
    let said = daemon.await_events("config.reloaded", 2).await;
    assert_eq!(said[1]["changed"], "gateway.proxy_credentials_file,download.proxy_credentials_file");
    daemon.until("the proxy does not know it", async || second.asked().iter().any(|a| a.ends_with("a stranger"))).await;
    daemon.stop().await;
}
