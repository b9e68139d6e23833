//! What stops a run before it begins, and what it says then.

use std::{fs, os::unix::fs::PermissionsExt as _};

use cloudsim::{AccountSpec, GatewayFault, GatewayMatch, Object};
use rustix::process::Signal;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::{MAIN, World, is_root, until};

#[tokio::test]
async fn a_wrong_configuration_is_named_with_file_line_and_key_and_nothing_starts() {
    let cases = [
        ("poll.pagesize", "50", "poll.pagesize"),
        ("poll.page_size", "51", "1 to 50"),
        ("poll.page_size", "\"many\"", "whole number"),
        ("poll.interval", "60", "\"24h\""),
        ("download.allowed_networks", "[\"everything\"]", "CIDRs"),
        ("storage.min_free", "-1", "storage.min_free"),
        ("storage.state_dir", "\"state\"", "absolute path"),
    ];
    for (key, value, said) in cases {
        let mut world = World::start().await;
        world.set(key, value);
        let config = world.write_config();
        let text = fs::read_to_string(&config).unwrap();
        let wrong = format!("{} = {value}", key.split_once('.').unwrap().1);
        let line = 1 + text.lines().position(|l| l == wrong).unwrap();
        for command in [["once"].as_slice(), &["check"], &["tasks"], &["retry", "1"]] {
            let run = world.run(command).await.expect(78);
            let complaint = run.complaint();
            assert!(complaint.contains(&format!("{}:{line}: {key}", config.display())), "{run}");
            assert!(complaint.contains(said), "{said:?} is not in: {run}");
        }
        assert!(!world.state_dir().exists(), "{key}");
        assert_eq!(world.cloud.gateway_call_count(), 0);
    }
}

#[tokio::test]
async fn a_configuration_without_an_account_or_without_a_file_is_refused() {
    let mut world = World::start().await;
    world.forget_account("main");
    let run = world.run(&["once"]).await.expect(78);
    assert!(run.complaint().contains("[[account]]"), "{run}");

    let mut command = world.command(["once"]);
    fs::remove_file(world.path().join("config.toml")).unwrap();
    let run = crate::common::finish(&mut command).await.expect(78);
    assert!(run.complaint().contains("config.toml") && run.complaint().contains("--config"), "{run}");
    assert!(!world.state_dir().exists());
}

#[tokio::test]
async fn a_secret_that_others_may_read_is_refused_and_the_error_says_chmod() {
    for part in ["id", "secret"] {
        let world = World::start().await;
        let file = world.key_file("main", part);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        let run = world.run(&["once"]).await.expect(78);
        assert!(run.complaint().contains(&format!("chmod 0640 {}", file.display())), "{run}");
        assert!(!world.state_dir().exists());
        assert_eq!(world.cloud.gateway_call_count(), 0);
    }
}

