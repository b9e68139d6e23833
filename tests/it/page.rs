//! The status page of a daemon that works, and, where there is one, in a real browser.
//!
//! `tests/page/equip` fetches what the browser is driven with; without it the two tests that need it check nothing and say so.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use cloudsim::{AccountSpec, Object, TaskSpec};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::Command,
};

use crate::common::{DETAIL, MAIN, Running, World, finish, get};

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs a script of `tests/page`, and shows what it says unless it is content. False where it is not equipped.
async fn browse(script: &str, arguments: &[&str], live: bool) -> bool {
    let Some(tools) = std::env::var_os("CDN_USAGED_PAGE_TOOLS") else {
        println!("CDN_USAGED_PAGE_TOOLS is not set, see tests/page/equip: no browser looks at the page");
        return false;
    };
    let mut command = Command::new("node");
    command
        .arg(file("tests/page").join(script))
        .args(arguments)
        .env("CDN_USAGED_PAGE_TOOLS", tools)
        .env("CDN_USAGED_PAGE_LIVE", if live { "1" } else { "0" })
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    finish(&mut command).await.expect(0);
    true
}

/// The whole answer to a request as it is written.
async fn ask(address: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Two accounts, one expected by month and one by day, with tasks that are stored, failed, unfinished, given up and under way.
async fn busy(world: &mut World) -> Running {
    world.add_account("branch", AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.expect("main", "from = \"2018-06\"\nname = \"traffic*\"");
    world.expect("branch", "from = \"2018-08-01\"\nwindow = \"day\"");
    let add = |account: &str, id: &str, name: &str, status: &str| {
        let task = TaskSpec::default().with_id(id).with_name(name).with_status(status).with_object(Object::csv(3));
        world.cloud.add_task(account, DETAIL, task);
    };
    add(MAIN, "one", "traffic <b>&</b> August", "success");
    add(MAIN, "two", "requests", "failed");
    add(MAIN, "three", "traffic, September", "created");
    add("LTAIbranch", "four", "all", "success");
    world.add_stalling("five");
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    world.until_stored(&daemon, 2).await;
    daemon
}

/// What the page has to show of windows: the counts of each expectation, as `calendar` has them.
fn counts(windows: &[Value]) -> Vec<String> {
    let mut shown = Vec::new();
    for account in ["main", "branch"] {
        for state in ["archived", "restated", "pending", "missing", "failed", "overdue", "beyond_reach"] {
            let n = windows.iter().filter(|w| w["account"] == account && w["state"] == state).count();
            if n > 0 {
                shown.push(format!("{n} {}", state.replace('_', " ")));
            }
        }
    }
    shown
}

#[tokio::test]
async fn the_page_shows_what_the_database_and_the_commands_have_in_a_browser_too() {
    let mut world = World::start().await;
    let address = world.serve_http();
    let daemon = busy(&mut world).await;
    // A window may end between the two: then both are asked again.
    let mut page = String::new();
    let mut windows = Vec::new();
    daemon
        .until("page and calendar say the same", async || {
            windows = counts(&world.run(&["calendar", "--since", "2000-01-01", "--json"]).await.expect(0).rows());
            (_, page) = get(&address, "/").await.unwrap();
            windows.iter().all(|count| page.contains(&format!("{count}</span>")))
        })
        .await;
    assert!(windows.len() >= 4 && windows.contains(&"31 archived".to_owned()), "{windows:?}");
    assert!(page.contains("traffic &lt;b&gt;&amp;&lt;/b&gt; August") && !page.contains("<b>&</b>"), "{page}");
    let number = async |sql: &str| world.number(sql).await;
    let states = [
        ("under way", number("SELECT count(*) FROM downloads WHERE active_since IS NOT NULL").await),
        ("pending", number("SELECT count(*) FROM downloads WHERE state = 'pending'").await),
        ("abandoned", number("SELECT count(*) FROM downloads WHERE state = 'abandoned'").await),
    ];
    assert_eq!(states[0].1, 1, "one stands still in the middle");
    let downloads: Vec<String> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    let transitions = number("SELECT count(*) FROM transitions").await;
    assert!((5..20).contains(&transitions), "{transitions}");
    let (status, failed) = ("first seen, success", "first seen, failed");
    let total = number("SELECT total FROM listings WHERE account = 'main'").await;
    let expected = json!({
        "p-windows": windows,
        "p-accounts": ["main/usage-detail well", "branch/usage-detail well", format!("Tasks listed{total}"), "1 active"],
        "p-downloads": [downloads.join(", "), "main/usage-detail/five", "of 1.0 MiB"],
        "p-recent": ["main/usage-detail/one traffic <b>&</b> August", "branch/usage-detail/four", status, failed],
        "p-disks": ["State", "Files", "free of", "min_free 1KiB"],
        "p-verdict": ["overdue"],
    });
    let file = world.path().join("expected.json");
    fs::write(&file, expected.to_string()).unwrap();
    browse("look.mjs", &[&format!("http://{address}/"), file.to_str().unwrap()], true).await;
    daemon.stop().await;
}

#[tokio::test]
async fn the_fixed_scene_is_right_in_a_browser_and_its_pictures_are_taken() {
    let pictures = tempfile::tempdir().unwrap();
    let expected = pictures.path().join("expected.json");
    let shown = json!({
        "p-windows": ["1 restated", "1 failed", "1 beyond reach", "2026-07"],
        "p-accounts": ["main/usage failing", "Forbidden.RAM"],
        "p-downloads": ["70 %", "181.0 MiB of 256.0 MiB", "network"],
    });
    fs::write(&expected, shown.to_string()).unwrap();
    let arguments = [expected.to_str().unwrap(), pictures.path().to_str().unwrap()];
    if !browse("scene.mjs", &arguments, false).await {
        return;
    }
    for name in ["light", "dark", "phone", "phone-dark", "without-script"] {
        let picture = fs::read(pictures.path().join(format!("{name}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{name}: {} bytes", picture.len());
    }
    // The one that the README shows.
    if std::env::var("PICTURE").is_ok_and(|v| v == "write") {
        fs::copy(pictures.path().join("light.png"), file("docs/status-page.png")).unwrap();
    }
}

#[tokio::test]
async fn a_foreign_host_a_foreign_method_and_a_name_that_is_not_configured_get_nothing() {
    let mut world = World::start().await;
    let address = world.serve_http();
    world.set("http.hosts", "[\"status.example.com\"]");
    let daemon = world.daemon().await;
    let status = |answer: &str| answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap();
    for (host, wanted) in [
        (address.as_str(), 200),
        ("localhost:8080", 200),
        ("status.example.com", 200),
        ("evil.example", 421),
        ("status.example.com.evil.example", 421),
    ] {
        for path in ["/", "/metrics", "/livez"] {
            let answer = ask(&address, &format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            assert_eq!(status(&answer), wanted, "{host} {path}: {answer}");
            assert!(answer.contains("content-security-policy: default-src 'none';"), "{answer}");
            assert_eq!(answer.contains("account"), wanted == 200 && path != "/livez", "{host} {path}: {answer}");
        }
    }
    let head = ask(&address, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!(status(&head) == 200 && head.ends_with("\r\n\r\n"), "{head}");
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer =
            ask(&address, &format!("{method} / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(status(&answer), 405, "{method}: {answer}");
        assert!(answer.to_ascii_lowercase().contains("allow: get,head"), "{answer}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn an_address_that_others_can_reach_has_to_be_made_public_on_purpose() {
    let mut world = World::start().await;
    world.set("http.listen", "\"0.0.0.0:0\"");
    let run = world.run(&["run"]).await.expect(78);
    assert!(run.complaint().contains("http.listen") && run.complaint().contains("http.public = true"), "{run}");
    world.set("http.public", "true");
    let daemon = world.daemon().await;
    daemon.stop().await;
}
