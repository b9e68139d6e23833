//! Kills at random moments, one run after another over the same folder, until everything is stored; then from the
//! beginning.
//!
//! A moment is a system call: the k-th one after the j-th line of a kind, both random. Wall-clock time would hardly ever
//! hit the microseconds between a flush and a rename. What a kill met is told by the lines that had been written by then.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use cloudsim::{Generated, Object, OssFault, OssMatch};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use super::{
    end::assert_clean,
    tracer::{Act, Call},
};
use crate::common::{Run, World};

/// Which moments are chosen; what is printed when the test fails.
const SEED: &str = "CDN_USAGED_CRASH_SEED";

/// Kills in all, and at least in each of the phases.
const KILLS: usize = 200;
const KILLS_IN_A_PHASE_MIN: usize = 20;

/// Folders that are worked on side by side.
const WORKERS: usize = 2;

/// Runs may end before their moment comes: when little is left to be done. So many runs, and something else is wrong.
const RUNS_MAX: usize = 3 * KILLS;

const TASKS: u64 = 40;

/// The lines that begin and end the phases.
const SWEEP_BEGINS: &str = "a full sweep begins";
const TRANSFER_BEGINS: &str = "a transfer begins";
const TRANSFER_ENDS: &str = "a transfer has ended";
const FLUSHED: &str = "a file is whole and flushed";
const NAMED: &str = "a file has its name";

/// Where a kill shall come: so many calls after the n-th line that has this in it.
#[derive(Debug, Clone, Copy)]
struct Moment {
    line: &'static str,
    nth: u32,
    calls: u32,
}

impl Moment {
    /// One in each of the phases, and one anywhere, in turn.
    fn random(turn: usize, random: &mut StdRng) -> Self {
        let (line, nth, calls) = match turn % 5 {
            0 => (SWEEP_BEGINS, 0..1, 0..150),
            1 => (TRANSFER_BEGINS, 0..8, 0..150),
            2 => (FLUSHED, 0..6, 0..6),
            3 => (NAMED, 0..6, 0..30),
            _ => ("", 0..1, 0..4_000),
        };
        Self { line, nth: random.random_range(nth), calls: random.random_range(calls) }
    }

    /// Looks at every call, and kills when the moment has come. A phase that ends with a certain call is not left.
    fn kill(self, folder: PathBuf) -> impl FnMut(&Call) -> Act + Send + 'static {
        let (mut met, mut left) = (0, if self.line.is_empty() { Some(self.calls) } else { None });
        // The file whose line it was, and whether its record has been written.
        let (mut file, mut is_recorded) = (String::new(), false);
        move |call| {
            if let Some(left) = &mut left {
                *left = left.saturating_sub(1);
                let ends = (self.line == FLUSHED && is_rename(call, &folder, &file))
                    || (self.line == NAMED && is_commit(call, &folder, &file, &mut is_recorded));
                return if *left == 0 || ends { Act::KillBefore } else { Act::Pass };
            }
            if let Some(line) = call.said().filter(|line| line.contains(self.line)) {
                met += 1;
                if met > self.nth {
                    left = Some(self.calls + 1);
                    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
                    let field = if self.line == NAMED { "path" } else { "partial" };
                    file = line[field].as_str().unwrap_or_default().to_owned();
                }
            }
            Act::Pass
        }
    }
}

fn is_rename(call: &Call, folder: &Path, partial: &str) -> bool {
    let name = Path::new(partial).file_name().unwrap_or_default().to_string_lossy().into_owned();
    call.point(folder).is_some_and(|p| p.call.starts_with("rename") && p.path.contains(&name))
}

fn is_commit(call: &Call, folder: &Path, path: &str, is_recorded: &mut bool) -> bool {
    let Some(point) = call.point(folder).filter(|p| p.path.ends_with("-wal")) else { return false };
    if point.call == "pwrite" {
        *is_recorded |= call.text().replace(&format!("\"path\":\"{path}\""), "").contains(path);
    }
    *is_recorded && point.call == "fsync"
}

