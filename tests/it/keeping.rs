//! What is stored stays, is checked, and comes back.

use std::fs;

use cloudsim::{AccountSpec, GatewayFault, GatewayMatch, Object, OssFault, OssMatch, TaskSpec};
use rustix::process::Signal;

use crate::common::{DETAIL, MAIN, RANGE, USAGE, World, csv_path, until};

/// Three stored tasks.
async fn stored() -> World {
    let world = World::start().await;
    for n in 1..=3_u64 {
        world.add(&n.to_string(), Object::csv(n));
    }
    world.once(0).await;
    world
}

#[tokio::test]
async fn after_the_database_is_lost_the_files_that_are_there_are_adopted() {
    let world = stored().await;
    let before = world.published();
    fs::remove_file(world.database()).unwrap();
    world.once(0).await;
    assert_eq!(world.published(), before);
    assert_eq!(world.texts("SELECT path FROM files ORDER BY path").await, before);
    assert_eq!(world.number("SELECT max(revision) FROM files").await, 1);
    world.run(&["verify"]).await.expect(0);
    world.assert_sound().await;
}

#[tokio::test]
async fn after_the_database_is_lost_a_file_that_was_altered_stays_and_the_right_one_comes_beside_it() {
    let world = stored().await;
    let altered = world.file(&csv_path("2"));
    fs::write(&altered, "altered").unwrap();
    fs::remove_file(world.database()).unwrap();
    world.once(0).await;
    let beside = format!("main/usage-detail/{RANGE}_2.r2.csv");
    assert_eq!(world.published(), [csv_path("1"), csv_path("2"), beside.clone(), csv_path("3")]);
    assert_eq!(fs::read_to_string(&altered).unwrap(), "altered");
    assert!(fs::read(world.file(&beside)).unwrap() == Object::csv(2).body.to_bytes());
    let row = world.texts("SELECT json_array(revision, path) FROM files WHERE task_id = '2'").await;
    assert_eq!(row, [format!("[2,{beside:?}]")]);
}

