//! Files that do not come as they should.

use std::fs;

use cloudsim::{Generated, Object, OssFault, OssMatch};
use jiff::SignedDuration;

use crate::common::{DETAIL, MAIN, World, csv_path, until};

/// A file larger than a block of the writer, so that a part of it is there when its connection breaks.
fn large(seed: u64) -> Object {
    Object::generated(seed, 1 << 20, Generated::Csv)
}

pub fn pairs(attempts: &[(String, String)]) -> Vec<(&str, &str)> {
    attempts.iter().map(|(result, reason)| (result.as_str(), reason.as_str())).collect()
}

pub fn assert_published(world: &World, path: &str, object: &Object) {
    assert!(fs::read(world.file(path)).unwrap() == object.body.to_bytes(), "{path} is not what the store has");
}

fn refused_by_store() -> OssFault {
    OssFault::Error {
        status: 403,
        code: "AccessDenied".to_owned(),
        message: "Request has expired.".to_owned(),
        ec: "0002-00000069".to_owned(),
    }
}

#[tokio::test]
async fn a_connection_reset_in_the_middle_is_resumed_where_it_broke() {
    let world = World::start().await;
    let object = large(1);
    world.add("1", object.clone());
    world.cloud.script_oss(OssMatch::Any, OssFault::ResetAt(700_000), 1);
    let run = world.once(0).await;
    assert_published(&world, &csv_path("1"), &object);
    assert_eq!(pairs(&world.attempts("1").await), [("failed", "network"), ("stored", "")]);
    let retrying = run.event("download.retrying");
    assert_eq!((retrying["reason"].as_str(), retrying["attempt"].as_u64()), (Some("network"), Some(1)));
    let stored = run.event("download.stored");
    let resumed = stored["resumed_bytes"].as_u64().unwrap();
    assert!(resumed > 0, "{stored}");
    assert_eq!(stored["attempt"], 2);
    let calls = world.cloud.oss_calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[1].range.as_deref(), Some(format!("bytes={resumed}-").as_str()));
    assert!(calls[1].if_match.is_some());
    assert_eq!(calls[1].status, 206);
    assert_eq!(calls[1].sent, (1 << 20) - resumed);
}

#[tokio::test]
async fn a_short_body_a_turned_bit_and_an_object_replaced_meanwhile_all_end_with_the_right_bytes() {
    let world = World::start().await;
    let (short, bit, late) = (large(1), large(2), large(3));
    world.add("short", short.clone());
    world.add("bit", bit.clone());
    world.add("late", large(4));
    let once = |id: &str, fault| world.cloud.script_oss(OssMatch::Task(id.to_owned()), fault, 1);
    once("short", OssFault::TruncateAt(600_000));
    once("bit", OssFault::FlipBit(123_456));
    once("late", OssFault::ResetAt(600_000));
    once("late", OssFault::Replace(late.clone()));
    world.once(0).await;
    for (id, object, reason) in [("short", &short, "network"), ("bit", &bit, "integrity"), ("late", &late, "network")] {
        assert_published(&world, &csv_path(id), object);
        assert_eq!(pairs(&world.attempts(id).await), [("failed", reason), ("stored", "")], "{id}");
    }
    assert_eq!(world.published().len(), 3);
}

