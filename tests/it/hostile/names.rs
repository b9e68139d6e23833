//! Nothing that the network says decides where anything is written.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use cloudsim::{LinkMode, TaskSpec};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::Signal;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinSet,
};

use crate::common::{DETAIL, MAIN, RANGE, World, until};

const KEPT: AsciiSet = NON_ALPHANUMERIC.remove(b'_').remove(b'-');

/// As the contract has it.
fn encoded(id: &str) -> String {
    let text = utf8_percent_encode(id, &KEPT).to_string();
    if text.len() <= 100 {
        return text;
    }
    format!("{}~{}", &text[..60], &hex::encode(Sha256::digest(id))[..16])
}

/// Ids, each of which is also the task's name.
fn hostile() -> Vec<String> {
    let mut ids: Vec<String> = [
        "../../../../../../tmp/escaped",
        "..",
        ".",
        "/etc/cron.d/escaped",
        "..%2f..%2fescaped",
        "%2e%2e%2fescaped",
        "a/../../b",
        "a\\..\\..\\b",
        "nul\0byte",
        "new\nline\r\n.csv",
        "CON",
        "aux.txt",
        "C:\\escaped",
        "\u{202e}vsc.exe",
        "\u{200f}rtl",
        "~root",
        "$(touch escaped)",
        "-rf *",
        ".incoming",
        ".damaged/x",
        "x.r2",
        "\u{4e2d}\u{6587}/\u{5237}\u{65b0}",
        "\u{1b}]0;x\u{7}",
    ]
    .map(str::to_owned)
    .to_vec();
    // The longest that is taken, of what is encoded longest; and two that differ only at their ends.
    for end in ["a", "b"] {
        ids.push(format!("{}{end}", "../".repeat(21_845)));
        ids.push(format!("{}{end}", "x".repeat(65_535)));
    }
    ids
}

/// A server whose answers name files, by every header that could; while `stalls`, they stop in the middle.
async fn naming_server(stalls: Arc<AtomicBool>) -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = [0; 8192];
            let _ = connection.read(&mut request).await;
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\
                Content-Type: ../../x/../../escaped\r\nContent-Location: /../../escaped\r\n\
                Content-Disposition: attachment; filename=\"../../../escaped.sh\"; filename*=UTF-8''..%2Fescaped.sh\r\n\
                x-oss-object-name: ../../escaped\r\n\r\na,b\n1,2\n";
            let is_stalling = stalls.load(Ordering::Relaxed);
            let end = if is_stalling { answer.len() - 3 } else { answer.len() };
            let _ = connection.write_all(&answer.as_bytes()[..end]).await;
            held.extend(is_stalling.then_some(connection));
        }
    });
    (port, server)
}

fn add_all(world: &World, ids: &[String], port: u16) {
    for (n, id) in ids.iter().enumerate() {
        let link = LinkMode::Fixed(format!("http://127.0.0.1:{port}/..%2f..%2fescaped-{n}?filename=../escaped"));
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(id).with_name(id).with_link(link));
    }
}

