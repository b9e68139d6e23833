//! What all rows share: the server, fresh folders, the program, databases that are full already, and the peers.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    time::Duration,
};

use cdn_usaged::clock;
use rustix::{
    fs::{FlockOperation, flock},
    process::Signal,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, sqlite::SqliteConnectOptions};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    common::{Failed, Keys, configure},
    database::number,
    listing::Listing,
    measure::{Taken, run_while, signal},
    server::Server,
};

/// How the folders of all runs are called, and what shows that one is in use.
const PREFIX: &str = "peers-";
const LOCK: &str = "lock";
const SECRET: &str = "benchmark-secret";
/// What the configuration permits at most.
const CALLS_PER_SECOND_MAX: u32 = 100_000;
/// Whatever is waited for is there long before.
const WAIT_MAX: Duration = Duration::from_secs(240);

/// What a row may change of the program's configuration.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    pub poll: &'a str,
    pub calls_per_second: u32,
    pub burst: u32,
    pub download: &'a str,
    pub accounts: usize,
    pub tls: bool,
}

/// Nothing holds it up.
pub const LIFTED: Settings<'_> = Settings {
    poll: "",
    calls_per_second: CALLS_PER_SECOND_MAX,
    burst: 1000,
    download: "concurrency = 8",
    accounts: 1,
    tls: false,
};
/// One download at a time, and that one hangs: what is measured is the listing.
pub const LISTING_ONLY: Settings<'_> = Settings { download: "concurrency = 1\nidle_timeout = '10m'", ..LIFTED };

pub struct World {
    pub server: Server,
    pub runs: usize,
    /// The program that is measured.
    pub binary: PathBuf,
    /// A Python with the official SDK.
    pub python: Option<PathBuf>,
    runtime: Runtime,
    folders: Cell<u32>,
    full: RefCell<BTreeMap<&'static str, PathBuf>>,
    /// Shows that the folder is in use.
    _lock: File,
    /// Last, so that it goes when nobody serves from it any more.
    scratch: TempDir,
}

impl World {
    pub fn new(runs: usize, binary: PathBuf, python: Option<PathBuf>, with_large: bool) -> Result<Self, Failed> {
        // Beside what is built: a real disk, whatever /tmp is.
        let beside = Path::new(env!("CARGO_TARGET_TMPDIR"));
        remove_left_behind(beside)?;
        let scratch = tempfile::Builder::new().prefix(PREFIX).tempdir_in(beside)?;
        let lock = File::create(scratch.path().join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        let server = Server::start(scratch.path(), with_large)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (folders, full) = (Cell::default(), RefCell::default());
        Ok(Self { server, runs, binary, python, runtime, folders, full, _lock: lock, scratch })
    }

    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A folder that nobody has used.
    pub fn fresh(&self) -> Result<PathBuf, Failed> {
        self.folders.set(self.folders.get() + 1);
        let folder = self.scratch().join(self.folders.get().to_string());
        fs::create_dir(&folder)?;
        Ok(folder)
    }

    /// Waits until what was written so far is on the disk, so that no run pays for the one before it.
    pub fn settle(&self) -> Result<(), Failed> {
        rustix::fs::syncfs(File::open(self.scratch())?)?;
        Ok(())
    }

    /// The program in a fresh folder.
    pub fn ours(&self, listing: &Listing, settings: &Settings<'_>) -> Result<Ours, Failed> {
        self.server.serve(listing, settings.tls)?;
        let dir = self.fresh()?;
        let (endpoint, tls) = if settings.tls {
            let ca = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/ca.pem");
            (format!("https://{}", self.server.tls), format!("[tls]\nca_file = '{}'\n", ca.display()))
        } else {
            (format!("http://{}", self.server.http), String::new())
        };
        let Settings { poll, calls_per_second, burst, download, accounts, .. } = settings;
        let sections = format!(
            "[poll]\n{poll}\n[rate_limit]\ncalls_per_second = {calls_per_second}\nburst = {burst}\n[download]\n{download}\n\
             allowed_networks = ['127.0.0.0/8']\nallow_http = true\n[log]\nformat = 'json'\n{tls}"
        );
        let names: Vec<String> =
            (0..*accounts).map(|n| if n == 0 { "main".to_owned() } else { format!("a{n}") }).collect();
        let accounts: Vec<Keys<'_>> = names.iter().map(|name| (name.as_str(), listing.key_id, SECRET)).collect();
        let config = configure(&dir, &endpoint, &sections, &accounts)?;
        Ok(Ours { binary: self.binary.clone(), dir, config })
    }

    /// The program in a fresh folder, with a database that has seen a listing and fetched all files of it.
    pub fn ours_after(&self, seen: &Listing, now: &Listing, settings: &Settings<'_>) -> Result<Ours, Failed> {
        let full = self.full(seen)?;
        let ours = self.ours(now, settings)?;
        fs::create_dir(ours.dir.join("state"))?;
        fs::copy(full, ours.database())?;
        Ok(ours)
    }

    /// A database that has seen a listing. That its files were fetched too is written into it: a hundred thousand downloads
    /// are not what is measured.
    pub fn full(&self, listing: &Listing) -> Result<PathBuf, Failed> {
        if let Some(there) = self.full.borrow().get(listing.key_id) {
            return Ok(there.clone());
        }
        let ours = self.ours(listing, &LISTING_ONLY)?;
        self.sweep(&ours, listing)?;
        self.runtime.block_on(async {
            let mut db = SqliteConnectOptions::new().filename(ours.database()).connect().await?;
            for statement in FETCHED {
                db.execute(*statement).await?;
            }
            db.close().await
        })?;
        self.full.borrow_mut().insert(listing.key_id, ours.database());
        Ok(ours.database())
    }

    /// One sweep of a listing, and the program's end.
    pub fn sweep(&self, ours: &Ours, listing: &Listing) -> Result<Taken, Failed> {
        let database = ours.database();
        let swept = "SELECT count(*) FROM listings WHERE last_consistent_sweep_at IS NOT NULL";
        let stop = |child: &std::process::Child| {
            self.until("the sweep has ended", || {
                database.exists() && self.number(&database, swept).is_ok_and(|n| n == 1)
            })?;
            signal(child.id(), Signal::TERM)
        };
        // A run that is cut off has left a download undone, if there was any, and says so by its status.
        let taken = run_while(&mut ours.command("once"), stop, |ended| matches!(ended.code(), Some(0 | 1)))?;
        self.server.forget_stalled();
        let tasks = self.number(&database, "SELECT count(*) FROM tasks")?;
        if tasks != i64::from(listing.tasks) {
            return Err(format!("{tasks} tasks are recorded, not {}", listing.tasks).into());
        }
        Ok(taken)
    }

    /// One whole run, which has to be a success.
    pub fn once(&self, ours: &Ours) -> Result<Taken, Failed> {
        run_while(&mut ours.command("once"), |_| Ok(()), ExitStatus::success)
    }

    /// The official SDK, reading every page of a listing.
    pub fn sdk(&self, python: &Path, listing: &Listing) -> Command {
        let mut command = peer(python);
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/list.py");
        command.arg(script).arg(self.server.http.to_string()).args([listing.key_id, SECRET]);
        command
    }

    pub fn number(&self, database: &Path, sql: &str) -> Result<i64, Failed> {
        self.runtime.block_on(number(database, sql))
    }

    /// One number of two databases, the other one being called `before`.
    pub fn number_beside(&self, database: &Path, before: &Path, sql: &str) -> Result<i64, Failed> {
        let options = SqliteConnectOptions::new().filename(database).read_only(true).disable_statement_logging();
        self.runtime.block_on(async {
            let mut db = options.connect().await?;
            sqlx::query("ATTACH ?1 AS before").bind(before.to_string_lossy()).execute(&mut db).await?;
            let number = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut db).await?;
            db.close().await?;
            Ok(number)
        })
    }

