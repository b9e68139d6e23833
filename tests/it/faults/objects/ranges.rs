//! Resumed transfers: what is there already and what comes must be parts of one object.

use cloudsim::{EtagMode, Generated, Object, OssFault, OssMatch};

use super::{BREAK, LARGE, assert_all_stored, bare, large};
use crate::{
    common::World,
    downloads::{assert_published, pairs},
};

/// The statuses of the requests for a task's file, in their order.
fn statuses(world: &World, id: &str) -> Vec<u16> {
    world.cloud.oss_calls().iter().filter(|c| c.task_id.as_deref() == Some(id)).map(|c| c.status).collect()
}

fn of(id: &str) -> OssMatch {
    OssMatch::Task(id.to_owned())
}

#[tokio::test]
async fn a_range_that_is_answered_otherwise_costs_a_fresh_start_and_no_attempt() {
    let world = World::start().await;
    // No digest would show a splice: lengths and ranges have to.
    let object = bare(1);
    let rows = [
        ("whole", OssFault::IgnoreRange, vec![200, 200]),
        ("later", OssFault::ShiftRange(1), vec![200, 206, 200]),
        ("earlier", OssFault::ShiftRange(-1), vec![200, 206, 200]),
        ("total", OssFault::RangeTotal((LARGE + 1).to_string()), vec![200, 206, 200]),
        ("smaller", OssFault::RangeTotal((LARGE - 1).to_string()), vec![200, 206, 200]),
        ("unknown", OssFault::RangeTotal("*".to_owned()), vec![200, 206, 200]),
        ("unsaid", OssFault::NoContentRange, vec![200, 206, 200]),
        ("encoded", OssFault::Gzip, vec![200, 206, 200]),
    ];
    for (id, fault, _) in &rows {
        world.add(id, object.clone());
        world.cloud.script_oss(of(id), OssFault::TruncateAt(BREAK), 1);
        world.cloud.script_oss(OssMatch::All(vec![of(id), OssMatch::Ranged]), fault.clone(), 1);
    }
    let run = world.once(0).await;
    for (id, _, wanted) in &rows {
        assert_eq!(pairs(&world.attempts(id).await), [("failed", "network"), ("stored", "")], "{id}: {run}");
        assert_eq!(&statuses(&world, id), wanted, "{id}");
    }
    assert_all_stored(&world, rows.iter().map(|(id, ..)| (*id, &object))).await;
}

#[tokio::test]
async fn an_object_that_changed_between_two_attempts_is_fetched_from_its_first_byte() {
    let world = World::start().await;
    let other = |len| Object::generated(2, len, Generated::Csv).with_crc(false);
    let weak = EtagMode::Text("W/\"one\"".to_owned());
    let rows = [
        ("same-length", bare(1), other(LARGE), vec![200, 412, 200]),
        ("shorter", bare(1), other(BREAK / 2), vec![200, 412, 200]),
        ("longer", bare(1), other(2 * LARGE), vec![200, 412, 200]),
        ("with-digest", large(1), large(2), vec![200, 412, 200]),
        // What cannot be named is not asked for.
        ("no-etag", bare(1).with_etag(EtagMode::None), other(LARGE), vec![200, 200]),
        ("weak-etag", bare(1).with_etag(weak.clone()), other(LARGE).with_etag(weak), vec![200, 200]),
    ];
    for (id, before, after, _) in &rows {
        world.add(id, before.clone());
        world.cloud.script_oss(of(id), OssFault::TruncateAt(BREAK), 1);
        world.cloud.script_oss(of(id), OssFault::Replace(after.clone()), 1);
    }
    let run = world.once(0).await;
    for (id, _, _, wanted) in &rows {
        assert_eq!(pairs(&world.attempts(id).await), [("failed", "network"), ("stored", "")], "{id}: {run}");
        assert_eq!(&statuses(&world, id), wanted, "{id}");
    }
    for call in world.cloud.oss_calls() {
        assert_eq!(call.range.is_some(), call.if_match.is_some(), "{call:?}");
    }
    assert_all_stored(&world, rows.iter().map(|(id, _, after, _)| (*id, after))).await;
}

#[tokio::test]
async fn an_object_replaced_without_a_word_is_never_mixed_with_what_was_there() {
    let world = World::start().await;
    // The tag stays, so that the store finds nothing wrong: only the digest can tell.
    let tag = EtagMode::Text("\"the same\"".to_owned());
    let (before, after) = (large(1).with_etag(tag.clone()), large(2).with_etag(tag));
    world.add("1", before);
    world.cloud.script_oss(of("1"), OssFault::TruncateAt(BREAK), 1);
    world.cloud.script_oss(of("1"), OssFault::Replace(after.clone()), 1);
    world.once(0).await;
    let wanted = [("failed", "network"), ("failed", "integrity"), ("stored", "")];
    assert_eq!(pairs(&world.attempts("1").await), wanted);
    assert_eq!(statuses(&world, "1"), [200, 206, 200]);
    assert_published(&world, &crate::common::csv_path("1"), &after);
    assert_all_stored(&world, [("1", &after)]).await;
}