/// Every file and folder below a folder, relative to it.
fn below(root: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

/// What is there without a single task.
const ALWAYS: [&str; 9] = [
    "config.toml",
    "main.id",
    "main.secret",
    "state",
    "state/exports",
    "state/exports/.incoming",
    "state/exports/main",
    "state/exports/main/usage-detail",
    "state/lock",
];

#[tokio::test]
async fn no_id_or_name_or_header_of_the_network_decides_a_path() {
    let world = World::start().await;
    let (port, _server) = naming_server(Arc::default()).await;
    let ids = hostile();
    add_all(&world, &ids, port);
    // Ranges are part of the name, too.
    let range = r#"{"TaskId":"range","TaskName":"/","Status":"success","CreateTime":"2026-01-01T00:00:00Z",
        "UpdateTime":"2026-01-01T00:00:00Z","TaskConfig":{"StartTime":"../../escaped","EndTime":"/etc/escaped"},
        "DownloadUrl":"http://127.0.0.1:PORT/x"}"#;
    let range = range.replace("PORT", &port.to_string()).replace('\n', "");
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_raw_json(range));
    // One byte too long to be an id of anything.
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("y".repeat(65_537)));
    let run = world.once(0).await;
    let rejected = run.events("row.rejected");
    assert!(rejected.len() == 1 && rejected[0]["error"].as_str().unwrap().contains("65537 bytes"), "{rejected:?}");

    let mut expected: Vec<String> = ALWAYS.map(str::to_owned).to_vec();
    expected.push("state/usage.db".to_owned());
    let folder = "state/exports/main/usage-detail";
    expected.extend(ids.iter().map(|id| format!("{folder}/{RANGE}_{}.csv", encoded(id))));
    expected.push(format!("{folder}/unknown_unknown_range.csv"));
    expected.sort();
    assert_eq!(below(world.path()), expected);
    for path in &expected {
        let meta = fs::symlink_metadata(world.path().join(path)).unwrap();
        if let Some(inside) = path.strip_prefix("state/exports/") {
            let mode = if meta.is_dir() { 0o750 } else { 0o640 };
            assert_eq!((meta.permissions().mode() & 0o777, meta.nlink() > 1), (mode, meta.is_dir()), "{inside}");
        }
    }
    // The record says the same, and every id is found again by its own text, but for a NUL, which no argument can hold.
    let mut recorded = world.texts("SELECT path FROM files").await;
    recorded.sort();
    assert_eq!(recorded, world.published());
    for id in ids.iter().filter(|id| !id.contains('\0')) {
        let words = ["history", &format!("main/usage-detail/{id}"), "--json"].map(str::to_owned);
        let rows = crate::common::finish(&mut world.command(&words)).await.expect(0).rows();
        assert!(rows.iter().all(|r| r["task_id"] == *id) && rows.len() == 3, "{id:?}: {rows:?}");
    }
    world.run(&["verify"]).await.expect(0);
}

#[tokio::test]
async fn unfinished_and_damaged_files_of_hostile_names_stay_in_their_folders() {
    let mut world = World::start().await;
    world.set("download.concurrency", "64");
    let ids: Vec<String> = hostile().into_iter().filter(|id| id.len() < 100).collect();
    let stalls = Arc::new(AtomicBool::new(true));
    let (port, _server) = naming_server(Arc::clone(&stalls)).await;
    add_all(&world, &ids, port);
    let once = world.spawn(&["once"]);
    until("all have begun", async || world.partials().len() == ids.len()).await;
    once.signal(Signal::KILL);
    once.end().await;
    let mut partials: Vec<String> =
        world.partials().iter().map(|p| p.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    partials.sort();
    let mut expected: Vec<String> = ids.iter().map(|id| format!("main.usage-detail.{}.part", encoded(id))).collect();
    expected.sort();
    assert_eq!(partials, expected);
    for partial in world.partials() {
        assert_eq!(fs::metadata(partial).unwrap().permissions().mode() & 0o777, 0o600);
    }

    stalls.store(false, Ordering::Relaxed);
    world.once(0).await;
    for path in world.published() {
        let file = world.file(&path);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        fs::write(&file, "damaged").unwrap();
    }
    let words: Vec<String> = ["retry", "--"]
        .map(str::to_owned)
        .into_iter()
        .chain(ids.iter().filter(|id| !id.contains('\0')).map(|id| format!("main/usage-detail/{id}")))
        .collect();
    crate::common::finish(&mut world.command(&words)).await.expect(0);
    world.once(0).await;
    let folder = "state/exports/.damaged";
    let kept: Vec<String> = below(world.path()).into_iter().filter(|p| p.starts_with(folder)).collect();
    assert!(kept.len() >= ids.len(), "{kept:?}");
    let ours = |path: &String| {
        let known = ALWAYS.contains(&path.as_str()) || path == "state/usage.db" || path.starts_with(folder);
        let published = path
            .strip_prefix("state/exports/main/usage-detail/")
            .is_some_and(|name| ids.iter().any(|id| name == format!("{RANGE}_{}.csv", encoded(id))));
        known || published
    };
    let others: Vec<String> = below(world.path()).into_iter().filter(|p| !ours(p)).collect();
    assert_eq!(others, Vec::<String>::new());
}
