//! What the network says reaches no terminal but as text, and splits no line.

use std::{fs, io::Read as _, os::unix::fs::OpenOptionsExt as _, process::Stdio};

use cloudsim::{ApiError, ErrorFormat, GatewayFault, GatewayMatch, Object, OssFault, OssMatch, TaskSpec};
use rustix::{fs::OFlags, pty, termios};
use tokio::{process::Command, task::JoinHandle};

use crate::common::{DETAIL, MAIN, USAGE, World, finish, get};

/// Sets a title, makes a link, writes the clipboard, asks for an answer, clears the screen, goes up a line, rings, hides
/// what follows, turns the line around, ends a line in seven ways, and begins one of its own.
const NASTY: &str = "t\u{1b}]0;evil\u{7}\u{1b}]8;;http://evil/\u{1b}\\x\u{1b}]52;c;ZXZpbA==\u{7}\u{1b}[6n\u{1b}[2J\u{1b}[1A\
    \u{1b}P0;evil\u{1b}\\\u{9b}2J\u{9d}0;evil\u{9c}\u{90}q\u{9c}\u{8}\u{7f}\u{0e}\u{202e}evil\u{2066}\u{200f}\u{61c}\
    \r\n\u{0b}\u{0c}\u{85}\u{2028}\u{2029}{\"event\":\"forged\"}\n2020-01-01T00:00:00.000Z ERROR forged evil=yes";

/// Everything that a terminal might take for something else than text, but the ends of our own lines.
#[track_caller]
fn assert_plain(what: &str, text: &str) {
    for line in text.split('\n') {
        assert_eq!(line.chars().find(|c| cdn_usaged::text::is_hidden(*c)), None, "{what}: {line:?}");
        // The oldest trick: a line of one's own. What is forged begins with one of these.
        let forged = line.starts_with("{\"event\":\"forged") || line.starts_with("2020-01-01T00");
        assert!(!forged, "{what}: {line:?}");
    }
}

/// Tasks, answers and objects, all of which say something nasty wherever they can.
async fn nasty_world() -> World {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    let task = || TaskSpec::default().with_name(NASTY).with_object(Object::csv(20));
    world.cloud.add_task(MAIN, DETAIL, task().with_id(format!("stored{NASTY}")));
    world.cloud.add_task(MAIN, DETAIL, task().with_id(format!("given-up{NASTY}")));
    world.cloud.add_task(MAIN, DETAIL, task().with_id(format!("odd{NASTY}")).with_status(format!("o{NASTY}")));
    world.cloud.add_task(MAIN, USAGE, task().with_id(format!("stored{NASTY}")));
    // A row that cannot be read is quoted as well.
    let row = serde_json::json!({"TaskId": format!("bad{NASTY}"), "Status": [NASTY], NASTY: NASTY}).to_string();
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_raw_json(row));
    refuse(&world);
    world
}

/// One of the files is refused, for ever and in nasty words.
fn refuse(world: &World) {
    let refusal = OssFault::Error {
        status: 503,
        code: format!("C{NASTY}"),
        message: format!("see {NASTY}"),
        ec: "0001".to_owned(),
    };
    world.cloud.script_oss(OssMatch::Task(format!("given-up{NASTY}")), refusal, u32::MAX);
}

/// Each form in which the gateway may say something nasty.
fn nasty_answers() -> Vec<GatewayFault> {
    let error = |code: &str, status| ApiError::new(format!("{code}{NASTY}"), status).with_message(NASTY);
    let body = |status, content_type: &str, body: String| GatewayFault::Body {
        status,
        content_type: content_type.to_owned(),
        body: body.into(),
    };
    vec![
        GatewayFault::Error(error("Odd", 400)),
        GatewayFault::Error(error("Throttling.", 400).with_format(ErrorFormat::Xml)),
        GatewayFault::Error(error("InvalidAccessKeyId.", 404).with_format(ErrorFormat::Html)),
        body(502, "text/html", format!("<html><title>{NASTY}</title>{NASTY}</html>")),
        body(200, "application/json", NASTY.to_owned()),
    ]
}

