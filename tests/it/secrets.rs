//! What must never be seen.

use std::{fs, sync::OnceLock};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use cloudsim::{
    AccountSpec, ApiError, GatewayFault, GatewayMatch, LinkMode, LinkStyle, Object, OssFault, OssMatch, TaskSpec,
};

use rustix::process::Signal;

use crate::common::{DETAIL, MAIN, Run, Running, USAGE, World, get};

const ID: &str = "STS.MARKid0123456789";
const SECRET: &str = "MARKsecret0123456789abcdefghij";
const TOKEN: &str = "MARKtoken/abcdefgh+ijkl0123456789==";
const OTHER_SECRET: &str = "MARKother0123456789abcdefghijk";

/// What a link of the simulated store is signed with, and what stands in the scripted ones.
const MARKS: [&str; 10] = [
    "secret-of-main",
    "MARKid",
    "MARKsecret",
    "MARKtoken",
    "MARKother",
    "MARKsig",
    "LTAIcloudsimService",
    "STS.cloudsimService",
    "CAIScloudsim",
    "a-secret-of-the-simulated-service",
];

/// What is looked for: a mark as it is, in hex, and in base64 wherever in a longer text it may begin. Percent-encoding
/// leaves each of these as it is.
pub fn spellings(mark: &str) -> Vec<String> {
    let mut all = vec![mark.to_owned(), hex::encode(mark), hex::encode_upper(mark)];
    for offset in 0..3 {
        let text = STANDARD_NO_PAD.encode([&b"..."[..offset], mark.as_bytes()].concat());
        // The first and the last character may also hold bits of what stands beside it.
        all.push(text[(offset * 4).div_ceil(3)..(offset + mark.len()) * 4 / 3].to_owned());
    }
    all
}

/// The first of these that is in a text, and what stands before it.
pub fn found(spellings: &[String], text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    spellings.iter().find_map(|spelling| {
        let before: Vec<char> = text[..text.find(spelling)?].chars().rev().take(200).collect();
        Some(format!("{spelling}, after: {}", before.into_iter().rev().collect::<String>()))
    })
}

/// Fails when a text holds anything that is secret in these tests.
#[track_caller]
pub fn assert_clean(what: &str, text: impl AsRef<[u8]>) {
    static SPELLINGS: OnceLock<Vec<String>> = OnceLock::new();
    let spellings = SPELLINGS.get_or_init(|| MARKS.iter().flat_map(|mark| spellings(mark)).collect());
    if let Some(found) = found(spellings, text.as_ref()) {
        panic!("in {what} there is {found}");
    }
}

/// One task for every way in which a file can fail, each with something secret in its link or in what the store says.
fn add_failing_tasks(world: &World) {
    let marked = |id: &str, link: &str| {
        let task = TaskSpec::default().with_id(id).with_link(LinkMode::Fixed(link.to_owned()));
        world.cloud.add_task(ID, DETAIL, task);
    };
    marked("private", "http://10.1.2.3/x?Expires=9&OSSAccessKeyId=LTAI1&Signature=MARKsig1");
    marked("metadata", "http://100.100.100.200/x?Signature=MARKsig2");
    marked("user", "http://user:MARKsig3@127.0.0.1/x?Signature=MARKsig3");
    marked("odd", "ftp://127.0.0.1/x?Signature=MARKsig4");
    marked("closed", "http://127.0.0.1:9/x?x-oss-signature=MARKsig5&x-oss-security-token=MARKtoken5");
    marked("broken", "http://[::bad/x?Signature=MARKsig6");
    marked("unresolved", "http://nowhere.invalid/x?Signature=MARKsig7");
    let task = TaskSpec::default().with_id("bare").with_link(LinkMode::Style(LinkStyle::V1NoScheme));
    world.cloud.add_task(ID, DETAIL, task);
    for id in ["reset", "denied", "page", "redirect", "crc", "echo", "good", "good-v4"] {
        let style = if id == "good-v4" { LinkStyle::V4WithToken } else { LinkStyle::V1WithToken };
        let task = TaskSpec::default().with_id(id).with_object(Object::csv(30)).with_link(LinkMode::Style(style));
        world.cloud.add_task(ID, DETAIL, task);
    }
    let fail = |id: &str, fault| world.cloud.script_oss(OssMatch::Task(id.to_owned()), fault, u32::MAX);
    fail("reset", OssFault::ResetAt(40));
    let message =
        "see http://127.0.0.1/x?OSSAccessKeyId=LTAI1&Signature=MARKsig8 StringToSign: GET MARKsig9".to_owned();
    let (code, ec) = ("SignatureDoesNotMatch".to_owned(), "0002-00000040".to_owned());
    fail("denied", OssFault::Error { status: 403, code, message, ec });
    fail("page", OssFault::HtmlPage);
    let location = "http://10.9.9.9/x?Signature=MARKsig10".to_owned();
    fail("redirect", OssFault::Redirect { status: 307, location });
    fail("crc", OssFault::WrongCrc);
    let body = "<Error><Code>AccessDenied</Code><Message>no</Message><StringToSign>MARKsig11</StringToSign>\
                <SecurityToken>MARKtoken12</SecurityToken></Error>";
    fail("echo", OssFault::Body { status: 400, content_type: "application/xml".to_owned(), body: body.into() });
    for row in [
        r#"{"TaskId":"r1","Status":[],"DownloadUrl":"https://h.example/f?Signature=MARKsig13&security-token=MARKtoken14"}"#,
        r#"{"Status":"success","DownloadUrl":"h.example/f?x-oss-signature=MARKsig15"}"#,
    ] {
        world.cloud.add_task(ID, DETAIL, TaskSpec::default().with_raw_json(row));
    }
}

