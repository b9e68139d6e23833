//! What somebody sees who has just found this program.

use std::path::Path;

use cloudsim::{ApiError, GatewayFault, GatewayMatch, RoleSpec, StsFault};

use crate::{
    common::{DETAIL, MAIN, USAGE, World, command, finish},
    credentials::{ARN, assumes_a_role},
};

#[tokio::test]
async fn the_demonstration_ends_well_by_itself_and_says_where_everything_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("demo");
    let run = finish(command(home.path()).arg("demo").arg("--dir").arg(&dir)).await.expect(0);
    for label in ["files:", "database:"] {
        let line = run.stdout.lines().find(|l| l.starts_with(label)).unwrap_or_else(|| panic!("{label} {run}"));
        let place = line.split_once(':').unwrap().1.trim();
        assert!(Path::new(place).exists() && Path::new(place).starts_with(&dir), "{place}");
    }
    let all = format!("{}{}", run.stdout, run.stderr);
    assert!(all.contains("tried again"), "a retry is shown: {run}");
    assert!(all.contains("hashed once more: as they were published"), "{run}");

    // The commands that look work on what it leaves.
    let line = run.stdout.lines().find_map(|l| l.strip_prefix("look around with: ")).unwrap();
    let line = line.strip_prefix(env!("CARGO_BIN_EXE_cdn-usaged")).unwrap();
    let run = finish(command(home.path()).args(line.split_whitespace())).await.expect(0);
    assert!(run.stdout.contains("1001"), "{run}");
    let config = dir.join("config.toml");
    finish(command(home.path()).arg("--config").arg(&config).arg("verify")).await.expect(0);

    // A second one does not mix with it.
    let run = finish(command(home.path()).arg("demo").arg("--dir").arg(&dir)).await.expect(2);
    assert!(run.complaint().contains("earlier demonstration"), "{run}");
}

