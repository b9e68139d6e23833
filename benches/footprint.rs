//! What `once` takes of the machine: resident memory and time for a sweep of 100,000 tasks under the rate limit, and for
//! one file of 1 GiB. Run with `cargo bench --bench footprint`; figures are of this machine, and ratios are what to
//! quote.

mod common;

use std::{
    io::{self, Write as _},
    process::{Child, Command, Stdio},
    time::Duration,
};

use cdn_usaged::clock;
use cloudsim::{AccountSpec, CloudSim, Export, Generated, Object, TaskSpec};
use common::{Failed, configure, status};

const KEY_ID: &str = "LTAIfootprint";
const SECRET: &str = "footprint-secret";
const TASKS: u32 = 100_000;
const PAGE: u32 = 50;
const CALLS_PER_SECOND: u32 = 100;
/// The longest that a run may take before it is ended.
const RUN_MAX: Duration = Duration::from_secs(300);

fn main() -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut out = io::stdout();
    let sweep = runtime.block_on(sweep())?;
    let pages = f64::from(TASKS.div_ceil(PAGE) + 2);
    let limit = pages / f64::from(CALLS_PER_SECOND);
    writeln!(
        out,
        "sweep of {TASKS} tasks: {:.1} MiB resident at most; {:.2} s, {:.3} x the {limit:.2} s of its rate limit",
        sweep.mebibytes,
        sweep.seconds,
        sweep.seconds / limit
    )?;
    let file = runtime.block_on(file())?;
    writeln!(out, "one file of 1 GiB: {:.1} MiB resident at most; {:.2} s", file.mebibytes, file.seconds)?;
    Ok(())
}

struct Taken {
    mebibytes: f64,
    seconds: f64,
}

async fn sweep() -> Result<Taken, Failed> {
    let cloud = CloudSim::start().await?;
    cloud.add_account(AccountSpec::new(KEY_ID, SECRET));
    cloud.add_tasks(KEY_ID, Export::UsageDetail, (0..TASKS).map(|_| TaskSpec::default().with_status("failed")));
    once(&cloud).await
}

async fn file() -> Result<Taken, Failed> {
    let cloud = CloudSim::start().await?;
    cloud.add_account(AccountSpec::new(KEY_ID, SECRET));
    let object = Object::generated(7, 1024 * 1024 * 1024, Generated::Noise);
    cloud.add_task(KEY_ID, Export::UsageDetail, TaskSpec::default().with_object(object));
    once(&cloud).await
}

fn mebibytes(kibibytes: u64) -> f64 {
    f64::from(u32::try_from(kibibytes).unwrap_or(u32::MAX)) / 1024.0
}

/// One run of the program in a fresh folder.
async fn once(cloud: &CloudSim) -> Result<Taken, Failed> {
    let dir = tempfile::tempdir()?;
    let sections = format!(
        "[rate_limit]\ncalls_per_second = {CALLS_PER_SECOND}\n\
         [download]\nallowed_networks = ['127.0.0.0/8']\nallow_http = true\n[log]\nformat = 'json'\n"
    );
    let config = configure(dir.path(), &cloud.endpoint(), &sections, &[("main", KEY_ID, SECRET)])?;
    let child = Command::new(env!("CARGO_BIN_EXE_cdn-usaged"))
        .env_clear()
        .args(["--config".as_ref(), config.as_os_str(), "once".as_ref()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    tokio::task::spawn_blocking(move || watch(child)).await?
}

/// Looks at the child until it ends: the kernel keeps the peak of its resident memory.
fn watch(mut child: Child) -> Result<Taken, Failed> {
    let began = clock::instant();
    let mut kibibytes = 0;
    loop {
        kibibytes = status(child.id(), "VmHWM").unwrap_or(kibibytes);
        if let Some(ended) = child.try_wait()? {
            let seconds = began.elapsed().as_secs_f64();
            return if ended.success() {
                Ok(Taken { mebibytes: mebibytes(kibibytes), seconds })
            } else {
                Err(format!("the run ended with {ended}").into())
            };
        }
        if began.elapsed() > RUN_MAX {
            child.kill()?;
            child.wait()?;
            return Err("the run took too long".into());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
