//! What somebody sees who has just found this program.

use std::path::Path;

use crate::common::{World, command, finish};

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
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0]["ok"].as_bool(), rows[0]["total"].as_u64()), (Some(true), Some(0)));
    assert_eq!(world.cloud.gateway_call_count(), 1);

    let forbidden = cloudsim::GatewayFault::Error(cloudsim::ApiError::forbidden());
    world.cloud.script_gateway(cloudsim::GatewayMatch::Any, forbidden, u32::MAX);
    let run = world.run(&["check", "--online"]).await.expect(1);
    assert!(run.stdout.contains("cdn:DescribeUserUsageDetailDataExportTask"), "{run}");
    assert!(!world.state_dir().exists());
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
