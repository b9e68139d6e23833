//! Writes that fail under a daemon, which goes on: what it believes of the database and of its files must be so.

use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    end::{assert_clean, end_of, is_at_rest},
    matrix::{Bench, Scene, fail, fail_after, is_durable},
    tracer::{Act, Call, Point},
};
use crate::common::{Run, World, until};

/// Daemons side by side. After a failure of the database one waits for seconds, and needs no processor for it.
const WORKERS: usize = 16;

async fn bench() -> Bench {
    let mut bench = Bench::start(Scene::News).await;
    // Every poll is a full sweep, and the second one hardly comes before everything is done.
    for (key, value) in [("full_sweep_interval", "1s"), ("interval", "1s"), ("idle_interval", "1s")] {
        bench.world.set(&format!("poll.{key}"), &format!("{value:?}"));
    }
    bench
}

/// Whether the daemon has nothing left to do.
async fn is_done(world: &World) -> bool {
    let left = "SELECT (SELECT count(*) FROM downloads WHERE state <> 'stored' OR recheck OR active_since IS NOT NULL)
        + 4 - (SELECT count(*) FROM downloads) + (SELECT count(*) FROM tasks WHERE task_id = 'gone' AND unlisted_at IS NULL)";
    world.number(left).await == 0
}

/// What a decision was made about, once the daemon is ready.
fn once_ready(
    folder: PathBuf,
    mut decide: impl FnMut(Point) -> Act + Send + 'static,
) -> impl FnMut(&Call) -> Act + Send + 'static {
    let mut is_ready = false;
    move |call| {
        is_ready = is_ready || call.said().is_some_and(|line| line.contains("daemon.ready"));
        match call.point(&folder).filter(|p| is_ready && is_durable(p)) {
            Some(point) => decide(point),
            None => Act::Pass,
        }
    }
}

/// Runs the daemon until everything is done, and stops it.
async fn run(bench: &Bench, decide: impl FnMut(Point) -> Act + Send + 'static) -> Run {
    bench.reset();
    let world = &bench.world;
    let stop = async {
        let said = world.path().join("traced.err");
        until("the daemon is ready", async || {
            fs::read_to_string(&said).is_ok_and(|text| text.contains("daemon.ready"))
        })
        .await;
        until("everything is done", async || is_done(world).await).await;
        let pid = fs::read_to_string(world.state_dir().join("lock")).unwrap();
        kill_process(Pid::from_raw(pid.trim().parse().unwrap()).unwrap(), Signal::TERM).unwrap();
    };
    let _ = fs::remove_file(world.path().join("traced.err"));
    futures::future::join(world.trace(&["run"], once_ready(world.state_dir(), decide)), stop).await.0
}

/// The writes that fail: flushes, renames, and what begins or ends a row of writes.
fn chosen(points: &[Point]) -> BTreeSet<usize> {
    let is_first = |n: usize| n == 0 || points[n - 1] != points[n];
    (0..points.len()).filter(|&n| is_first(n)).collect()
}

async fn at_every_write(name: &str, act: fn(&Point) -> Act) {
    let reference = bench().await;
    let points = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&points);
    let watch = move |point| {
        kept.lock().unwrap().push(point);
        Act::Pass
    };
    run(&reference, watch).await.expect(0);
    assert_clean(&reference.world, "the whole run").await;
    let end = end_of(&reference.world).await;
    let points = std::mem::take(&mut *points.lock().unwrap());
    // What comes with the stop is what comes with every end of `once`.
    let stopped = points.iter().rposition(|p| p.path.ends_with("-wal")).unwrap();
    let chosen = chosen(&points[..stopped]);
    eprintln!("{name}: {} writes, {} of them chosen", points.len(), chosen.len());
    let todo = Arc::new(Mutex::new(chosen));
    let work = async |bench: Bench| {
        loop {
            let Some(nth) = todo.lock().unwrap().pop_first() else { return };
            let (mut seen, failed) = (0, Arc::new(Mutex::new(None)));
            let which = Arc::clone(&failed);
            let decide = move |point: Point| {
                seen += 1;
                if seen <= nth {
                    return Act::Pass;
                }
                if seen > nth + 1 {
                    return Act::Leave;
                }
                let act = act(&point);
                *which.lock().unwrap() = Some(point);
                act
            };
            let run = run(&bench, decide).await;
            let failed = failed.lock().unwrap().take();
            let way = format!("{name} at write {nth}, {failed:?}: {run}");
            assert!(failed.is_some() && run.status.code() == Some(0) && !run.stderr.contains("panicked"), "{way}");
            if !is_at_rest(&bench.world) {
                bench.world.once(0).await;
            }
            assert_eq!(end_of(&bench.world).await, end, "{way}");
            assert_clean(&bench.world, &way).await;
        }
    };
    let mut benches = Vec::new();
    for _ in 0..WORKERS {
        benches.push(bench().await);
    }
    futures::future::join_all(benches.into_iter().map(work)).await;
}

#[tokio::test]
async fn a_write_that_fails_under_a_daemon_leads_to_the_same_end_without_a_restart() {
    at_every_write("not made and failed", fail).await;
}

#[tokio::test]
async fn a_write_that_is_made_and_reported_as_failed_leads_a_daemon_to_the_same_end() {
    at_every_write("made and failed", fail_after).await;
}
