//! Every write of a run is where it ends, or fails; the run after it comes to the same end.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use cloudsim::{Object, TaskSpec};
use jiff::{SignedDuration, Timestamp};
use nix::errno::Errno;

use super::{
    end::{assert_clean, end_of, is_at_rest},
    tracer::{Act, Point},
};
use crate::common::{DETAIL, MAIN, Run, World};

/// Runs that go on side by side.
const WORKERS: usize = 3;

/// What is written by every run in the same way.
const EVERY_RUN: [&str; 3] = ["usage.db", "usage.db-wal", "usage.db-journal"];

/// What a run finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scene {
    /// Nothing but a task: the database and the folders are made.
    Nothing,
    /// A stored task that has changed, one that is gone for the second time, one that failed, and two new ones.
    News,
}

/// A world that is set back before every run.
pub struct Bench {
    pub world: World,
    /// The state directory as every run finds it.
    template: Option<PathBuf>,
}

impl Bench {
    pub async fn start(scene: Scene) -> Self {
        // In memory, where there is such a folder: a kill does not take what the kernel has.
        let memory = Path::new("/dev/shm");
        let mut world = if memory.is_dir() { World::start_in(memory).await } else { World::start().await };
        // One after the other, so that every run makes the same calls in the same order.
        world.set("download.concurrency", "1");
        let add = |id: &str, task: TaskSpec| {
            world.cloud.add_task(MAIN, DETAIL, task.with_id(id).with_created_at(at(0)).with_updated_at(at(1)));
        };
        let file = |object| TaskSpec::default().with_object(object);
        if scene == Scene::Nothing {
            add("1", file(Object::csv(3)));
            return Self { world, template: None };
        }
        add("changed", file(Object::csv(3)));
        add("gone", file(Object::csv(4)));
        add("failing", TaskSpec::default().with_status("created"));
        world.once(0).await;
        assert!(world.cloud.remove_task(MAIN, DETAIL, "gone").is_some());
        world.once(0).await;
        let template = world.path().join("template");
        copy(&world.state_dir(), &template);
        add("changed", file(Object::csv(5)));
        world.update("changed", |task| *task = task.clone().with_updated_at(at(2)));
        world.update("failing", |task| *task = task.clone().with_status("failed").with_updated_at(at(2)));
        add("new-csv", file(Object::csv(6)));
        add("new-book", file(Object::xlsx("a workbook")));
        Self { world, template: Some(template) }
    }

    pub fn reset(&self) {
        let _ = fs::remove_dir_all(self.world.state_dir());
        if let Some(template) = &self.template {
            copy(template, &self.world.state_dir());
        }
    }

    /// Runs `once` and acts at the n-th write; returns the writes so far.
    async fn run(&self, nth: usize, act: impl Fn(&Point) -> Act + Send + 'static) -> (Run, Vec<Point>) {
        self.reset();
        let folder = self.world.state_dir();
        let points = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&points);
        let mut is_done = false;
        let run = self.world.trace(&["once"], move |call| {
            if is_done {
                return Act::Leave;
            }
            let Some(point) = call.point(&folder).filter(is_durable) else { return Act::Pass };
            let mut points = kept.lock().unwrap();
            is_done = points.len() == nth;
            let act = if is_done { act(&point) } else { Act::Pass };
            points.push(point);
            act
        });
        let run = run.await;
        let points = std::mem::take(&mut *points.lock().unwrap());
        (run, points)
    }
}

/// The index of the log is memory that happens to have a name: it is made anew from the log.
pub fn is_durable(point: &Point) -> bool {
    !point.path.ends_with("-shm")
}

