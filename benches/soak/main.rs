//! The daemon for half an hour at a hundred times the usual pace, with something going wrong all the time: resident
//! memory, descriptors and threads have to stay flat, and the database in proportion to what it records.
//!
//! ```text
//! cargo bench --bench soak                    # 30 minutes
//! CDN_USAGED_SOAK_MINUTES=3 cargo bench --bench soak
//! ```
//!
//! It prints a line every half minute and a table at the end, and fails when a file is missing, something is recorded
//! twice, or one of the figures grows. `CDN_USAGED_SOAK_SEED` repeats a series of faults.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/database.rs"]
mod database;
mod faults;
mod figures;
#[path = "../common/http.rs"]
mod http;

use std::{
    fs,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use cdn_usaged::clock;
use cloudsim::{AccountSpec, CloudSim, Export, Generated, Object, TaskSpec};
use common::{Failed, Keys, configure};
use figures::Figures;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

const ACCOUNTS: [Keys<'static>; 3] = [
    ("one", "LTAIsoakone", "soak-secret-of-one"),
    ("two", "LTAIsoaktwo", "soak-secret-of-two"),
    ("three", "LTAIsoakthree", "soak-secret-of-three"),
];

/// A hundred times the usual pace and more. The link is good for less than some downloads have to wait.
const SECTIONS: &str = "[poll]\ninterval = '300ms'\nidle_interval = '1s'\nfull_sweep_interval = '3s'\n\
    request_timeout = '2s'\n[rate_limit]\ncalls_per_second = 100\nburst = 20\n\
    [retry]\nbase = '20ms'\nmax = '1s'\ncall_attempts = 4\n\
    [download]\nmax_attempts = 6\nidle_timeout = '1s'\nallowed_networks = ['127.0.0.0/8']\nallow_http = true\n\
    [log]\nlevel = 'debug'\nformat = 'json'\n";
const LINK_LIFETIME: Duration = Duration::from_secs(20);

/// One round: some faults, some news, a look.
const ROUND: Duration = Duration::from_millis(500);
const ROUNDS_A_LINE: u32 = 60;
/// With this much news every round, and so much less listed than there ever was.
const NEW_TASKS: u32 = 2;
/// Reached within the first quarter of half an hour, which is for warming up: until then a sweep has more to read each time.
const LISTED_MAX: usize = 500;

/// All faults being over, everything is there long before this.
const SETTLE_MAX: Duration = Duration::from_secs(120);

fn main() -> Result<(), Failed> {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => text.parse::<u64>().map_err(|e| format!("{name}: {e}")),
        Err(_) => Ok(default),
    };
    let minutes = number("CDN_USAGED_SOAK_MINUTES", 30)?;
    let seed = number("CDN_USAGED_SOAK_SEED", rand::random::<u32>().into())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(soak(Duration::from_secs(minutes * 60), seed))
}

async fn soak(long: Duration, seed: u64) -> Result<(), Failed> {
    let mut out = io::stdout();
    writeln!(out, "seed {seed}, {} minutes", long.as_secs() / 60)?;
    let cloud = CloudSim::start().await?;
    cloud.settings().set_link_lifetime(LINK_LIFETIME);
    cloud.settings().set_throttle_every(Some(97));
    for (_, id, secret) in ACCOUNTS {
        cloud.add_account(AccountSpec::new(id, secret));
    }
    let dir = tempfile::tempdir()?;
    let daemon = Daemon::start(dir.path(), &cloud)?;
    let mut random = StdRng::seed_from_u64(seed);
    let (began, mut figures, mut round) = (clock::instant(), Figures::new(&daemon), 0);
    while began.elapsed() < long {
        faults::happen(&cloud, &mut random);
        news(&cloud, &mut random);
        // Nothing of this process may be what fills the machine.
        cloud.clear_history();
        tokio::time::sleep(ROUND).await;
        figures.look().await?;
        round += 1;
        if round % ROUNDS_A_LINE == 0 {
            writeln!(out, "{:>5} s  {}", began.elapsed().as_secs(), figures.line())?;
            daemon.scrape().await?;
            daemon.reload()?;
        }
    }
    faults::end(&cloud);
    let missing = daemon.settle(&cloud).await?;
    figures.look().await?;
    daemon.stop()?;
    writeln!(out, "{}", figures.table())?;
    if missing > 0 {
        return Err(format!("{missing} files of listed tasks are not there").into());
    }
    figures.judge()
}