#[tokio::test]
async fn nothing_of_the_network_drives_a_terminal_or_splits_a_line() {
    let mut world = nasty_world().await;
    let mut runs = Vec::new();
    for format in ["json", "text", "journald"] {
        world.set("log.format", &format!("{format:?}"));
        for answer in nasty_answers() {
            world.cloud.script_gateway(GatewayMatch::Export(DETAIL), answer, u32::MAX);
            let checks = [["check", "--online"].as_slice(), &["check", "--online", "--json"]];
            let checks = if format == "json" { checks.as_slice() } else { &[] };
            for words in [["once"].as_slice()].iter().chain(checks) {
                let mut command = world.command(*words);
                runs.push((format!("{words:?} {format}"), finish(command.env("CDN_USAGED_LOG", "trace")).await));
            }
            world.cloud.clear_scripts();
            refuse(&world);
        }
        let mut command = world.command(["once"]);
        runs.push((format!("once {format}"), finish(command.env("CDN_USAGED_LOG", "trace")).await.expect(1)));
    }
    let said: String = runs.iter().map(|(_, r)| r.stderr.as_str()).collect();
    for event in
        ["task.transition", "row.rejected", "download.stored", "download.abandoned", "api.throttled", "poll.failed"]
    {
        assert!(said.contains(event), "{event} did not happen");
    }
    for nasty in ["the service answers Oddt", "see t", "HTTP 502"] {
        assert!(said.contains(nasty), "{nasty} was not said");
    }

    let damaged = world.texts("SELECT path FROM files ORDER BY id").await.remove(0);
    fs::write(world.file(&damaged), "other bytes").unwrap();
    let id = format!("stored{NASTY}");
    let qualified = format!("main/usage-detail/given-up{NASTY}");
    let status = format!("o{NASTY}");
    for words in [
        ["tasks"].as_slice(),
        &["tasks", "--status", &status],
        &["tasks", "--since", NASTY],
        &["tasks", "--account", NASTY],
        &["files"],
        &["history", &qualified],
        &["history", &id],
        &["history", NASTY],
        &["why", &qualified],
        &["why", NASTY],
        &["status"],
        &["verify"],
        &["retry", &id],
        &["retry", &format!("main/usage-detail/{id}")],
        &["retry", "--abandoned"],
    ] {
        runs.push((format!("{words:?}"), world.run(words).await));
        let json: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
        let run = world.run(&json).await;
        for line in run.stdout.lines() {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|e| panic!("{json:?}: {e}: {line:?}"));
        }
        runs.push((format!("{json:?}"), run));
    }
    for (what, run) in &runs {
        assert_plain(what, &run.stdout);
        assert_plain(what, &run.stderr);
        for line in run.stderr.lines().filter(|l| l.starts_with('{')) {
            let line: serde_json::Value =
                serde_json::from_str(line).unwrap_or_else(|e| panic!("{what}: {e}: {line:?}"));
            assert_ne!(line["event"], "forged", "{what}");
        }
    }
    // Nothing is lost by it: the text is the same all the same.
    let rows = world.run(&["tasks", "--json"]).await.rows();
    assert!(rows.iter().any(|r| r["name"] == NASTY && r["task_id"] == id), "{rows:?}");
}

#[tokio::test]
async fn health_and_metrics_show_nothing_that_acts_on_a_terminal() {
    let mut world = nasty_world().await;
    let http = world.serve_http();
    let daemon = world.daemon().await;
    daemon.await_events("download.abandoned", 1).await;
    let answer = ApiError::new(format!("Odd{NASTY}"), 400).with_message(NASTY);
    world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::Error(answer), u32::MAX);
    daemon.await_events("poll.failed", 2).await;
    for path in ["/healthz", "/metrics", "/livez"] {
        let (_, body) = get(&http, path).await.unwrap();
        assert_plain(path, &body);
        assert!(path != "/healthz" || body.contains("evil"), "{body}");
        assert!(path != "/metrics" || !body.contains("evil"), "{body}");
    }
    let run = daemon.stop().await;
    assert_plain("the daemon", &run.stderr);
}

