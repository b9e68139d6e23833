//! Links and files that change under way.

use std::{fs, time::Duration};

use cloudsim::{Generated, LinkMode, Object, OssFault, OssMatch};
use jiff::SignedDuration;
use rustix::process::Signal;

use crate::common::{World, csv_path};

fn revision_path(id: &str, revision: u32) -> String {
    csv_path(id).replace(".csv", &format!(".r{revision}.csv"))
}

fn later(task: &mut cloudsim::TaskSpec, hours: i64) {
    task.updated_at = Some(task.created_at + SignedDuration::from_hours(hours));
}

fn content(world: &World, path: &str) -> Vec<u8> {
    fs::read(world.file(path)).unwrap()
}

#[tokio::test]
async fn a_link_that_expires_in_the_middle_of_a_file_is_replaced_and_the_transfer_goes_on_at_that_byte() {
    let mut world = World::start().await;
    // Long enough to move the clock meanwhile.
    world.set("download.idle_timeout", "\"2s\"");
    // Every poll brings a link of its own: none comes unless it is asked for.
    world.set("poll.idle_interval", "\"1h\"");
    world.cloud.settings().set_link_lifetime(Duration::from_secs(3600));
    world.cloud.clock().set_dates_by_wall(true);
    let object = world.add_stalling("1");
    let daemon = world.daemon().await;
    world.partial_with_bytes().await;
    world.cloud.clock().advance(Duration::from_secs(7200));
    world.until_stored(&daemon, 1).await;
    let run = daemon.stop().await;

    assert!(content(&world, &csv_path("1")) == object.body.to_bytes());
    assert_eq!(run.event("link.refreshed")["task_id"], "1");
    let stored = run.event("download.stored");
    let resumed = stored["resumed_bytes"].as_u64().unwrap();
    assert!(resumed > 0 && resumed <= 700_000, "{stored}");
    let calls = world.cloud.oss_calls();
    let statuses: Vec<_> = calls.iter().map(|c| c.status).collect();
    assert_eq!(statuses, [200, 403, 206], "{run}");
    assert_eq!(calls[2].range.as_deref(), Some(format!("bytes={resumed}-").as_str()));
    assert_eq!(calls[2].sent, (1 << 20) - resumed);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_restated_export_is_published_beside_the_first_and_the_same_bytes_are_not() {
    let world = World::start().await;
    world.add("restated", Object::csv(3));
    world.add("touched", Object::csv(4));
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 2).await;
    world.update("restated", |task| {
        task.object = Object::csv(5);
        later(task, 1);
    });
    world.update("touched", |task| later(task, 1));
    let looked_again = "SELECT count(*) FROM attempts";
    daemon.until("both are looked at again", async || world.number(looked_again).await == 4).await;
    assert!(content(&world, &csv_path("restated")) == Object::csv(3).body.to_bytes(), "the first stays");
    assert!(content(&world, &revision_path("restated", 2)) == Object::csv(5).body.to_bytes());
    let results = async |id: &str| world.attempts(id).await.into_iter().map(|(result, _)| result).collect::<Vec<_>>();
    assert_eq!(results("restated").await, ["stored", "stored"]);
    assert_eq!(results("touched").await, ["stored", "unchanged"]);
    assert_eq!(world.texts("SELECT DISTINCT state FROM downloads").await, ["stored"]);
    let calls = world.cloud.oss_calls();
    let second = |id: &str| calls.iter().filter(|c| c.task_id.as_deref() == Some(id)).nth(1).unwrap();
    assert!(second("touched").if_none_match.is_some());
    assert_eq!(second("touched").status, 304);
    assert_eq!((second("restated").if_none_match.is_some(), second("restated").status), (true, 200));

    // Once a day is enough.
    world.update("touched", |task| later(task, 2));
    world.update("restated", |task| {
        task.object = Object::csv(6);
        later(task, 2);
    });
    let updated = "SELECT count(*) FROM transitions WHERE kind = 'updated'";
    daemon.until("the second update is recorded", async || world.number(updated).await == 4).await;
    assert_eq!(world.number("SELECT count(*) FROM downloads WHERE recheck").await, 0);
    daemon.await_more("poll.completed", 5).await;
    daemon.stop().await;
    assert_eq!(world.cloud.oss_calls().len(), 4);
    assert_eq!(world.published().len(), 3);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_success_without_a_link_is_stored_when_it_has_one() {
    let mut world = World::start().await;
    world.set("download.max_attempts", "1000");
    world.add("1", Object::csv(4));
    world.update("1", |task| task.link = LinkMode::Absent);
    let daemon = world.daemon().await;
    let missing = daemon.await_events("download.retrying", 2).await;
    assert!(missing.iter().all(|e| e["reason"] == "no_link"), "{missing:?}");
    world.update("1", |task| task.link = LinkMode::Default);
    world.until_stored(&daemon, 1).await;
    daemon.stop().await;
    assert!(content(&world, &csv_path("1")) == Object::csv(4).body.to_bytes());
    world.assert_sound().await;
}

#[tokio::test]
async fn an_abandoned_download_comes_back_with_a_later_sweep_of_the_beat() {
    let mut world = World::start().await;
    world.set("poll.full_sweep_interval", "\"200ms\"");
    world.add("1", Object::csv(4));
    world.cloud.script_oss(OssMatch::Any, OssFault::WrongCrc, 3);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let run = daemon.stop().await;
    assert_eq!(run.event("download.abandoned")["reason"], "integrity");
    let results: Vec<_> = world.attempts("1").await.into_iter().map(|(result, _)| result).collect();
    assert_eq!(results, ["failed", "failed", "abandoned", "stored"]);
    assert_eq!(world.cloud.oss_calls().len(), 4);
    world.assert_sound().await;
}

#[tokio::test]
async fn retry_brings_back_what_is_abandoned_or_damaged_while_the_daemon_runs() {
    let world = World::start().await;
    world.add("given-up", Object::csv(4));
    world.add("damaged", Object::csv(5));
    world.cloud.script_oss(OssMatch::Task("given-up".to_owned()), OssFault::WrongCrc, 3);
    let daemon = world.daemon().await;
    daemon.await_events("download.abandoned", 1).await;
    world.until_stored(&daemon, 1).await;
    daemon.await_more("poll.completed", 3).await;
    assert_eq!(world.state("given-up").await.as_deref(), Some("abandoned"), "no sweep is due");
    fs::write(world.file(&csv_path("damaged")), "not what was stored").unwrap();
    world.run(&["retry", "given-up", "main/usage-detail/damaged"]).await.expect(0);
    daemon.await_events("download.stored", 3).await;
    world.until_stored(&daemon, 2).await;
    daemon.stop().await;
    assert!(content(&world, &csv_path("given-up")) == Object::csv(4).body.to_bytes());
    assert!(content(&world, &csv_path("damaged")) == Object::csv(5).body.to_bytes());
    assert_eq!(world.published(), [csv_path("damaged"), csv_path("given-up")], "the same name and revision");
    assert_eq!(fs::read_dir(world.downloads().join(".damaged")).unwrap().count(), 1);
    world.run(&["verify"]).await.expect(0);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_stored_task_stays_stored_when_a_second_look_fails_for_good() {
    let world = World::start().await;
    world.add("1", Object::csv(3));
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    world.cloud.script_oss(OssMatch::Any, OssFault::WrongCrc, u32::MAX);
    world.update("1", |task| {
        task.object = Object::csv(4);
        later(task, 1);
    });
    daemon.await_events("download.abandoned", 1).await;
    assert_eq!(world.state("1").await.as_deref(), Some("stored"));
    daemon.await_more("poll.completed", 5).await;
    daemon.stop().await;
    let results: Vec<_> = world.attempts("1").await.into_iter().map(|(result, _)| result).collect();
    assert_eq!(results, ["stored", "failed", "failed", "abandoned"], "and it is left at that for a day");
    assert_eq!(world.published(), [csv_path("1")]);
    assert!(content(&world, &csv_path("1")) == Object::csv(3).body.to_bytes());
    assert!(world.partials().is_empty());
    world.assert_sound().await;
}

#[tokio::test]
async fn a_second_look_that_is_cut_off_is_finished_by_the_next_daemon() {
    for signal in [Signal::TERM, Signal::KILL] {
        let world = World::start().await;
        world.add("1", Object::csv(3));
        let daemon = world.daemon().await;
        world.until_stored(&daemon, 1).await;
        let restated = Object::generated(5, 1 << 20, Generated::Csv);
        world.cloud.script_oss(OssMatch::Any, OssFault::StallAt(700_000), 1);
        world.update("1", |task| {
            task.object = restated.clone();
            later(task, 1);
        });
        world.partial_with_bytes().await;
        assert_eq!(world.state("1").await.as_deref(), Some("stored"), "while it is looked at");
        daemon.signal(signal);
        daemon.end().await;
        assert_eq!(world.state("1").await.as_deref(), Some("stored"));

        let daemon = world.daemon().await;
        daemon.await_events("download.stored", 1).await;
        daemon.stop().await;
        assert!(content(&world, &revision_path("1", 2)) == restated.body.to_bytes(), "{signal:?}");
        assert!(content(&world, &csv_path("1")) == Object::csv(3).body.to_bytes());
        let results: Vec<_> = world.attempts("1").await.into_iter().map(|(result, _)| result).collect();
        assert_eq!(results, ["stored", "interrupted", "stored"], "{signal:?}");
        assert_eq!(world.number("SELECT count(*) FROM downloads WHERE recheck").await, 0);
        assert!(world.partials().is_empty());
        world.assert_sound().await;
    }
}