/// New tasks, a restated one, and those that leave the listing.
fn news(cloud: &CloudSim, random: &mut StdRng) {
    for (_, id, _) in ACCOUNTS {
        for _ in 0..random.random_range(0..=NEW_TASKS) {
            let bytes = if random.random_bool(0.02) { 4 << 20 } else { random.random_range(100..50_000) };
            let object = Object::generated(random.random(), bytes, Generated::Csv);
            let after = Duration::from_millis(random.random_range(0..3000));
            let task = TaskSpec::default().with_object(object).with_success_after(after);
            cloud.add_task(id, Export::UsageDetail, task);
        }
        let tasks = cloud.tasks(id, Export::UsageDetail);
        if tasks.len() > LISTED_MAX {
            cloud.remove_task(id, Export::UsageDetail, &tasks[0].0);
        }
        if random.random_bool(0.1) && !tasks.is_empty() {
            let (task, _) = &tasks[random.random_range(0..tasks.len())];
            let object = Object::generated(random.random(), 20_000, Generated::Csv);
            let now = cloud.clock().now();
            cloud.update_task(id, Export::UsageDetail, task, |spec| {
                spec.object = object;
                spec.updated_at = Some(now);
            });
        }
    }
}

/// The real program under way; ended when it is dropped.
struct Daemon {
    child: Child,
    config: PathBuf,
    database: PathBuf,
    /// Where it serves its metrics.
    listen: SocketAddr,
}

impl Daemon {
    fn start(dir: &Path, cloud: &CloudSim) -> Result<Self, Failed> {
        let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let sections = format!("{SECTIONS}[http]\nlisten = '{listen}'\n");
        let config = configure(dir, &cloud.endpoint(), &sections, &ACCOUNTS)?;
        let log = fs::File::create(dir.join("log"))?;
        let child = Self::command(&config, "run").stderr(log).spawn()?;
        Ok(Self { child, config, database: dir.join("state/usage.db"), listen })
    }

    fn command(config: &Path, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cdn-usaged"));
        command.env_clear().arg("--config").arg(config).arg(name);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn signal(&self, signal: rustix::process::Signal) -> Result<(), Failed> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    fn reload(&self) -> Result<(), Failed> {
        self.signal(rustix::process::Signal::HUP)
    }

    /// Asks for its metrics, as a monitoring system does all the time.
    async fn scrape(&self) -> Result<(), Failed> {
        let answer = http::get(self.listen, "/metrics").await?;
        if answer.contains("cdn_usaged_build_info") { Ok(()) } else { Err("there are no metrics".into()) }
    }

    /// Waits until every listed task is stored, and says how many never were.
    async fn settle(&self, cloud: &CloudSim) -> Result<i64, Failed> {
        let began = clock::instant();
        loop {
            let mut missing = 0;
            for (name, id, _) in ACCOUNTS {
                let listed = i64::try_from(cloud.task_count(id, Export::UsageDetail))?;
                let stored = database::number(
                    &self.database,
                    &format!(
                        "SELECT count(*) FROM tasks NATURAL JOIN downloads WHERE account = '{name}'
                            AND unlisted_at IS NULL AND state = 'stored'"
                    ),
                )
                .await?;
                missing += (listed - stored).max(0);
            }
            if missing == 0 || began.elapsed() > SETTLE_MAX {
                return Ok(missing);
            }
            tokio::time::sleep(ROUND).await;
        }
    }

    /// Ends it, and has it look at its files once more.
    fn stop(mut self) -> Result<(), Failed> {
        self.signal(rustix::process::Signal::TERM)?;
        let ended = self.child.wait()?;
        let verified = Self::command(&self.config, "verify").status()?;
        if ended.success() && verified.success() {
            return Ok(());
        }
        Err(format!("the daemon ended with {ended}, verify with {verified}").into())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