#[tokio::test]
async fn no_key_token_or_signature_is_ever_written_or_said() {
    let mut world = World::start().await;
    world.set("log.level", "\"trace\"");
    world.set("download.max_attempts", "2");
    // The link without a scheme leads to a server that waits.
    world.set("download.idle_timeout", "\"200ms\"");
    world.add_account("sts", AccountSpec::new(ID, SECRET).with_token(TOKEN), &[DETAIL, USAGE]);
    add_failing_tasks(&world);
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default());
    let mut runs: Vec<(String, Run)> = Vec::new();
    let mut run = async |world: &World, args: &[&str]| {
        let mut command = world.command(args);
        command.env("CDN_USAGED_LOG", "trace").env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
        let run = crate::common::finish(&mut command).await;
        assert!(!run.stderr.contains("panicked"), "{run}");
        let code = run.code();
        runs.push((args.join(" "), run));
        code
    };

    // Everything that the gateway can answer to a call of these keys.
    let gateway = [
        GatewayFault::Error(ApiError::new("SignatureDoesNotMatch", 400).with_message(
            "Specified signature is not matched with our calculation. server string to sign is:ACS3-HMAC-SHA256\nMARKsig20",
        )),
        GatewayFault::Error(ApiError::new("InvalidSecurityToken.Expired", 400).with_message(format!("token {TOKEN} has expired"))),
        GatewayFault::Error(ApiError::throttling().with_message("AccessKeySecret=MARKother1 slow down")),
        GatewayFault::Error(ApiError::new("ServiceBusy", 503).with_message("at https://h/x?Signature=MARKsig21")),
        GatewayFault::Truncated,
        GatewayFault::Reset,
    ];
    for fault in gateway {
        world.cloud.script_gateway(GatewayMatch::Export(USAGE), fault, 1);
        run(&world, &["check", "--online"]).await;
        run(&world, &["once"]).await;
    }
    world.set("log.format", "\"text\"");
    assert_eq!(run(&world, &["once", "--json"]).await, 1);
    world.write_keys("sts", &AccountSpec::new(ID, OTHER_SECRET).with_token(TOKEN));
    assert_eq!(run(&world, &["once"]).await, 1);
    world.write_keys("sts", &AccountSpec::new(ID, SECRET).with_token("MARKtoken/other"));
    assert_eq!(run(&world, &["once"]).await, 1);
    world.write_keys("sts", &AccountSpec::new(ID, SECRET).with_token(TOKEN));
    for args in [
        ["tasks"].as_slice(),
        &["tasks", "--json"],
        &["files", "--json"],
        &["status"],
        &["status", "--json"],
        &["retry", "--abandoned"],
        &["verify"],
    ] {
        run(&world, args).await;
    }
    for id in ["private", "denied", "redirect", "echo", "good", "closed"] {
        assert_eq!(run(&world, &["history", id, "--json"]).await, 0);
        assert_eq!(run(&world, &["why", id, "--json"]).await, 0);
    }
    assert_eq!(run(&world, &["once"]).await, 1);

    assert!(runs.len() > 25);
    for (what, run) in &runs {
        assert_clean(&format!("the output of {what}"), &run.stdout);
        assert_clean(&format!("the log of {what}"), &run.stderr);
    }
    let said: String = runs.iter().map(|(_, r)| r.stderr.as_str()).collect();
    for event in ["credentials.rejected", "api.throttled", "row.rejected", "download.abandoned", "download.stored"] {
        assert!(said.contains(event), "{event} did not happen");
    }
    let waiting =
        "SELECT count(*) FROM downloads WHERE link IS NOT NULL AND state IN ('stored', 'abandoned') AND recheck = 0";
    assert_eq!(world.number(waiting).await, 0, "a link is kept that is of no use");
    for table in crate::common::TABLES {
        assert_clean(table, world.dump(table).await.concat());
    }
    assert_eq!(world.published().len(), 3);
    assert_eq!(world.number("SELECT count(*) FROM downloads WHERE link IS NOT NULL").await, 0);
    assert_clean_folder(&world);
}