    pub fn until(&self, what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failed> {
        let deadline = clock::instant() + WAIT_MAX;
        while !holds() {
            if clock::instant() > deadline {
                return Err(format!("waited too long until {what}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

/// Removes what a run left that was cut off. One that still runs holds the lock of its folder.
fn remove_left_behind(beside: &Path) -> Result<(), Failed> {
    for entry in fs::read_dir(beside)? {
        let folder = entry?.path();
        let is_ours = folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
        let Some(lock) = is_ours.then(|| File::open(folder.join(LOCK)).ok()).flatten() else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(folder)?;
        }
    }
    Ok(())
}

/// What fetching a file leaves of it, for every download.
const FETCHED: &[&str] = &[
    "BEGIN",
    "UPDATE downloads SET state = 'stored', attempt = 1, bytes = 20480, sha256 = lower(hex(randomblob(32))),
        path = account || '/' || export || '/20260831T160000Z_20260930T155959Z_' || task_id || '.csv',
        stored_at = changed_at, link = NULL, link_at = NULL, link_host = NULL, partial_etag = NULL,
        fetched_updated_at = (SELECT t.updated_at FROM tasks AS t WHERE t.account = downloads.account
            AND t.export = downloads.export AND t.task_id = downloads.task_id)",
    "INSERT INTO attempts (account, export, task_id, attempt, started_at, ended_at, result, from_byte, to_byte)
        SELECT account, export, task_id, 1, stored_at, stored_at, 'stored', 0, bytes FROM downloads",
    "INSERT INTO files (account, export, task_id, revision, path, bytes, sha256, crc64, etag, verified_by, remote_updated_at,
            stored_at)
        SELECT account, export, task_id, 1, path, bytes, sha256, '5981764153023615706', '\"66f0a5e0-5000\"', 'crc64',
            fetched_updated_at, stored_at FROM downloads",
    "COMMIT",
];

/// The program with a configuration and a state of its own.
#[derive(Debug)]
pub struct Ours {
    binary: PathBuf,
    pub dir: PathBuf,
    config: PathBuf,
}

impl Ours {
    pub fn database(&self) -> PathBuf {
        self.dir.join("state/usage.db")
    }

    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = peer(&self.binary);
        command.arg("--config").arg(&self.config).arg(subcommand);
        command
    }
}

/// A command whose surroundings say nothing, least of all a proxy.
pub fn peer(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
