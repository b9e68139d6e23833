//! The whole job, and the same again.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _};

use cloudsim::{AccountSpec, Export, Object, TaskSpec};

use crate::common::{DETAIL, MAIN, RANGE, USAGE, World, export_word, finish};

/// A file of its own for each number, of each kind in turn, and the extension that its bytes deserve.
fn object(n: usize) -> (Object, &'static str) {
    let text = format!("file {n}");
    match n % 7 {
        0 => (Object::xlsx(&text), "xlsx"),
        1 => (Object::zip(&text), "zip"),
        2 => (Object::pdf(&text), "pdf"),
        3 => (Object::gz(&text), "gz"),
        4 => (Object::xls(&text), "xls"),
        // The type that the server gives is a lie.
        5 => (Object::csv(n as u64).with_content_type("application/zip"), "csv"),
        _ => (Object::csv(n as u64), "csv"),
    }
}

/// Fills a listing; remembers which file belongs where.
fn fill(world: &World, name: &str, key: &str, export: Export, count: usize, files: &mut BTreeMap<String, Vec<u8>>) {
    for n in 1..=count {
        let (object, extension) = object(n);
        let path = format!("{name}/{}/{RANGE}_{n}.{extension}", export_word(export));
        files.insert(path, object.body.to_bytes().to_vec());
        world.cloud.add_task(key, export, TaskSpec::default().with_id(n.to_string()).with_object(object));
    }
}

#[tokio::test]
async fn every_task_of_every_listing_is_recorded_once_and_its_file_is_the_object_and_a_second_run_does_nothing() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    let temporary = AccountSpec::new("STS.branch", "secret-of-branch").with_token("token/of+branch==");
    world.add_account("branch", temporary, &[DETAIL, USAGE]);
    let mut files = BTreeMap::new();
    fill(&world, "main", MAIN, DETAIL, 120, &mut files);
    fill(&world, "main", MAIN, USAGE, 3, &mut files);
    fill(&world, "branch", "STS.branch", DETAIL, 51, &mut files);
    fill(&world, "branch", "STS.branch", USAGE, 1, &mut files);

    let run = world.once(0).await;

    let tasks = i64::try_from(files.len()).unwrap();
    assert_eq!(world.published(), files.keys().cloned().collect::<Vec<_>>());
    for (path, bytes) in &files {
        assert!(fs::read(world.file(path)).unwrap() == *bytes, "{path} is not what the store has");
        assert_eq!(mode(&world, path), 0o640, "{path}");
    }
    for folder in ["main", "main/usage-detail", "branch/usage", "."] {
        assert_eq!(mode(&world, folder), 0o750, "{folder}");
    }
    assert_eq!(fs::metadata(world.database()).unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::metadata(world.state_dir()).unwrap().permissions().mode() & 0o7777, 0o750);
    assert_eq!(world.number("SELECT count(*) FROM transitions WHERE kind = 'first'").await, tasks);
    for table in ["tasks", "transitions", "downloads", "attempts", "files"] {
        assert_eq!(world.number(&format!("SELECT count(*) FROM {table}")).await, tasks, "{table}");
    }
    assert_eq!(run.events("task.transition").len(), files.len());
    assert_eq!(run.events("download.stored").len(), files.len());
    let polls = run.events("poll.completed");
    assert_eq!(polls.len(), 4);
    assert!(polls.iter().all(|p| p["consistent"] == true && p["mode"] == "full"), "{polls:?}");
    assert_eq!(world.partials(), Vec::<std::path::PathBuf>::new());
    world.assert_sound().await;

    let before = world.everything().await;
    world.cloud.clear_history();
    let again = world.once(0).await;
    assert_eq!(world.cloud.oss_calls().len(), 0);
    assert!(!world.cloud.gateway_calls().is_empty());
    assert_eq!(world.everything().await, before);
    assert_eq!(again.events("poll.completed").len(), 4);
    assert!(again.events("poll.completed").iter().all(|p| p["changed"] == 0));
    assert!(again.events("task.transition").is_empty() && again.events("download.stored").is_empty());
    assert!(!world.database().with_extension("db-wal").exists(), "a clean stop leaves no log behind");
}

fn mode(world: &World, path: &str) -> u32 {
    fs::metadata(world.file(path)).unwrap().permissions().mode() & 0o7777
}

