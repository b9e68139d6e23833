//! What must never be seen.

use std::fs;

use cloudsim::{
    AccountSpec, ApiError, GatewayFault, GatewayMatch, LinkMode, LinkStyle, Object, OssFault, OssMatch, TaskSpec,
};

use crate::common::{DETAIL, MAIN, Run, USAGE, World};

const ID: &str = "STS.MARKid0123456789";
const SECRET: &str = "MARKsecret0123456789abcdefghij";
const TOKEN: &str = "MARKtoken/abcdefgh+ijkl0123456789==";
const OTHER_SECRET: &str = "MARKother0123456789abcdefghijk";

/// What a link of the simulated store is signed with, and what stands in the scripted ones.
const MARKS: [&str; 8] = [
    "MARKsecret",
    "MARKtoken",
    "MARKother",
    "MARKsig",
    "LTAIcloudsimService",
    "STS.cloudsimService",
    "CAIScloudsim",
    "a-secret-of-the-simulated-service",
];

#[track_caller]
fn assert_clean(what: &str, text: &str) {
    for mark in MARKS {
        if let Some(at) = text.find(mark) {
            let around: String = text[..at].chars().rev().take(200).collect::<Vec<_>>().into_iter().rev().collect();
            panic!("{mark} is in {what}, after: {around}");
        }
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
        command.env("CDN_USAGED_LOG", "trace").env("RUST_BACKTRACE", "1");
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
    for args in
        [["tasks"].as_slice(), &["tasks", "--json"], &["files", "--json"], &["retry", "--abandoned"], &["verify"]]
    {
        run(&world, args).await;
    }
    for id in ["private", "denied", "redirect", "echo", "good", "closed"] {
        assert_eq!(run(&world, &["history", id, "--json"]).await, 0);
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
        assert_clean(table, &world.dump(table).await.concat());
    }
    for file in world.published() {
        let bytes = fs::read(world.file(&file)).unwrap();
        assert_clean(&file, &String::from_utf8_lossy(&bytes));
    }
    assert_eq!(world.published().len(), 3);
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