/// No file of the state folder holds anything: neither a published one, nor what the database has deleted.
#[track_caller]
fn assert_clean_folder(world: &World) {
    let (mut folders, mut files) = (vec![world.state_dir()], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            assert_clean(&path.display().to_string(), fs::read(&path).unwrap());
            files += 1;
        }
    }
    assert!(files > 2, "there were {files} files");
}

#[tokio::test]
async fn what_the_daemon_says_serves_and_leaves_behind_holds_no_secret() {
    let mut world = World::start().await;
    world.set("download.max_attempts", "2");
    world.set("download.idle_timeout", "\"200ms\"");
    world.add_account("sts", AccountSpec::new(ID, SECRET).with_token(TOKEN), &[DETAIL]);
    let http = world.serve_http();
    add_failing_tasks(&world);
    // More than one page of the database, so that some are freed as well.
    for n in 0..120 {
        let task = TaskSpec::default().with_id(format!("many-{n}")).with_link(LinkMode::Style(LinkStyle::V4WithToken));
        world.cloud.add_task(ID, DETAIL, task);
    }
    for id in ["many-0", "many-20", "many-40", "good"] {
        world.cloud.script_oss(OssMatch::Task(id.to_owned()), OssFault::StallAt(3), 1);
    }
    let start = |world: &World| {
        let mut command = world.command(["run"]);
        Running::start(command.env("CDN_USAGED_LOG", "trace").env("RUST_LOG", "trace"))
    };
    let daemon = start(&world);
    daemon.await_events("download.retrying", 1).await;
    daemon.signal(Signal::KILL);
    assert_clean("the log of the killed daemon", daemon.end().await.stderr);

    let daemon = start(&world);
    let waiting = "SELECT count(*) FROM downloads WHERE state NOT IN ('stored', 'abandoned')";
    daemon.until("nothing waits", async || world.number(waiting).await == 0).await;
    assert_eq!(world.count("stored").await, 122);
    let message = format!("AccessKeySecret={SECRET} SecurityToken={TOKEN} https://h.example/x?Signature=MARKsig30");
    let error = ApiError::new("SignatureDoesNotMatch", 400).with_message(message);
    world.cloud.script_gateway(GatewayMatch::Account(ID.to_owned()), GatewayFault::Error(error), u32::MAX);
    daemon.await_events("credentials.rejected", 1).await;
    daemon.await_events("poll.failed", 1).await;
    for path in ["/healthz", "/metrics", "/livez"] {
        let (_, body) = get(&http, path).await.unwrap();
        assert_clean(path, body);
    }
    let health = get(&http, "/healthz").await.unwrap().1;
    assert!(health.contains("SignatureDoesNotMatch"), "{health}");
    // A key that is put there wrongly, while it runs.
    fs::write(world.key_file("sts", "secret"), format!("{SECRET} {SECRET}\nMARKsecret\n")).unwrap();
    daemon.await_more("poll.failed", 2).await;
    daemon.signal(Signal::HUP);
    daemon.await_events("config.reloaded", 1).await;
    assert_clean("the log of the daemon", daemon.stop().await.stderr);
    assert_eq!(world.number("SELECT count(*) FROM downloads WHERE link IS NOT NULL").await, 0);
    assert_clean_folder(&world);
}

#[tokio::test]
async fn a_secret_pasted_into_the_configuration_is_refused_without_being_repeated() {
    let mut world = World::start().await;
    world.set("log.access_key_secret", &format!("{SECRET:?}"));
    let run = world.run(&["once"]).await.expect(78);
    assert_clean("the complaint", &run.stderr);
    let config = world.path().join("pasted.toml");
    let text = format!(
        "[[account]]\nname = \"a\"\n[account.credentials]\nsource = \"files\"\naccess_key_secret = \"{SECRET}\"\n"
    );
    fs::write(&config, text).unwrap();
    let mut command = crate::common::command(world.path());
    let run = crate::common::finish(command.arg("--config").arg(&config).arg("check")).await.expect(78);
    assert_clean("the complaint", &run.stderr);
    assert!(run.complaint().contains("access_key_secret_file"), "{run}");
}