#[tokio::test]
async fn a_newer_update_time_brings_a_changed_file_as_the_next_revision_and_an_unchanged_one_not_at_all() {
    let world = stored().await;
    let later = world.cloud.clock().now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
    world.cloud.update_task(MAIN, DETAIL, "1", |task| *task = task.clone().with_updated_at(later));
    world.cloud.update_task(MAIN, DETAIL, "2", |task| {
        *task = task.clone().with_updated_at(later).with_object(Object::csv(22));
    });
    world.once(0).await;
    let beside = format!("main/usage-detail/{RANGE}_2.r2.csv");
    assert_eq!(world.published(), [csv_path("1"), csv_path("2"), beside.clone(), csv_path("3")]);
    assert!(fs::read(world.file(&csv_path("2"))).unwrap() == Object::csv(2).body.to_bytes());
    assert!(fs::read(world.file(&beside)).unwrap() == Object::csv(22).body.to_bytes());
    let results = |attempts: Vec<(String, String)>| attempts.into_iter().map(|(result, _)| result).collect::<Vec<_>>();
    assert_eq!(results(world.attempts("1").await), ["stored", "unchanged"]);
    assert_eq!(results(world.attempts("2").await), ["stored", "stored"]);
    let newest = world.texts("SELECT path FROM downloads WHERE task_id = '2'").await;
    assert_eq!(newest, [beside]);
    let before = world.everything().await;
    world.once(0).await;
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn verify_says_which_files_are_missing_or_altered() {
    let world = stored().await;
    let run = world.run(&["verify"]).await.expect(0);
    assert!(run.stdout.contains("3 files are as they were published"), "{run}");
    let rows = world.run(&["verify", "--json"]).await.expect(0).rows();
    assert!(rows.len() == 3 && rows.iter().all(|r| r["result"] == "ok" && r["error"].is_null()), "{rows:?}");

    fs::remove_file(world.file(&csv_path("1"))).unwrap();
    let mut bytes = fs::read(world.file(&csv_path("2"))).unwrap();
    bytes[5] ^= 1;
    fs::write(world.file(&csv_path("2")), bytes).unwrap();
    let rows = world.run(&["verify", "--json"]).await.expect(1).rows();
    let verdicts: Vec<_> = rows.iter().map(|r| (r["path"].as_str().unwrap(), r["result"].as_str().unwrap())).collect();
    let (one, two, three) = (csv_path("1"), csv_path("2"), csv_path("3"));
    let wanted = [(one.as_str(), "missing"), (two.as_str(), "damaged"), (three.as_str(), "ok")];
    assert!(wanted.iter().all(|w| verdicts.contains(w)) && verdicts.len() == 3, "{verdicts:?}");
    assert!(rows.iter().all(|r| r["sha256"].as_str().is_some_and(|s| s.len() == 64) && r["id"].is_i64()));
    let run = world.run(&["verify"]).await.expect(1);
    assert!(
        run.stdout.contains(&format!("missing: {one}")) && run.stdout.contains(&format!("damaged: {two}")),
        "{run}"
    );
}

#[tokio::test]
async fn a_damaged_or_missing_file_returns_under_its_name_and_a_whole_one_is_left_alone() {
    let world = stored().await;
    let before = (world.published(), world.dump("files").await);
    fs::write(world.file(&csv_path("1")), "damaged").unwrap();
    fs::remove_file(world.file(&csv_path("2"))).unwrap();
    let run = world.run(&["retry", "1", "main/usage-detail/2", "3", "--json"]).await.expect(0);
    let queued: Vec<_> = run.rows().iter().map(|r| (r["task_id"].to_string(), r["queued"] == true)).collect();
    assert_eq!(queued, [("\"1\"".to_owned(), true), ("\"2\"".to_owned(), true), ("\"3\"".to_owned(), false)]);
    let kept = world.downloads().join(".damaged").join(csv_path("1"));
    assert_eq!(fs::read_to_string(kept).unwrap(), "damaged");
    assert_eq!(world.published(), [csv_path("3")]);

    world.cloud.clear_history();
    world.once(0).await;
    assert_eq!((world.published(), world.dump("files").await), before);
    let fetched: Vec<_> = world.cloud.oss_calls().into_iter().filter_map(|c| c.task_id).collect();
    assert!(fetched.len() == 2 && !fetched.contains(&"3".to_owned()), "{fetched:?}");
    world.run(&["verify"]).await.expect(0);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_damaged_file_whose_object_has_changed_is_followed_by_the_next_revision() {
    let world = stored().await;
    fs::write(world.file(&csv_path("1")), "damaged").unwrap();
    world.cloud.update_task(MAIN, DETAIL, "1", |task| *task = task.clone().with_object(Object::csv(11)));
    world.run(&["retry", "1"]).await.expect(0);
    world.once(0).await;
    let next = format!("main/usage-detail/{RANGE}_1.r2.csv");
    assert_eq!(world.published(), [next.clone(), csv_path("2"), csv_path("3")]);
    assert!(fs::read(world.file(&next)).unwrap() == Object::csv(11).body.to_bytes());
}

#[tokio::test]
async fn everything_that_was_given_up_comes_back_with_retry_abandoned() {
    let world = World::start().await;
    for n in 1..=3_u64 {
        world.add(&n.to_string(), Object::csv(n));
    }
    for id in ["1", "2"] {
        world.cloud.script_oss(OssMatch::Task(id.to_owned()), OssFault::WrongCrc, u32::MAX);
    }
    world.once(1).await;
    let run = world.run(&["retry", "--abandoned", "--json"]).await.expect(0);
    assert_eq!(run.rows().len(), 2);
    assert_eq!(world.number("SELECT count(*) FROM downloads WHERE state = 'pending'").await, 2);
    let run = world.run(&["retry", "--abandoned"]).await.expect(0);
    assert!(run.stdout.contains("no download is abandoned"), "{run}");
    world.cloud.clear_scripts();
    world.once(0).await;
    assert_eq!(world.published().len(), 3);
}

#[tokio::test]
async fn an_ambiguous_id_is_refused_with_its_candidates_and_an_unknown_one_too() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.add_account("branch", AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.add("11", Object::default());
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("11"));
    world.cloud.add_task("LTAIbranch", DETAIL, TaskSpec::default().with_id("11"));
    world.once(0).await;
    for command in [["retry", "11"], ["history", "11"]] {
        let run = world.run(&command).await.expect(2);
        for candidate in ["main/usage-detail/11", "main/usage/11", "branch/usage-detail/11"] {
            assert!(run.complaint().contains(candidate), "{run}");
        }
        world.run(&[command[0], "main/usage/11"]).await.expect(0);
        let run = world.run(&[command[0], "12"]).await.expect(1);
        assert!(run.complaint().contains("no task 12 is known"), "{run}");
    }
    world.run(&["retry"]).await.expect(2);
    world.run(&["retry", "11", "--abandoned"]).await.expect(2);
}

#[tokio::test]
async fn retry_works_beside_a_run_that_holds_the_lock() {
    let world = stored().await;
    fs::remove_file(world.file(&csv_path("1"))).unwrap();
    world.cloud.clear_history();
    world.cloud.script_gateway(GatewayMatch::Any, GatewayFault::Hang, u32::MAX);
    let once = world.spawn(&["once"]);
    until("it waits for the gateway", async || !world.cloud.gateway_calls().is_empty()).await;
    let run = world.run(&["retry", "1"]).await.expect(0);
    assert!(run.stdout.contains("pending again"), "{run}");
    assert_eq!(world.state("1").await.as_deref(), Some("pending"));
    once.signal(Signal::TERM);
    once.end().await.expect(1);
    world.cloud.clear_scripts();
    world.once(0).await;
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == Object::csv(1).body.to_bytes());
    world.assert_sound().await;
}