#[tokio::test]
async fn the_help_of_every_command_says_what_it_does() {
    let home = tempfile::tempdir().unwrap();
    let help = async |args: &[&str]| finish(command(home.path()).args(args)).await.expect(0).stdout;
    let all = help(&["--help"]).await;
    let commands = [
        ("once", "Read every listing once"),
        ("check", "Validate the configuration"),
        ("tasks", "Show tasks"),
        ("history", "every transition, attempt and file"),
        ("files", "published files"),
        ("retry", "back into the queue"),
        ("verify", "Hash the published files again"),
        ("demo", "simulated cloud"),
    ];
    for (name, what) in commands {
        assert!(all.lines().any(|l| l.trim_start().starts_with(&format!("{name} "))), "{name} is not in:\n{all}");
        let one = help(&[name, "--help"]).await;
        assert!(one.to_lowercase().contains(&what.to_lowercase()), "{what:?} is not in:\n{one}");
        assert!(one.contains("Usage:"), "{one}");
    }
    assert!(all.contains("Exit status") && all.contains("75") && all.contains("78"), "{all}");
    let version = help(&["--version"]).await;
    assert_eq!(version, concat!("cdn-usaged ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[tokio::test]
async fn wrong_usage_ends_with_two_and_says_what_is_right() {
    let home = tempfile::tempdir().unwrap();
    for args in [["once", "--timeout", "soon"].as_slice(), &["twice"], &["files", "--after", "x"], &[]] {
        let run = finish(command(home.path()).args(args)).await;
        assert_eq!(run.code(), 2, "{run}");
        assert!(run.stderr.contains("Usage") || run.stderr.contains("--help"), "{run}");
    }
}

#[tokio::test]
async fn check_validates_and_online_says_for_each_listing_whether_it_can_be_read() {
    let world = World::start().await;
    let run = world.run(&["check"]).await.expect(0);
    assert!(run.stdout.contains("is valid"), "{run}");
    assert_eq!(world.cloud.gateway_call_count(), 0);
    assert!(!world.state_dir().exists());

    let rows = world.run(&["check", "--online", "--json"]).await.expect(0).rows();
    assert_eq!(rows.len(), 2);
    assert_eq!(
        (&rows[0]["type"], &rows[0]["ok"], &rows[0]["identity_type"]),
        (&"account".into(), &true.into(), &"RAMUser".into())
    );
    assert_eq!(rows[0]["account_id"], "1000000000000001");
    assert_eq!(rows[0]["expires_at"], serde_json::Value::Null);
    assert!(rows[0]["clock_skew_ms"].as_i64().unwrap().abs() <= 2000, "{rows:?}");
    assert_eq!((rows[1]["ok"].as_bool(), rows[1]["total"].as_u64()), (Some(true), Some(0)));
    assert_eq!(world.cloud.gateway_call_count(), 1);

    let forbidden = GatewayFault::Error(ApiError::forbidden());
    world.cloud.script_gateway(GatewayMatch::Any, forbidden, u32::MAX);
    let run = world.run(&["check", "--online"]).await.expect(1);
    assert!(run.stdout.contains("not allowed: cdn:DescribeUserUsageDetailDataExportTask; a policy"), "{run}");
    let policy = run.stdout.lines().last().unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    assert_eq!(policy["Statement"][0]["Action"], serde_json::json!(["cdn:DescribeUserUsageDetailDataExportTask"]));
    let rows = world.run(&["check", "--online", "--json"]).await.expect(1).rows();
    assert_eq!(rows[0]["missing_actions"], policy["Statement"][0]["Action"]);
    assert_eq!((&rows[0]["policy"], &rows[0]["ok"]), (&policy, &false.into()));
    assert_eq!(rows[1]["missing_action"], "cdn:DescribeUserUsageDetailDataExportTask");
    assert!(!world.state_dir().exists());
}

#[tokio::test]
async fn check_online_says_whose_the_keys_are_how_long_and_how_far_the_clock_is_off() {
    let mut world = World::start().await;
    world.cloud.add_role(RoleSpec::new(ARN, MAIN));
    world.set_exports("main", &[DETAIL, USAGE]);
    assumes_a_role(&mut world);
    world.cloud.clock().set_skew(jiff::SignedDuration::from_mins(-5));
    world.cloud.script_gateway(GatewayMatch::Export(USAGE), GatewayFault::Error(ApiError::forbidden()), u32::MAX);
    let run = world.run(&["check", "--online"]).await.expect(1);
    for part in [
        format!("account main: keys from the role {ARN} (assumed with the files "),
        "they are those of acs:ram::1000000000000001:assumed-role/reader/cdn-usaged in account 1000000000000001"
            .to_owned(),
        "this machine's clock is 5 min ahead of the service; mend it with NTP".to_owned(),
        "not allowed: cdn:DescribeUserUsageDataExportTask; a policy that is enough:\n{".to_owned(),
    ] {
        assert!(run.stdout.contains(&part), "{part}: {run}");
    }
    let rows = world.run(&["check", "--online", "--json"]).await.expect(1).rows();
    assert_eq!(rows.len(), 3);
    let skew = rows[0]["clock_skew_ms"].as_i64().unwrap();
    assert!((295_000..=305_000).contains(&skew), "{skew}");
    assert!(rows[0]["expires_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(rows[0]["missing_actions"], serde_json::json!(["cdn:DescribeUserUsageDataExportTask"]));
    assert_eq!((&rows[1]["ok"], &rows[1]["missing_action"]), (&true.into(), &serde_json::Value::Null));

    // Whose the keys are is no call of the daemon: nothing fails of it.
    world.cloud.clear_scripts();
    world.cloud.script_sts("GetCallerIdentity", StsFault::Reset, u32::MAX);
    let run = world.run(&["check", "--online"]).await.expect(0);
    assert!(run.stdout.contains("whose they are is not known: STS at 127.0.0.1"), "{run}");
    world.cloud.script_sts("AssumeRole", StsFault::Reset, u32::MAX);
    let run = world.run(&["check", "--online"]).await.expect(1);
    assert!(run.stdout.contains("account main: there are no credentials: STS at 127.0.0.1"), "{run}");
}

#[tokio::test]
async fn a_reader_that_goes_away_is_no_reason_to_complain() {
    let world = World::start().await;
    world.add("1", cloudsim::Object::default());
    world.once(0).await;
    let mut child = world.command(["tasks", "--json"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!stderr.contains("panicked") && !stderr.contains("cdn-usaged:"), "{stderr}");
}