#[tokio::test]
async fn a_wrong_secret_gives_one_error_that_says_where_to_look() {
    let world = World::start().await;
    world.add("1", Object::default());
    world.write_keys("main", &AccountSpec::new(MAIN, "another-secret"));
    let run = world.once(1).await;
    let rejected = run.event("credentials.rejected");
    assert_eq!(rejected["level"], "error");
    assert_eq!(rejected["code"], "SignatureDoesNotMatch");
    let error = rejected["error"].as_str().unwrap();
    assert!(error.contains("[account.credentials]"), "{error}");
    assert!(error.contains(world.key_file("main", "secret").to_str().unwrap()), "{error}");
    assert_eq!(run.events("poll.failed").len(), 1);
    assert!(run.stdout.contains("main/usage-detail: "), "{run}");
    assert!(!run.stderr.contains("another-secret") && !run.stdout.contains("another-secret"), "{run}");
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_reached_gives_one_error_that_names_it() {
    let mut world = World::start().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    world.set_endpoint(&format!("http://{address}"));
    let run = world.once(1).await;
    let failed = run.event("poll.failed");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains(&address.to_string()) || error.contains("127.0.0.1"), "{error}");
    assert!(error.contains("endpoint") && error.contains("4 attempts"), "{error}");
    assert_eq!(world.texts("SELECT error FROM listings").await, [error]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named_with_its_key() {
    let cases = [("storage.state_dir", "storage.state_dir"), ("storage.download_dir", "storage.download_dir")];
    for (key, said) in cases {
        let mut world = World::start().await;
        let file = world.path().join("a-file");
        fs::write(&file, "").unwrap();
        let below = file.join("folder");
        world.set(key, &format!("{below:?}"));
        let run = world.once(1).await;
        let complaint = run.complaint();
        assert!(complaint.contains(said) && complaint.contains(below.to_str().unwrap()), "{run}");
        assert_eq!(complaint.lines().count(), 1, "{run}");
        assert_eq!(world.cloud.gateway_call_count(), 0);
    }
}

#[tokio::test]
async fn a_second_instance_is_refused_with_the_pid_of_the_first() {
    let world = World::start().await;
    world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::Hang, u32::MAX);
    let first = world.spawn(&["once"]);
    until("the first has called", async || world.cloud.gateway_call_count() > 0).await;

    let run = world.once(75).await;
    assert!(run.complaint().contains(&format!("pid {}", first.pid())), "{run}");

    // Those that only read are not refused.
    world.run(&["tasks"]).await.expect(0);
    first.signal(Signal::TERM);
    first.end().await.expect(1);
}

#[tokio::test]
async fn a_database_of_another_program_a_newer_one_and_a_damaged_one_are_refused_and_left_as_they_are() {
    let make = async |world: &World, sql: &'static str| {
        let options = SqliteConnectOptions::new().filename(world.database()).create_if_missing(true);
        let mut db = options.connect().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    };
    let foreign = World::start().await;
    fs::create_dir(foreign.state_dir()).unwrap();
    make(&foreign, "PRAGMA application_id = 7; CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").await;
    let nameless = World::start().await;
    fs::create_dir(nameless.state_dir()).unwrap();
    make(&nameless, "CREATE TABLE theirs (a); INSERT INTO theirs VALUES (1)").await;
    let newer = World::start().await;
    newer.once(0).await;
    make(
        &newer,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'of the future', true, x'00', 0)",
    )
    .await;
    let damaged = World::start().await;
    damaged.add("1", Object::default());
    damaged.once(0).await;
    let mut bytes = fs::read(damaged.database()).unwrap();
    let len = bytes.len();
    bytes[4096..len / 2].fill(0xA5);
    fs::write(damaged.database(), bytes).unwrap();
    let text = World::start().await;
    fs::create_dir(text.state_dir()).unwrap();
    fs::write(text.database(), "this is a letter, and no database at all\n".repeat(50)).unwrap();

    let cases = [
        (&foreign, "another program"),
        (&nameless, "another program"),
        (&newer, "newer version"),
        (&damaged, "damaged"),
        (&text, "damaged or no SQLite database"),
    ];
    for (world, said) in cases {
        let before = fs::read(world.database()).unwrap();
        let files = folder(world);
        world.cloud.clear_history();
        for command in [["once"].as_slice(), &["tasks"], &["retry", "1"]] {
            let run = world.run(command).await.expect(1);
            let complaint = run.complaint();
            assert!(complaint.contains(said), "{said:?} is not in: {run}");
            assert!(complaint.contains(world.database().to_str().unwrap()), "{run}");
        }
        assert!(fs::read(world.database()).unwrap() == before, "the database was changed: {said}");
        assert_eq!(world.cloud.gateway_calls().len(), 0);
        let left: Vec<_> = folder(world).into_iter().filter(|f| f != "lock" && f != "exports").collect();
        let had: Vec<_> = files.into_iter().filter(|f| f != "lock" && f != "exports").collect();
        assert_eq!(left, had);
    }
}

fn folder(world: &World) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(world.state_dir()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn root_does_not_run_on_a_folder_of_somebody_else_unless_told_to() {
    if !is_root() {
        eprintln!("skipped: only root can give a folder away");
        return;
    }
    let world = World::start().await;
    world.add("1", Object::default());
    fs::create_dir(world.state_dir()).unwrap();
    std::os::unix::fs::chown(world.state_dir(), Some(65534), Some(65534)).unwrap();
    let config = world.write_config();
    for (words, line) in [(["once"].as_slice(), "once"), (&["retry", "1"], "retry 1")] {
        let run = world.run(words).await.expect(1);
        let complaint = run.complaint();
        assert!(complaint.contains("sudo -u nobody cdn-usaged") || complaint.contains("sudo -u '#65534'"), "{run}");
        assert!(complaint.contains(&format!("--config {} {line}", config.display())), "{run}");
        assert!(complaint.contains("--as-root"), "{run}");
    }
    assert_eq!(folder(&world), Vec::<String>::new());
    world.run(&["once", "--as-root"]).await.expect(0);
    world.run(&["retry", "1", "--as-root"]).await.expect(0);
}

#[tokio::test]
async fn the_daemon_as_root_on_the_state_of_another_user_refuses_too_and_days_are_durations() {
    let world = World::start().await;
    world.once(0).await;
    if is_root() {
        std::os::unix::fs::chown(world.state_dir(), Some(65_534), None).unwrap();
        let run = world.run(&["run"]).await.expect(1);
        assert!(run.complaint().contains("sudo -u") && run.complaint().contains(" run"), "{run}");
        std::os::unix::fs::chown(world.state_dir(), Some(0), None).unwrap();
    }
    for since in ["7d", "12h", "2020-01-31", "2020-01-31T00:00:00Z"] {
        world.run(&["tasks", "--since", since]).await.expect(0);
    }
    let run = world.run(&["tasks", "--since", "yesterday"]).await.expect(2);
    assert!(run.complaint().contains("2026-01-31"), "{run}");
}
