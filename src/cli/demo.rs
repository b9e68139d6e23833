//! `demo`: the whole job against a simulated cloud in this very process, in a folder of its own.

mod narrator;
mod scene;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cloudsim::CloudSim;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{Failure, args::DemoArgs, output::Out, progress::Bars, tasks};
use crate::{
    assembly::{Assembly, World},
    clock,
    config::{Config, Environment},
    egress::Surroundings,
    fetch::{Area, Condition, Mode},
    observer::{Nobody, Observer},
    store::{Lock, Store, TaskFilter},
};

/// The demonstration ends by itself: its scene takes some ten seconds, and this is the bound on a slow machine.
const ENDS_WITHIN: Duration = Duration::from_secs(18);
/// The pause between two polls of a listing.
const POLL_EVERY: Duration = Duration::from_millis(400);

/// Runs the command.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let bars = Bars::new();
    let narrator = narrator::Narrator::new(bars.clone());
    tracing_subscriber::registry().with(narrator.layer()).try_init().map_err(Failure::other)?;
    // The cloud and the program that reads it do not wait for each other.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(play(args, &bars, &narrator))
}

async fn play(args: &DemoArgs, bars: &Bars, narrator: &narrator::Narrator) -> Result<(), Failure> {
    let dir = folder(args.dir.as_deref())?;
    let cloud = CloudSim::start().await?;
    let tasks = scene::set(&cloud);
    let config_path = write_config(&dir, &cloud)?;
    let environment = Environment::process();
    let config = Config::load(&config_path, &environment)?;
    narrator.say(&format!(
        "a simulated cloud runs at {}: 2 accounts, 3 listings, {tasks} export tasks on their way",
        cloud.endpoint()
    ));
    let _lock = Lock::take(&config.storage.state_dir)?;
    let area = Area::open(&config.storage.download_dir)?;
    let store = Store::open(&config.storage.state_dir).await?;
    let world = World {
        config: &config,
        environment: &environment,
        surroundings: Surroundings::Loopback,
        store: &store,
        observer: &(Arc::new(Nobody) as Arc<dyn Observer>),
    };
    let assembly = Assembly::new(&world, area.clone(), Mode::Once).await?;
    let finished = timeout(ENDS_WITHIN, work(&assembly, tasks, bars)).await;
    bars.clear();
    drop(assembly);
    let outcome = match finished {
        Ok(done) => done,
        Err(_) => Err(Failure::other(format!("the demonstration did not end within {} s", ENDS_WITHIN.as_secs()))),
    };
    let shown = show(&config, &config_path, &store, &area, narrator).await;
    store.close().await;
    outcome.and(shown)
}

/// Polls and downloads until every task has been seen to its end.
async fn work(assembly: &Assembly, tasks: usize, bars: &Bars) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let _stop_at_the_end = stop.clone().drop_guard();
    let queue = Arc::clone(&assembly.queue);
    let mut transfers = JoinSet::new();
    transfers.spawn({
        let (queue, stop) = (Arc::clone(&queue), stop.clone());
        async move { queue.run(&stop).await }
    });
    let polls = async {
        loop {
            for poller in assembly.pollers() {
                poller.full_sweep(None, &stop).await.map_err(Failure::other)?;
            }
            if is_over(&queue.store, assembly, tasks).await? {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    tokio::select! {
        done = polls => done,
        () = bars.follow(&queue.board) => Ok(()),
        Some(ended) = transfers.join_next() => match ended {
            Ok(Err(e)) => Err(Failure::other(e)),
            Ok(Ok(())) => Err(Failure::other("the queue ended early")),
            Err(e) => Err(Failure::other(e)),
        },
    }
}

async fn is_over(store: &Store, assembly: &Assembly, tasks: usize) -> Result<bool, Failure> {
    let mut finished = 0;
    for status in ["success", "failed"] {
        let filter = TaskFilter { status: Some(status.to_owned()), ..TaskFilter::default() };
        finished += store.tasks(&filter, u64::MAX, 0).await?.len();
    }
    Ok(finished == tasks && store.undelivered(&assembly.queue.settings().listings).await? == 0)
}

/// What came of it: every task, every file hashed once more, and where to look.
async fn show(
    config: &Config,
    config_path: &Path,
    store: &Store,
    area: &Area,
    narrator: &narrator::Narrator,
) -> Result<(), Failure> {
    let (mut whole, files) = (0, store.files_after(0, u64::MAX).await?);
    for file in &files {
        let bytes = u64::try_from(file.bytes).unwrap_or(0);
        match area.condition(&file.path, bytes, &file.sha256).await {
            Condition::Whole => whole += 1,
            Condition::Missing | Condition::Damaged(_) => {
                narrator.say(&format!("{} is not as it was published", file.path));
            }
        }
    }
    let mut out = Out::new();
    out.line("")?;
    tasks::print(&mut out, store, config, &TaskFilter::default(), false).await?;
    out.line("")?;
    out.line(&format!("{whole} of {} files hashed once more: as they were published", files.len()))?;
    out.line(&format!("files:    {}", area.root().display()))?;
    out.line(&format!("database: {}", store.path().display()))?;
    let program = std::env::args().next().unwrap_or_else(|| "cdn-usaged".to_owned());
    out.line(&format!("look around with: {program} --config {} history 1001", config_path.display()))?;
    out.finish()?;
    if whole == files.len() { Ok(()) } else { Err(Failure::silent()) }
}

/// A fresh folder below the temporary one, or the one that was named.
fn folder(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let dir = match named {
        Some(dir) => std::path::absolute(dir)?,
        None => std::env::temp_dir().join(format!(
            "cdn-usaged-demo-{}-{:08x}",
            clock::now().as_second(),
            rand::random::<u32>()
        )),
    };
    if dir.join("config.toml").exists() {
        return Err(Failure::usage(format!("{} holds an earlier demonstration; name another folder", dir.display())));
    }
    let make = |path: &Path| fs::DirBuilder::new().recursive(true).mode(0o750).create(path);
    let folders = [dir.join("keys"), dir.join("state")];
    folders
        .iter()
        .try_for_each(|f| make(f))
        .map_err(|e| Failure::other(format!("cannot make {}: {e}; name another folder with --dir", dir.display())))?;
    Ok(dir)
}

/// Writes the configuration that a real account would have, but for the simulated addresses.
fn write_config(dir: &Path, cloud: &CloudSim) -> Result<PathBuf, Failure> {
    let keys = dir.join("keys");
    for (name, secret) in scene::KEYS {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(keys.join(name))?;
        writeln!(file, "{secret}")?;
    }
    let path = dir.join("config.toml");
    fs::write(&path, scene::config(dir, &cloud.endpoint()))?;
    Ok(path)
}
