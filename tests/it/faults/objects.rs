//! The object store on a bad day: what is published is the object, byte for byte, or nothing is.

mod bodies;
mod headers;
mod ranges;

use cloudsim::{Generated, Object, OssFault, OssMatch};

use crate::{
    common::{World, csv_path},
    downloads::{assert_published, pairs},
};

/// The length of a [`large`] file.
const LARGE: u64 = 1 << 20;
/// Where a large file breaks, when it breaks: past two blocks of the writer.
const BREAK: u64 = 600_000;

/// A file of which a part is there when its connection breaks.
fn large(seed: u64) -> Object {
    Object::generated(seed, LARGE, Generated::Csv)
}

/// The same without anything that would show other bytes in it: then only care keeps it whole.
fn bare(seed: u64) -> Object {
    large(seed).with_crc(false)
}

/// A refusal in the store's own words.
fn refusal(status: u16, code: &str) -> OssFault {
    let (code, message, ec) = (code.to_owned(), "It is refused.".to_owned(), "0002-00000069".to_owned());
    OssFault::Error { status, code, message, ec }
}

/// A task, its file, and what its requests meet one after the other.
struct Row {
    id: &'static str,
    object: Object,
    faults: Vec<OssFault>,
    reasons: Vec<&'static str>,
}

/// The requests of a task meet these faults, each once, and its attempts fail for these reasons.
fn row<const F: usize, const R: usize>(
    id: &'static str,
    object: Object,
    faults: [OssFault; F],
    reasons: [&'static str; R],
) -> Row {
    Row { id, object, faults: faults.into(), reasons: reasons.into() }
}

/// Every task is stored as the store has it, once, and nothing else is there.
async fn assert_all_stored(world: &World, tasks: impl IntoIterator<Item = (&str, &Object)>) {
    let mut wanted = Vec::new();
    for (id, object) in tasks {
        assert_eq!(world.state(id).await.as_deref(), Some("stored"), "{id}");
        assert_published(world, &csv_path(id), object);
        wanted.push(csv_path(id));
    }
    wanted.sort();
    assert_eq!(world.published(), wanted);
    assert_eq!(world.partials(), Vec::<std::path::PathBuf>::new());
    world.run(&["verify"]).await.expect(0);
    world.assert_sound().await;
}

/// One run is enough: each task fails as its row says, and is then stored.
async fn assert_mends(world: &World, rows: &[Row]) {
    for row in rows {
        world.add(row.id, row.object.clone());
        for fault in &row.faults {
            world.cloud.script_oss(OssMatch::Task(row.id.to_owned()), fault.clone(), 1);
        }
    }
    let run = world.once(0).await;
    for row in rows {
        let attempts = world.attempts(row.id).await;
        let mut wanted: Vec<_> = row.reasons.iter().map(|reason| ("failed", *reason)).collect();
        wanted.push(("stored", ""));
        assert_eq!(pairs(&attempts), wanted, "{}: {run}", row.id);
    }
    assert_eq!(world.cloud.faults_left(), (0, 0), "a fault was never met");
    assert_all_stored(world, rows.iter().map(|row| (row.id, &row.object))).await;
}

/// The last fault of each row never ends: each task fails as its row says until it is given up, without a trace. Once the
/// faults are lifted, every file is stored.
async fn assert_gives_up(world: &World, rows: &[Row]) {
    for row in rows {
        world.add(row.id, row.object.clone());
        for (i, fault) in row.faults.iter().enumerate() {
            let times = if i + 1 == row.faults.len() { u32::MAX } else { 1 };
            world.cloud.script_oss(OssMatch::Task(row.id.to_owned()), fault.clone(), times);
        }
    }
    let run = world.once(1).await;
    for row in rows {
        let mut wanted: Vec<_> = row.reasons.iter().map(|reason| ("failed", *reason)).collect();
        wanted.last_mut().unwrap().0 = "abandoned";
        assert_eq!(pairs(&world.attempts(row.id).await), wanted, "{}: {run}", row.id);
        let recorded = format!("SELECT state || ' ' || reason FROM downloads WHERE task_id = '{}'", row.id);
        let last = row.reasons.last().unwrap();
        assert_eq!(world.texts(&recorded).await, [format!("abandoned {last}")], "{}", row.id);
    }
    assert_eq!(world.published(), Vec::<String>::new(), "{run}");
    assert_eq!(world.partials(), Vec::<std::path::PathBuf>::new(), "{run}");
    world.cloud.clear_scripts();
    world.once(0).await;
    assert_all_stored(world, rows.iter().map(|row| (row.id, &row.object))).await;
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_file_is_given_up_with_its_reason_and_mended_when_it_ends() {
    let refused = |id, status, code, reason| {
        row(id, large(1), [OssFault::TruncateAt(BREAK), refusal(status, code)], ["network", reason, reason])
    };
    let world = World::start().await;
    let rows = [
        refused("denied", 403, "AccessDenied", "expired"),
        refused("gone", 404, "NoSuchKey", "gone"),
        refused("bad", 400, "InvalidArgument", "http"),
        refused("broken", 500, "InternalError", "http"),
        refused("busy", 503, "ServiceUnavailable", "http"),
    ];
    assert_gives_up(&world, &rows).await;
}

#[tokio::test]
async fn a_store_that_answers_with_errors_for_a_while_costs_attempts_and_no_byte_twice() {
    let world = World::start().await;
    let faults = [OssFault::TruncateAt(BREAK), refusal(503, "ServiceUnavailable")];
    assert_mends(&world, &[row("1", large(1), faults, ["network", "http"])]).await;
    let calls = world.cloud.oss_calls();
    let statuses: Vec<_> = calls.iter().map(|c| c.status).collect();
    assert_eq!(statuses, [200, 503, 206]);
    assert_eq!(calls[2].sent, LARGE - BREAK);
}