#[tokio::test]
async fn a_second_run_over_two_thousand_known_tasks_costs_one_sweep_of_each_listing_and_no_request_for_a_file() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    // Failed ones have no file to wait for, and count as well.
    world.cloud.add_tasks(MAIN, DETAIL, (0..1990).map(|_| TaskSpec::default().with_status("failed")));
    world.cloud.add_tasks(MAIN, DETAIL, (0..10).map(|_| TaskSpec::default()));
    world.cloud.add_tasks(MAIN, USAGE, (0..60).map(|_| TaskSpec::default().with_status("failed")));
    world.once(0).await;
    assert_eq!(world.number("SELECT count(*) FROM tasks").await, 2060);
    world.cloud.clear_history();
    let before = world.everything().await;

    world.once(0).await;

    let calls = world.cloud.gateway_calls();
    let of = |export| calls.iter().filter(|c| c.export == Some(export)).count();
    // Every page, and the first and the last once more.
    assert_eq!((of(DETAIL), of(USAGE)), (2000 / 50 + 2, 60_usize.div_ceil(50) + 2));
    assert_eq!(world.cloud.oss_calls().len(), 0);
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn a_task_that_the_cloud_still_works_on_is_not_waited_for_and_is_fetched_by_a_later_run() {
    let world = World::start().await;
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("7").with_status("created"));
    world.once(0).await;
    assert_eq!(world.published(), Vec::<String>::new());

    world.cloud.update_task(MAIN, DETAIL, "7", |task| *task = task.clone().with_status("success"));
    world.once(0).await;
    assert_eq!(world.published(), [format!("main/usage-detail/{RANGE}_7.csv")]);
    let kinds = world.texts("SELECT kind || ' ' || to_status FROM transitions ORDER BY id").await;
    assert_eq!(kinds, ["first created", "status success"]);
    world.assert_sound().await;
}

#[tokio::test]
async fn an_account_that_does_not_work_costs_the_other_nothing() {
    let mut world = World::start().await;
    world.add_account("branch", AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.write_keys("main", &AccountSpec::new(MAIN, "another-secret"));
    world.add("1", Object::default());
    world.cloud.add_task("LTAIbranch", DETAIL, TaskSpec::default().with_id("1"));
    let run = world.run(&["once", "--json"]).await.expect(1);
    assert_eq!(world.published(), [format!("branch/usage-detail/{RANGE}_1.csv")]);
    let rows = run.rows();
    let consistent: Vec<_> = rows.iter().map(|r| (r["account"].as_str(), r["consistent"].as_bool())).collect();
    assert_eq!(consistent, [(Some("main"), Some(false)), (Some("branch"), Some(true))]);
    assert!(rows[0]["error"].is_string() && rows[1]["error"].is_null());
}

#[tokio::test]
async fn what_the_cloud_takes_back_or_issues_anew_is_recorded_as_such() {
    let world = World::start().await;
    world.add("1", Object::csv(1));
    world.add("2", Object::csv(2));
    world.once(0).await;
    world.cloud.update_task(MAIN, DETAIL, "1", |task| *task = task.clone().with_status("failed"));
    let start = "2018-08-31T16:00:00Z".parse().unwrap();
    let end = "2018-09-30T15:59:59Z".parse().unwrap();
    world.cloud.update_task(MAIN, DETAIL, "2", |task| {
        *task = task.clone().with_range(start, end).with_object(Object::csv(22));
    });
    let run = world.once(0).await;
    let kinds = world.texts("SELECT task_id || ' ' || kind || ' ' || to_status FROM transitions ORDER BY id").await;
    assert_eq!(kinds, ["1 first success", "2 first success", "1 status failed", "2 reissued success"]);
    let failed = &run.events("task.transition")[0];
    assert_eq!((failed["level"].as_str(), failed["from"].as_str()), (Some("warn"), Some("success")));
    // What is published stays; the other range has a name of its own.
    let again = "main/usage-detail/20180831T160000Z_20180930T155959Z_2.r2.csv".to_owned();
    let path = |n| format!("main/usage-detail/{RANGE}_{n}.csv");
    assert_eq!(world.published(), [path(1), path(2), again]);
    world.assert_sound().await;
}

#[tokio::test]
async fn modes_do_not_depend_on_the_umask() {
    for umask in ["0077", "0000"] {
        let world = World::start().await;
        world.add("1", Object::default());
        let shell = format!("umask {umask}; exec \"$0\" \"$@\"");
        let mut command = tokio::process::Command::new("/bin/sh");
        command.env_clear().env("HOME", world.path()).args(["-c", &shell, env!("CARGO_BIN_EXE_cdn-usaged")]);
        command.arg("--config").arg(world.write_config()).arg("once");
        finish(&mut command).await.expect(0);
        let path = format!("main/usage-detail/{RANGE}_1.csv");
        let modes: Vec<_> = [".", "main", "main/usage-detail", ".incoming", &path, "..", "../usage.db", "../lock"]
            .map(|path| (path.to_owned(), format!("{:04o}", mode(&world, path))))
            .to_vec();
        for (path, mode) in &modes {
            let is_folder = world.file(path).is_dir();
            assert_eq!(mode, if is_folder { "0750" } else { "0640" }, "{path} with umask {umask}");
        }
    }
}