fn at(hour: i64) -> Timestamp {
    let start: Timestamp = "2018-09-01T00:00:00Z".parse().unwrap();
    start.checked_add(SignedDuration::from_hours(hour)).unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// The writes at which something is done: all, but of a row of equal ones only the first and the last. What a kill between two
/// of them leaves differs in how many frames of one transaction are there. A first run differs from others in what it makes.
fn chosen(scene: Scene, points: &[Point]) -> BTreeSet<usize> {
    let same = |a: Option<usize>, b: usize| a.and_then(|a| points.get(a)) == points.get(b);
    let is_ours = |n: usize| scene == Scene::News || !EVERY_RUN.contains(&points[n].path.as_str());
    (0..points.len()).filter(|&n| is_ours(n) && (!same(n.checked_sub(1), n) || !same(Some(n + 1), n))).collect()
}

/// Does the same at every write, each in a run of its own, and has the next run put it right.
async fn at_every_write(scene: Scene, name: &str, act: fn(&Point) -> Act) {
    let reference = Bench::start(scene).await;
    let (run, points) = reference.run(usize::MAX, |_| Act::Pass).await;
    run.expect(0);
    assert_clean(&reference.world, "the whole run").await;
    let end = end_of(&reference.world).await;
    let chosen = chosen(scene, &points);
    eprintln!("{name}: {} writes, {} of them chosen", points.len(), chosen.len());
    let todo = Arc::new(Mutex::new(chosen.clone()));
    let work = async |bench: Bench| {
        let mut missed = Vec::new();
        loop {
            let Some(nth) = todo.lock().unwrap().pop_first() else { return missed };
            let (run, reached) = bench.run(nth, act).await;
            if reached.len() <= nth {
                missed.push(nth);
                continue;
            }
            let way = format!("{name} at write {nth}, {}: {run}", reached[nth]);
            assert!(!run.stderr.contains("panicked"), "{way}");
            // What ended well has nothing left to be put right, except that it may not have been able to close the database.
            let is_whole = run.status.code() == Some(0) && is_at_rest(&bench.world);
            let then = if is_whole { None } else { Some(bench.world.run(&["once"]).await) };
            let way = format!("{way}\nthen {then:?}");
            assert!(then.is_none_or(|then| then.status.code() == Some(0)), "{way}");
            assert_eq!(end_of(&bench.world).await, end, "{way}");
            assert_clean(&bench.world, &way).await;
            assert_eq!(bench.world.run(&["verify"]).await.status.code(), Some(0), "{way}");
        }
    };
    let mut benches = Vec::new();
    for _ in 0..WORKERS {
        benches.push(Bench::start(scene).await);
    }
    let missed = futures::future::join_all(benches.into_iter().map(work)).await.concat();
    assert!(missed.is_empty(), "the run ended before these writes of {}: {missed:?}", points.len());
}

fn kill_before(_: &Point) -> Act {
    Act::KillBefore
}

fn kill_after(_: &Point) -> Act {
    Act::KillAfter
}

/// A flush finds the disk broken, anything else finds it full.
pub fn fail(point: &Point) -> Act {
    Act::Fail(if point.call == "fsync" || point.call == "fdatasync" { Errno::EIO } else { Errno::ENOSPC })
}

pub fn fail_after(_: &Point) -> Act {
    Act::FailAfter(Errno::EIO)
}

#[tokio::test]
async fn a_kill_before_any_write_leads_to_the_same_end() {
    at_every_write(Scene::News, "killed before", kill_before).await;
}

#[tokio::test]
async fn a_kill_after_any_write_leads_to_the_same_end() {
    at_every_write(Scene::News, "killed after", kill_after).await;
}

#[tokio::test]
async fn a_write_that_fails_leads_to_the_same_end() {
    at_every_write(Scene::News, "not made and failed", fail).await;
}

#[tokio::test]
async fn a_write_that_is_made_and_reported_as_failed_leads_to_the_same_end() {
    at_every_write(Scene::News, "made and failed", fail_after).await;
}

#[tokio::test]
async fn a_first_run_that_is_cut_off_at_any_write_leaves_nothing_in_the_way_of_the_next() {
    for (name, act) in
        [("killed before", kill_before as fn(&Point) -> Act), ("killed after", kill_after), ("failed", fail)]
    {
        at_every_write(Scene::Nothing, name, act).await;
    }
}