#[tokio::test]
async fn a_checksum_that_never_fits_is_given_up_and_comes_back_in_the_next_run() {
    let world = World::start().await;
    world.add("1", Object::csv(20));
    world.add("2", Object::csv(21));
    world.cloud.script_oss(OssMatch::Task("1".to_owned()), OssFault::WrongCrc, u32::MAX);
    for round in 1..=2 {
        let run = world.once(1).await;
        let given_up = run.event("download.abandoned");
        assert_eq!(given_up["level"], "error");
        assert_eq!((given_up["reason"].as_str(), given_up["attempt"].as_u64()), (Some("integrity"), Some(3)));
        assert_eq!(run.events("download.retrying").len(), 2);
        assert_eq!(world.state("1").await.as_deref(), Some("abandoned"));
        let wanted = [("failed", "integrity"), ("failed", "integrity"), ("abandoned", "integrity")].repeat(round);
        assert_eq!(pairs(&world.attempts("1").await), wanted);
        assert_eq!(world.published(), [csv_path("2")], "nothing unverified has a name");
        assert!(world.partials().is_empty());
    }
    let link = "SELECT count(*) FROM downloads WHERE link IS NOT NULL AND state = 'abandoned'";
    assert_eq!(world.number(link).await, 0);

    world.cloud.clear_scripts();
    world.once(0).await;
    assert_published(&world, &csv_path("1"), &Object::csv(20));
    let stored =
        world.texts("SELECT json_array(state, attempt, reason, error) FROM downloads WHERE task_id = '1'").await;
    assert_eq!(stored, [r#"["stored",1,null,null]"#]);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_page_an_empty_file_and_one_that_is_too_large_are_no_exports() {
    let mut world = World::start().await;
    world.set("download.max_size", "\"64KiB\"");
    world.add("page", Object::html("please sign in"));
    world.add("proxy", Object::csv(3));
    world.cloud.script_oss(OssMatch::Task("proxy".to_owned()), OssFault::HtmlPage, u32::MAX);
    world.add("empty", Object::new(Vec::new(), "text/csv"));
    world.add("large", large(1));
    world.add("chunked", large(2));
    world.cloud.script_oss(OssMatch::Task("chunked".to_owned()), OssFault::Chunked, u32::MAX);
    world.add("good", Object::csv(3));
    let run = world.once(1).await;
    for (id, reason) in [
        ("page", "not_an_export"),
        ("proxy", "not_an_export"),
        ("empty", "not_an_export"),
        ("large", "too_large"),
        ("chunked", "too_large"),
    ] {
        let attempts = world.attempts(id).await;
        assert_eq!(pairs(&attempts).last(), Some(&("abandoned", reason)), "{id}: {run}");
    }
    assert_eq!(world.published(), [csv_path("good")]);
    assert!(world.partials().is_empty());

    world.cloud.clear_scripts();
    world.set("download.max_size", "\"1MiB\"");
    world.update("page", |task| task.object = Object::csv(4));
    world.update("empty", |task| task.object = Object::csv(5));
    world.once(0).await;
    for (id, object) in
        [("large", large(1)), ("chunked", large(2)), ("page", Object::csv(4)), ("empty", Object::csv(5))]
    {
        assert_published(&world, &csv_path(id), &object);
    }
    assert_eq!(world.published().len(), 6);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_file_that_is_refused_for_ever_is_given_up_as_expired_and_one_that_is_gone_as_gone() {
    let world = World::start().await;
    world.add("1", Object::default());
    world.add("2", Object::default());
    world.cloud.script_oss(OssMatch::Task("1".to_owned()), refused_by_store(), u32::MAX);
    let gone = OssFault::HiddenError { status: 404, code: "NoSuchKey".to_owned() };
    world.cloud.script_oss(OssMatch::Task("2".to_owned()), gone, u32::MAX);
    let run = world.once(1).await;
    for (id, reason) in [("1", "expired"), ("2", "gone")] {
        let attempts = world.attempts(id).await;
        assert_eq!(pairs(&attempts).last(), Some(&("abandoned", reason)), "{run}");
        assert_eq!(attempts.len(), 3, "{run}");
        assert_eq!(world.state(id).await.as_deref(), Some("abandoned"));
    }
    assert_eq!((world.published().len(), world.partials().len()), (0, 0));
    world.cloud.clear_scripts();
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1"), csv_path("2")]);
}

#[tokio::test]
async fn too_little_space_ends_the_run_and_is_said() {
    let mut world = World::start().await;
    world.add("1", Object::default());
    world.set("storage.min_free", "\"900TiB\"");
    let run = world.once(1).await;
    let low = run.event("storage.low");
    assert_eq!(low["level"], "error");
    assert!(low["free_bytes"].as_u64().unwrap() > 0);
    assert!(run.complaint().contains("storage.min_free"), "{run}");
    assert_eq!(world.cloud.oss_calls().len(), 0);
    assert_eq!(world.state("1").await.as_deref(), Some("pending"));

    world.set("storage.min_free", "\"1KiB\"");
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1")]);
}

#[tokio::test]
async fn one_file_that_does_not_fit_ends_the_run_and_is_tried_once() {
    let mut world = World::start().await;
    world.set("download.max_size", "\"900TiB\"");
    world.add("huge", Object::default());
    let declared = OssFault::ContentLength("800000000000000".to_owned());
    world.cloud.script_oss(OssMatch::Task("huge".to_owned()), declared, u32::MAX);
    let run = world.once(1).await;
    assert_eq!(run.event("storage.low")["level"], "error");
    assert!(run.complaint().contains("storage.min_free"), "{run}");
    assert_eq!(pairs(&world.attempts("huge").await), [("failed", "disk")]);
    world.cloud.clear_scripts();
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("huge")]);
}

#[tokio::test]
async fn a_delay_that_an_earlier_run_set_is_ignored() {
    let mut world = World::start().await;
    world.set("retry.base", "\"1h\"");
    world.set("retry.max", "\"2h\"");
    world.add("1", Object::default());
    world.cloud.script_oss(OssMatch::Any, OssFault::Reset, 1);
    let once = world.spawn(&["once"]);
    until("an attempt has failed", async || {
        world.database().exists() && !world.cloud.oss_calls().is_empty() && !world.attempts("1").await.is_empty()
    })
    .await;
    once.signal(rustix::process::Signal::TERM);
    once.end().await.expect(1);
    assert_eq!(world.number("SELECT count(*) FROM downloads WHERE not_before IS NOT NULL").await, 1);
    world.once(0).await;
    assert_eq!(world.published(), [csv_path("1")]);
}

#[tokio::test]
async fn a_stored_task_that_is_looked_at_again_stays_stored_whatever_comes_of_it() {
    let world = World::start().await;
    for id in ["gone", "denied", "page", "crc"] {
        world.add(id, Object::csv(4));
    }
    world.once(0).await;
    let files = (world.published(), world.dump("files").await);
    let later = world.cloud.clock().now().checked_add(SignedDuration::from_hours(1)).unwrap();
    for id in ["gone", "denied", "page", "crc"] {
        world.cloud.update_task(MAIN, DETAIL, id, |task| {
            *task = task.clone().with_updated_at(later).with_object(Object::csv(44));
        });
    }
    let fail = |id: &str, fault| world.cloud.script_oss(OssMatch::Task(id.to_owned()), fault, u32::MAX);
    fail("gone", OssFault::HiddenError { status: 404, code: "NoSuchKey".to_owned() });
    fail("denied", refused_by_store());
    fail("page", OssFault::HtmlPage);
    fail("crc", OssFault::WrongCrc);
    world.once(0).await;
    for (id, reason) in [("gone", "gone"), ("denied", "expired"), ("page", "not_an_export"), ("crc", "integrity")] {
        assert_eq!(world.state(id).await.as_deref(), Some("stored"), "{id}");
        let attempts = world.attempts(id).await;
        assert_eq!(pairs(&attempts).last(), Some(&("abandoned", reason)), "{id}: {attempts:?}");
    }
    assert_eq!((world.published(), world.dump("files").await), files);
    assert!(world.partials().is_empty());
    world.run(&["verify"]).await.expect(0);
    world.assert_sound().await;
}
