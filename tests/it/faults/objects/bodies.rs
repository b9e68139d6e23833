//! Bodies that break off, stand still, or are not the object.

use bytes::Bytes;
use cloudsim::{Object, OssFault, OssMatch};

use super::{BREAK, LARGE, Row, assert_all_stored, assert_gives_up, assert_mends, bare, large, row};
use crate::{common::World, downloads::pairs};

fn length(text: &str) -> OssFault {
    OssFault::ContentLength(text.to_owned())
}

#[tokio::test]
async fn a_body_that_is_short_or_wrong_is_fetched_again_until_it_is_right() {
    let world = World::start().await;
    let nothing = OssFault::Body { status: 200, content_type: "text/csv".to_owned(), body: Bytes::new() };
    let rows = [
        row("truncated", large(1), [OssFault::TruncateAt(BREAK)], ["network"]),
        row("reset", large(2), [OssFault::ResetAt(BREAK)], ["network"]),
        row("unanswered", large(3), [OssFault::Reset], ["network"]),
        row("flipped", large(4), [OssFault::FlipBit(123_456)], ["integrity"]),
        row("longer", large(5), [length("2000000")], ["network"]),
        row("shorter", large(6), [length("1000000")], ["integrity"]),
        row("nonsense", large(7), [length("many")], ["network"]),
        row("page", large(8), [OssFault::HtmlPage], ["not_an_export"]),
        row("empty", large(9), [nothing], ["not_an_export"]),
        // What an earlier attempt left is no excuse for less care.
        row("twice", large(10), [OssFault::TruncateAt(BREAK), OssFault::FlipBit(5)], ["network", "integrity"]),
        row("late-page", large(11), [OssFault::TruncateAt(BREAK), OssFault::HtmlPage], ["network", "not_an_export"]),
    ];
    assert_mends(&world, &rows).await;
}

#[tokio::test]
async fn a_body_that_never_is_what_was_announced_is_given_up_without_a_trace() {
    let world = World::start().await;
    let never =
        |id, fault: OssFault, reason| Row { id, object: large(1), faults: vec![fault], reasons: vec![reason; 3] };
    let rows = [
        never("flipped", OssFault::FlipBit(123_456), "integrity"),
        never("longer", length("2000000"), "network"),
        never("shorter", length("1000000"), "integrity"),
        never("page", OssFault::HtmlPage, "not_an_export"),
    ];
    assert_gives_up(&world, &rows).await;
}

#[tokio::test]
async fn a_connection_that_breaks_again_and_again_brings_the_file_further_each_time() {
    let mut world = World::start().await;
    world.set("download.max_attempts", "10");
    let object = bare(1);
    world.add("1", object.clone());
    world.cloud.script_oss(OssMatch::Any, OssFault::TruncateAt(300_000), u32::MAX);
    world.once(0).await;
    let reasons = [("failed", "network"), ("failed", "network"), ("failed", "network"), ("stored", "")];
    assert_eq!(pairs(&world.attempts("1").await), reasons);
    let calls = world.cloud.oss_calls();
    assert_eq!(calls.iter().map(|c| c.status).collect::<Vec<_>>(), [200, 206, 206, 206]);
    assert_eq!(calls.iter().map(|c| c.sent).sum::<u64>(), LARGE, "no byte comes twice");
    assert_all_stored(&world, [("1", &object)]).await;
}

#[tokio::test]
async fn a_body_that_stands_still_and_an_answer_that_never_comes_are_left_for_another_attempt() {
    let mut world = World::start().await;
    world.set("download.idle_timeout", "\"500ms\"");
    // A machine that stands still itself must not be taken for the store.
    world.set("download.max_attempts", "20");
    let tasks = [("stalled", large(1), OssFault::StallAt(BREAK)), ("silent", Object::csv(5), OssFault::Hang)];
    for (id, object, fault) in &tasks {
        world.add(id, object.clone());
        world.cloud.script_oss(OssMatch::Task((*id).to_owned()), fault.clone(), 1);
    }
    world.once(0).await;
    for (id, ..) in &tasks {
        let attempts = world.attempts(id).await;
        assert_eq!(pairs(&attempts)[0], ("failed", "network"), "{id}");
    }
    let words = world.texts("SELECT error FROM attempts WHERE attempt = 1 ORDER BY task_id").await;
    assert!(words[0].contains("no answer for 500 ms") && words[1].contains("no byte for 500 ms"), "{words:?}");
    assert_all_stored(&world, tasks.iter().map(|(id, object, _)| (*id, object))).await;
}