/// What was under way when these lines were the last.
fn phases(run: &Run) -> BTreeSet<&'static str> {
    let mut open: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    for line in run.log() {
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        let message = field("message");
        let (begins, ends) = match (message.as_str(), line["event"].as_str()) {
            (SWEEP_BEGINS, _) => (Some(("during a sweep", field("listing"))), None),
            (TRANSFER_BEGINS, _) => (Some(("during a transfer", field("task"))), None),
            (TRANSFER_ENDS, _) => (None, Some(("during a transfer", field("task")))),
            (FLUSHED, _) => (Some(("between flush and rename", field("partial"))), None),
            (NAMED, _) => (
                Some(("between rename and commit", field("path"))),
                Some(("between flush and rename", field("partial"))),
            ),
            (_, Some("download.stored")) => (None, Some(("between rename and commit", field("path")))),
            (_, Some("poll.completed")) => {
                (None, Some(("during a sweep", format!("{}/{}", field("account"), field("export")))))
            }
            _ => (None, None),
        };
        if let Some((phase, what)) = ends {
            // What an earlier run began may end here.
            open.entry(phase).or_default().remove(&what);
        }
        if let Some((phase, what)) = begins {
            open.entry(phase).or_default().insert(what);
        }
    }
    open.into_iter().filter(|(_, what)| !what.is_empty()).map(|(phase, _)| phase).collect()
}

fn object(n: u64) -> Object {
    match n {
        // Some are large, and slow enough to be met by many kills.
        0 | 1 => Object::generated(n, 3 << 20, Generated::Csv),
        2..8 => Object::generated(n, 300_000 * n, Generated::Noise),
        8..12 => Object::zip(&format!("archive {n}")),
        12..16 => Object::xlsx(&format!("workbook {n}")),
        _ => Object::csv(n),
    }
}

async fn world() -> World {
    let memory = Path::new("/dev/shm");
    let mut world = if memory.is_dir() { World::start_in(memory).await } else { World::start().await };
    world.set("log.level", "\"debug\"");
    world.set("poll.page_size", "5");
    for n in 0..TASKS {
        world.add(&n.to_string(), object(n));
    }
    world.cloud.settings().set_latency(Duration::from_millis(2));
    world.cloud.settings().set_oss_latency(Duration::from_millis(2));
    for n in 0..8 {
        let slow = OssFault::Slow { bytes: 256 << 10, every: Duration::from_millis(2) };
        world.cloud.script_oss(OssMatch::Task(n.to_string()), slow, u32::MAX);
    }
    world
}

/// After a run that ended well: nothing is missing, twice, stuck or left over.
async fn assert_whole(world: &World, way: &str) {
    assert_clean(world, way).await;
    for of in ["transitions", "files", "attempts WHERE result = 'stored'"] {
        let count = world.number(&format!("SELECT count(*) FROM {of}")).await;
        assert_eq!(count, TASKS.cast_signed(), "{of}: {way}");
    }
    assert_eq!(world.published().len() as u64, TASKS, "{way}");
    for row in world.texts("SELECT json_array(task_id, path) FROM files").await {
        let (id, path): (String, String) = serde_json::from_str(&row).unwrap();
        let bytes = fs::read(world.file(&path)).unwrap();
        assert!(bytes == object(id.parse().unwrap()).body.to_bytes(), "{path} is another: {way}");
    }
}

#[tokio::test]
async fn two_hundred_kills_at_random_moments_lose_nothing_and_do_nothing_twice() {
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    eprintln!("{SEED}={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let moments: Vec<Moment> = (0..RUNS_MAX).map(|turn| Moment::random(turn, &mut random)).collect();
    let moments = Arc::new(Mutex::new(moments.into_iter()));
    let kills = Arc::new(Mutex::new(Vec::new()));
    let work = async || {
        let world = world().await;
        let mut wholes = 1;
        loop {
            let next = moments.lock().unwrap().next();
            let is_enough = kills.lock().unwrap().len() >= KILLS;
            let Some(moment) = next.filter(|_| !is_enough) else { break };
            let run = world.trace(&["once"], moment.kill(world.state_dir())).await;
            assert!(!run.stderr.contains("panicked"), "{moment:?}: {run}");
            match run.status.code() {
                None => kills.lock().unwrap().push(phases(&run)),
                Some(0) => {
                    assert_whole(&world, &format!("{moment:?}: {run}")).await;
                    fs::remove_dir_all(world.state_dir()).unwrap();
                    wholes += 1;
                }
                Some(_) => panic!("{moment:?}: {run}"),
            }
        }
        assert_whole(&world, &world.once(0).await.to_string()).await;
        world.run(&["verify"]).await.expect(0);
        wholes
    };
    let wholes: usize = futures::future::join_all((0..WORKERS).map(|_| work())).await.into_iter().sum();
    let kills = kills.lock().unwrap();
    let count = |phase| kills.iter().filter(|met| met.contains(phase)).count();
    let counts = ["during a sweep", "during a transfer", "between flush and rename", "between rename and commit"]
        .map(|phase| (phase, count(phase)));
    eprintln!("{} kills, {wholes} whole ends, {counts:?}", kills.len());
    assert!(kills.len() >= KILLS, "{} kills", kills.len());
    assert!(counts.iter().all(|(_, n)| *n >= KILLS_IN_A_PHASE_MIN), "{counts:?}");
}