#[tokio::test]
async fn retry_where_nothing_has_run_yet_says_so() {
    let world = World::start().await;
    for command in [["retry", "1"].as_slice(), &["tasks"], &["files"], &["verify"], &["history", "1"]] {
        let run = world.run(command).await.expect(1);
        assert!(run.complaint().contains("there is no database"), "{run}");
    }
    assert!(!world.state_dir().exists());
}

#[tokio::test]
async fn nothing_is_written_through_a_symbolic_link() {
    let world = World::start().await;
    world.add("1", Object::csv(1));
    world.add("2", Object::csv(2));
    let elsewhere = world.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::create_dir_all(world.downloads().join(".incoming")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, world.downloads().join("main")).unwrap();
    let target = world.path().join("target");
    fs::write(&target, "precious").unwrap();
    let partial = world.downloads().join(".incoming").join("main.usage-detail.2.part");
    std::os::unix::fs::symlink(&target, partial).unwrap();
    let run = world.once(1).await;
    assert_eq!(world.attempts("1").await.last().unwrap().1, "disk", "{run}");
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");

    fs::remove_file(world.downloads().join("main")).unwrap();
    world.run(&["once"]).await;
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == Object::csv(1).body.to_bytes());
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
}

#[tokio::test]
async fn an_unfinished_file_of_unknown_origin_is_never_published() {
    let world = World::start().await;
    world.add("1", Object::csv(1));
    let incoming = world.downloads().join(".incoming");
    fs::create_dir_all(&incoming).unwrap();
    fs::write(incoming.join("main.usage-detail.1.part"), "what is this").unwrap();
    fs::write(incoming.join("main.usage-detail.9.part"), "and this").unwrap();
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1")]);
    assert!(fs::read(world.file(&csv_path("1"))).unwrap() == Object::csv(1).body.to_bytes());
    assert!(world.partials().is_empty());
}

/// Moves the update time of a stored task, so that it is looked at again.
fn touch(world: &World, id: &str) {
    let later = world.cloud.clock().now() + jiff::SignedDuration::from_secs(5);
    assert!(world.cloud.update_task(MAIN, DETAIL, id, |task| task.updated_at = Some(later)));
}

#[tokio::test]
async fn a_second_look_at_a_file_that_is_lost_brings_it_back_and_at_one_that_is_damaged_sets_that_aside() {
    let world = World::start().await;
    for id in ["lost", "damaged"] {
        world.add(id, Object::csv(9));
    }
    world.once(0).await;
    let (lost, damaged) = (world.file(&csv_path("lost")), world.file(&csv_path("damaged")));
    let whole = fs::read(&lost).unwrap();
    fs::remove_file(&lost).unwrap();
    fs::write(&damaged, b"something else").unwrap();
    for id in ["lost", "damaged"] {
        touch(&world, id);
    }
    world.once(0).await;
    assert!(fs::read(&lost).unwrap() == whole && fs::read(&damaged).unwrap() == whole);
    assert_eq!(world.number("SELECT count(*) FROM files").await, 2, "the same bytes are no new revision");
    let aside = world.downloads().join(".damaged").join(csv_path("damaged"));
    assert_eq!(fs::read(aside).unwrap(), b"something else");
    world.run(&["verify"]).await.expect(0);
}
