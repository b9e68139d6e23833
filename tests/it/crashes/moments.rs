//! Single moments that the matrix does not come by.

use cloudsim::{Generated, Object, Order, OssFault, OssMatch, TaskSpec};
use nix::errno::Errno;

use super::{
    end::assert_clean,
    tracer::{Act, Call},
};
use crate::common::{DETAIL, MAIN, World, csv_path, until};

/// Fails the first flush of an unfinished file, and after that asks `then`.
fn fail_the_flush(
    folder: std::path::PathBuf,
    call: &'static str,
    mut then: impl FnMut(&Call, &str) -> Act,
) -> impl FnMut(&Call) -> Act {
    let mut failed = false;
    move |now| {
        let Some(point) = now.point(&folder) else { return Act::Pass };
        if failed {
            return then(now, &point.to_string());
        }
        failed = point.call == call && point.path.ends_with(".part");
        if failed { Act::Fail(Errno::EIO) } else { Act::Pass }
    }
}

#[tokio::test]
async fn a_file_whose_flush_failed_is_not_published_by_the_start_after_a_kill_but_fetched_again() {
    let world = World::start().await;
    world.add("1", Object::csv(5));
    // The failure never gets on record: the file looks whole, and a second flush would succeed.
    let kill = |_: &Call, point: &str| if point.ends_with("-wal") { Act::KillBefore } else { Act::Pass };
    let run = world.trace(&["once"], fail_the_flush(world.state_dir(), "fsync", kill)).await;
    assert_eq!(run.status.code(), None, "{run}");
    assert_eq!(world.state("1").await.as_deref(), Some("active"));
    world.once(0).await;
    assert_eq!(world.cloud.oss_calls().len(), 2, "bytes that the disk may have lost were published");
    assert_eq!(world.published(), [csv_path("1")]);
    assert_clean(&world, &run.to_string()).await;
}

#[tokio::test]
async fn a_partial_file_whose_flush_failed_is_not_resumed() {
    let world = World::start().await;
    let object = Object::generated(7, 1 << 20, Generated::Csv);
    world.add("1", object.clone());
    world.cloud.script_oss(OssMatch::Any, OssFault::ResetAt(700_000), 1);
    let flush = fail_the_flush(world.state_dir(), "fdatasync", |_, _| Act::Leave);
    let run = world.trace(&["once"], flush).await.expect(0);
    let ranges: Vec<_> = world.cloud.oss_calls().into_iter().map(|call| call.range).collect();
    assert_eq!(ranges, [None, None], "{run}");
    assert!(std::fs::read(world.file(&csv_path("1"))).unwrap() == object.body.to_bytes());
    assert_clean(&world, &run.to_string()).await;
}

#[tokio::test]
async fn what_is_behind_a_page_is_found_soon_although_the_poll_that_saw_the_page_was_killed() {
    let mut world = World::start().await;
    world.set("poll.page_size", "2");
    world.cloud.settings().set_order(Order::NewestFirst);
    let add = |hour: i64| {
        let created =
            "2018-09-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap() + jiff::SignedDuration::from_hours(hour);
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(hour.to_string()).with_created_at(created));
    };
    (1..=4).for_each(add);
    world.once(0).await;
    (5..=8).for_each(add);
    // It is said once it is committed, and then the process is gone.
    let news = |call: &Call| match call.said() {
        Some(line) if line.contains("task.transition") => Act::KillBefore,
        _ => Act::Pass,
    };
    let run = world.trace(&["run"], news).await;
    assert_eq!(run.status.code(), None, "{run}");
    assert_eq!(world.number("SELECT count(*) FROM tasks").await, 6, "{run}");
    let daemon = world.daemon().await;
    until("all tasks are known", async || world.number("SELECT count(*) FROM tasks").await == 8).await;
    daemon.stop().await;
    world.assert_sound().await;
}
