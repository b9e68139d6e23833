//! What it costs to see that everything is there: `gaps`, `calendar` and the status page, each with its processor time, for
//! ten accounts that have three years of days. Run with `cargo bench --bench completeness`.

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/processor.rs"]
mod processor;

use std::{
    fs,
    io::{self, Write as _},
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cdn_usaged::clock;
use cloudsim::{AccountSpec, CloudSim, Export, Object, TaskSpec};
use common::{Failed, Keys, configure, status};
use http::get;
use jiff::{SignedDuration, ToSpan as _, Zoned};
use processor::{children_cpu_s, cpu_so_far_s};

const ACCOUNTS: [Keys<'static>; 10] = [
    ("a0", "LTAIbench0", "secret-0"),
    ("a1", "LTAIbench1", "secret-1"),
    ("a2", "LTAIbench2", "secret-2"),
    ("a3", "LTAIbench3", "secret-3"),
    ("a4", "LTAIbench4", "secret-4"),
    ("a5", "LTAIbench5", "secret-5"),
    ("a6", "LTAIbench6", "secret-6"),
    ("a7", "LTAIbench7", "secret-7"),
    ("a8", "LTAIbench8", "secret-8"),
    ("a9", "LTAIbench9", "secret-9"),
];
const DAYS: i32 = 3 * 365;
/// Of so many days one has no task.
const LACKS_EVERY: i32 = 97;

/// How often each is done.
const TIMES: u32 = 40;
/// A page is shown again for some time, so that it is asked for at longer intervals; what the daemon does meanwhile counts.
const PAGES: u32 = 10;
const KEPT: Duration = Duration::from_secs(4);

const SECTIONS: &str = "[poll]\ninterval = '1h'\nidle_interval = '1h'\n[rate_limit]\ncalls_per_second = 100\nburst = 100\n\
    [download]\nallowed_networks = ['127.0.0.0/8']\nallow_http = true\n[log]\nformat = 'json'\n";
const HEALTHY_MAX: Duration = Duration::from_secs(60);

fn main() -> Result<(), Failed> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<(), Failed> {
    let mut out = io::stdout();
    let cloud = CloudSim::start().await?;
    let dir = tempfile::tempdir()?;
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let config =
        configure(dir.path(), &cloud.endpoint(), &format!("{SECTIONS}[http]\nlisten = '{listen}'\n"), &ACCOUNTS)?;
    let from = fill(&cloud, &dir.path().join("conf.d"))?;
    writeln!(out, "{} accounts with {DAYS} days each, from {from}", ACCOUNTS.len())?;
    // It says with 1 that something is overdue, which it is.
    run(&config, &["once"]).await?;
    for command in [["gaps"].as_slice(), &["gaps", "--json"], &["calendar"]] {
        let before = children_cpu_s()?;
        for _ in 0..TIMES {
            run(&config, command).await?;
        }
        said(&mut out, &command.join(" "), TIMES, children_cpu_s()? - before)?;
    }
    let daemon = Daemon(program(&config).arg("run").spawn()?);
    daemon.until_healthy(listen).await?;
    let pid = daemon.0.id();
    let before = cpu_so_far_s(pid)?;
    for _ in 0..PAGES {
        page(listen).await?;
        tokio::time::sleep(KEPT).await;
    }
    said(&mut out, "GET /", PAGES, cpu_so_far_s(pid)? - before)?;
    let kibibytes = status(pid, "VmHWM").ok_or("the daemon is gone")?;
    writeln!(out, "the daemon was resident with {} MiB at most", kibibytes.div_ceil(1024))?;
    Ok(())
}

fn said(out: &mut io::Stdout, what: &str, times: u32, seconds: f64) -> Result<(), Failed> {
    writeln!(out, "{what:<12} {:>5.1} ms of processor time, the mean of {times}", seconds * 1000.0 / f64::from(times))?;
    Ok(())
}

/// A task for nearly every day, and a file beside the configuration that expects each. Returns the first day.
fn fill(cloud: &CloudSim, parts: &Path) -> Result<jiff::civil::Date, Failed> {
    fs::create_dir(parts)?;
    let now = cloud.clock().now().in_tz("Asia/Shanghai")?;
    let from = now.date().checked_sub(DAYS.days())?;
    let mut text = String::new();
    for (name, id, secret) in ACCOUNTS {
        cloud.add_account(AccountSpec::new(id, secret));
        let tasks: Vec<_> =
            (0..DAYS).filter(|n| n % LACKS_EVERY != 0).map(|n| day(&now, from, n)).collect::<Result<_, _>>()?;
        cloud.add_tasks(id, Export::UsageDetail, tasks);
        text.push_str(&format!(
            "[[account]]\nname = '{name}'\n[[account.expect]]\nexport = 'usage-detail'\nwindow = 'day'\nfrom = '{from}'\n"
        ));
    }
    fs::write(parts.join("expect.toml"), text)?;
    Ok(from)
}

/// The task of a day, created in the morning after it.
fn day(now: &Zoned, from: jiff::civil::Date, n: i32) -> Result<TaskSpec, jiff::Error> {
    let begin = from.checked_add(n.days())?.to_zoned(now.time_zone().clone())?;
    let next = begin.checked_add(1.day())?;
    let range = (begin.timestamp(), next.timestamp() - SignedDuration::from_secs(1));
    let created = next.checked_add(1.hour())?.timestamp().min(now.timestamp());
    Ok(TaskSpec::default().with_range(range.0, range.1).with_created_at(created).with_object(Object::csv(1)))
}

fn program(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cdn-usaged"));
    command.env_clear().arg("--config").arg(config).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

async fn run(config: &Path, arguments: &[&str]) -> Result<(), Failed> {
    let mut command = program(config);
    command.args(arguments);
    let status = tokio::task::spawn_blocking(move || command.status()).await??;
    match status.code() {
        Some(0 | 1) => Ok(()),
        _ => Err(format!("the program ended with {status}").into()),
    }
}

/// The real program under way; ended when it is dropped.
struct Daemon(Child);

impl Daemon {
    async fn until_healthy(&self, listen: SocketAddr) -> Result<(), Failed> {
        let began = clock::instant();
        // Until its first sweeps are over, it is not only the page that costs something.
        while !get(listen, "/healthz").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200 ")) {
            if began.elapsed() > HEALTHY_MAX {
                return Err("the daemon does not get healthy".into());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn page(listen: SocketAddr) -> Result<(), Failed> {
    let answer = get(listen, "/").await?;
    if answer.starts_with("HTTP/1.1 200 ") && answer.contains("</html>") { Ok(()) } else { Err("no page".into()) }
}