/// A terminal, which keeps what is written to it.
struct Terminal {
    slave: fs::File,
    reader: JoinHandle<Vec<u8>>,
}

impl Terminal {
    fn open() -> Self {
        let master = pty::openpt(pty::OpenptFlags::RDWR | pty::OpenptFlags::NOCTTY).unwrap();
        pty::grantpt(&master).unwrap();
        pty::unlockpt(&master).unwrap();
        let name = pty::ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let flags = OFlags::NOCTTY.bits().cast_signed();
        let slave = fs::OpenOptions::new().read(true).write(true).custom_flags(flags).open(name).unwrap();
        let size = termios::Winsize { ws_row: 50, ws_col: 250, ws_xpixel: 0, ws_ypixel: 0 };
        termios::tcsetwinsize(&slave, size).unwrap();
        let mut master = fs::File::from(master);
        let reader = tokio::task::spawn_blocking(move || {
            let mut written = Vec::new();
            // Ends with an error when nobody holds the other side any more.
            let _ = master.read_to_end(&mut written);
            written
        });
        Self { slave, reader }
    }

    fn side(&self) -> Stdio {
        Stdio::from(self.slave.try_clone().unwrap())
    }

    /// Runs a command on it and says what it shows.
    async fn run(self, mut command: Command) -> String {
        command.stdout(self.side()).stderr(self.side()).env("TERM", "xterm-256color");
        let mut child = command.spawn().unwrap();
        drop((command, self.slave));
        tokio::time::timeout(crate::common::DEADLINE, child.wait()).await.unwrap().unwrap();
        String::from_utf8(self.reader.await.unwrap()).unwrap()
    }
}

/// Takes away what this program itself draws with: colours, and going about in its own bars. No other sequence is
/// spared, nor one with other parameters.
fn without_own_drawing(shown: &str) -> String {
    let mut plain = shown.replace("\r\n", "\n");
    for own in ["\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m", "\u{1b}[2m", "\u{1b}[0m", "\u{1b}[2K", "\u{1b}[1B", "\r"] {
        plain = plain.replace(own, "");
    }
    // Up by as many lines as the bars take, which is more when they are too long for one.
    for lines in 1..=9 {
        plain = plain.replace(&format!("\u{1b}[{lines}A"), "");
    }
    plain
}

#[tokio::test]
async fn a_real_terminal_sees_bars_and_lines_and_nothing_that_the_network_would_draw() {
    let mut world = nasty_world().await;
    world.set("log.format", "\"auto\"");
    // Long enough to be seen as a bar.
    world.set("download.idle_timeout", "\"400ms\"");
    world.cloud.script_oss(OssMatch::Task(format!("stored{NASTY}")), OssFault::StallAt(5), 1);
    let shown = Terminal::open().run(world.command(["once"])).await;
    assert!(shown.contains("\u{1b}[2K") && shown.contains("5 B/"), "no bar was drawn: {shown:?}");
    assert!(shown.contains("\u{1b}[33mWARN") && shown.contains("\\u{1b}]0;evil"), "{shown:?}");
    assert_plain("once", &without_own_drawing(&shown));
    for words in [
        ["tasks"].as_slice(),
        &["files"],
        &["verify"],
        &["history", &format!("main/usage-detail/stored{NASTY}")],
        &["why", &format!("main/usage-detail/stored{NASTY}")],
        &["status"],
    ] {
        let shown = Terminal::open().run(world.command(words)).await;
        assert!(shown.contains("stored") || words == ["verify"], "{words:?}: {shown:?}");
        assert_plain(&format!("{words:?}"), &without_own_drawing(&shown));
    }
    let colours = |shown: &str| shown.contains("\u{1b}[32msuccess") && shown.contains("\u{1b}[31m");
    assert!(colours(&Terminal::open().run(world.command(["tasks"])).await));
    let mut plain = world.command(["tasks"]);
    plain.env("NO_COLOR", "1");
    let shown = Terminal::open().run(plain).await;
    assert!(shown.contains("success") && !shown.contains('\u{1b}'), "{shown:?}");
}
