//! `status`: how things are, on one screen, from what is stored alone.

mod view;

use std::{collections::BTreeMap, path::Path, time::Duration};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Failure,
    args::StatusArgs,
    around::{self, Disk, Instance},
    output::Out,
};
use crate::{
    assembly, clock,
    completeness::{Reading, overdue},
    config::Config,
    model::{
        age::age,
        backoff,
        health::Beat,
        overview::{Concern, Counts, concerns},
        schedule::{Due, Polls},
        task::ListingKey,
    },
    store::{Attempting, Given, Listing, Retrying, Store},
};

/// Attempts and retries that are named; more are counted.
const NAMED_MAX: u64 = 8;

/// One listing.
pub(super) struct Row {
    pub key: ListingKey,
    pub known: Listing,
    /// None when it is not configured (any more).
    pub polls: Option<Polls>,
    pub tasks: BTreeMap<String, u64>,
    pub downloads: BTreeMap<String, u64>,
}

/// Everything that is shown.
pub(super) struct Report {
    pub now: Timestamp,
    pub instance: Instance,
    pub disks: [Disk; 2],
    pub min_free_bytes: u64,
    pub rows: Vec<Row>,
    pub given: Vec<Given>,
    pub attempting: Vec<Attempting>,
    pub retrying: Vec<Retrying>,
    /// Downloads that wait with a link, and those that wait for one.
    pub with_link: u64,
    pub wanted: u64,
    pub next_due: Option<Timestamp>,
    pub concerns: Vec<Concern>,
}

/// Reads everything. Two of its reads go over all rows, each once: some 0.5 s with 300,000 tasks.
pub(super) async fn gather(
    store: &Store,
    config: &Config,
    instance: Instance,
    disks: [Disk; 2],
    now: Timestamp,
) -> Result<Report, Failure> {
    let configured = assembly::listings(config);
    let mut keys = configured.clone();
    let others = store.listing_keys().await?;
    keys.extend(others.into_iter().filter(|key| !configured.contains(key)));
    let (tasks, given) = (store.task_counts(&keys).await?, store.downloads_given(&keys).await?);
    let mut rows = Vec::new();
    for key in keys {
        let known = store.listing(&key).await?.unwrap_or_default();
        let polls = match configured.contains(&key) {
            true => Some(around::polls(store, config, &key, &known, now).await?),
            false => None,
        };
        let mut downloads = BTreeMap::new();
        for of in given.iter().filter(|g| g.listing == key) {
            *downloads.entry(of.state.clone()).or_insert(0) += of.count;
        }
        let tasks = tasks.iter().filter(|c| c.listing == key).map(|c| (c.word.clone(), c.count)).collect();
        rows.push(Row { key, known, polls, tasks, downloads });
    }
    let horizon = now.saturating_add(backoff::horizon(config.retry.max)).unwrap_or(now);
    let waiting = store.waiting(&configured, now).await?;
    let running_for = match &instance {
        Instance::Running(holder) => holder.since.map(|since| age(since, now).unsigned_abs()),
        Instance::Stopped | Instance::Unknown(_) => None,
    };
    let given: Vec<Given> = given.into_iter().filter(|g| configured.contains(&g.listing)).collect();
    let (mut reading, mut lacking) = (Reading::new(store, config, now), 0);
    while let Some(listing) = reading.next().await? {
        lacking += overdue(&listing);
    }
    let concerns = judge(config, &rows, &disks, Given::counts(&given, lacking), running_for, now);
    let attempting = store.attempting(NAMED_MAX).await?;
    Ok(Report {
        now,
        instance,
        min_free_bytes: config.storage.min_free_bytes,
        rows,
        retrying: store.retrying(&configured, now, horizon, NAMED_MAX).await?,
        with_link: waiting.with_link,
        wanted: waiting.wanted,
        next_due: waiting.next_due,
        disks,
        given,
        attempting,
        concerns,
    })
}

fn judge(
    config: &Config,
    rows: &[Row],
    disks: &[Disk; 2],
    counts: Counts,
    running_for: Option<Duration>,
    now: Timestamp,
) -> Vec<Concern> {
    let of = |row: &Row| {
        let beat = Beat {
            interval: row.polls?.interval,
            request_timeout: config.poll.request_timeout,
            full_sweep_interval: config.poll.full_sweep_interval,
        };
        Some(row.known.overview(&row.key, beat))
    };
    let listings: Vec<_> = rows.iter().filter_map(of).collect();
    let low: Vec<&'static str> = disks.iter().filter(|disk| disk.is_low).map(|disk| disk.folder).collect();
    concerns(&listings, &low, counts, running_for, now)
}

/// Everything as `--json` prints it. Times are RFC 3339 in UTC.
#[derive(Serialize)]
struct ReportJson<'a> {
    at: String,
    version: &'static str,
    config: String,
    running: Option<bool>,
    pid: Option<u32>,
    running_since: Option<String>,
    healthy: bool,
    concerns: Vec<String>,
    listings: Vec<RowJson<'a>>,
    downloads: DownloadsJson<'a>,
    storage: Vec<DiskJson<'a>>,
}

#[derive(Serialize)]
struct RowJson<'a> {
    account: &'a str,
    export: &'static str,
    configured: bool,
    total: Option<u64>,
    last_poll_at: Option<String>,
    last_sweep_at: Option<String>,
    last_consistent_sweep_at: Option<String>,
    suspect_since: Option<String>,
    error: Option<&'a str>,
    next_poll_at: Option<String>,
    next_sweep_at: Option<String>,
    tasks: &'a BTreeMap<String, u64>,
    downloads: &'a BTreeMap<String, u64>,
}

#[derive(Serialize)]
struct DownloadsJson<'a> {
    pending: u64,
    active: u64,
    stored: u64,
    abandoned: u64,
    stored_bytes: u64,
    waiting_with_link: u64,
    waiting_for_link: u64,
    next_due_at: Option<String>,
    abandoned_by_reason: BTreeMap<&'a str, u64>,
    under_way: &'a [Attempting],
    retries: &'a [Retrying],
}

#[derive(Serialize)]
struct DiskJson<'a> {
    folder: &'static str,
    path: &'a Path,
    free_bytes: Option<u64>,
    min_free_bytes: u64,
    low: bool,
}

impl Report {
    /// How many downloads of configured listings are in a state.
    pub(super) fn count(&self, state: &str) -> u64 {
        self.given.iter().filter(|g| g.state == state).map(|g| g.count).sum()
    }

    /// Of those given up: how many for which reason.
    pub(super) fn abandoned_by_reason(&self) -> BTreeMap<&str, u64> {
        let mut reasons = BTreeMap::new();
        for given in self.given.iter().filter(|g| g.state == "abandoned") {
            *reasons.entry(given.reason.as_deref().unwrap_or("unknown")).or_insert(0) += given.count;
        }
        reasons
    }

    /// What the newest stored files have together.
    pub(super) fn stored_bytes(&self) -> u64 {
        self.given.iter().filter(|g| g.state == "stored").map(|g| g.bytes).fold(0, u64::saturating_add)
    }

    /// When something comes, if it can be told, and if anything runs that would do it.
    pub(super) fn comes(&self, due: impl Fn(&Polls, Timestamp) -> Due, row: &Row) -> Option<Due> {
        if self.instance.is_running() == Some(false) {
            return None;
        }
        row.polls.as_ref().map(|polls| due(polls, self.now))
    }

    fn row_json<'a>(&self, row: &'a Row) -> RowJson<'a> {
        let stored = |at: Option<Timestamp>| at.map(clock::rfc3339);
        let next = |due: Option<Due>| match due {
            Some(Due::At(at)) => Some(clock::rfc3339(at)),
            Some(Due::Now) => Some(clock::rfc3339(self.now)),
            _ => None,
        };
        RowJson {
            account: row.key.account.as_str(),
            export: row.key.export.as_str(),
            configured: row.polls.is_some(),
            total: row.known.total,
            last_poll_at: stored(row.known.last_poll_at),
            last_sweep_at: stored(row.known.last_sweep_at),
            last_consistent_sweep_at: stored(row.known.last_consistent_sweep_at),
            suspect_since: stored(row.known.suspect_since),
            error: row.known.error.as_deref(),
            next_poll_at: next(self.comes(Polls::next_poll, row)),
            next_sweep_at: next(self.comes(Polls::next_sweep, row)),
            tasks: &row.tasks,
            downloads: &row.downloads,
        }
    }

    fn json(&self, config_path: &Path) -> ReportJson<'_> {
        let (pid, since) = match &self.instance {
            Instance::Running(holder) => (holder.pid, holder.since),
            Instance::Stopped | Instance::Unknown(_) => (None, None),
        };
        ReportJson {
            at: clock::rfc3339(self.now),
            version: env!("CARGO_PKG_VERSION"),
            config: config_path.display().to_string(),
            running: self.instance.is_running(),
            pid,
            running_since: since.map(clock::rfc3339),
            healthy: self.concerns.is_empty(),
            concerns: self.concerns.iter().map(|concern| view::concern(self, concern)).collect(),
            listings: self.rows.iter().map(|row| self.row_json(row)).collect(),
            downloads: DownloadsJson {
                pending: self.count("pending"),
                active: self.count("active"),
                stored: self.count("stored"),
                abandoned: self.count("abandoned"),
                stored_bytes: self.stored_bytes(),
                waiting_with_link: self.with_link,
                waiting_for_link: self.wanted,
                next_due_at: self.next_due.map(clock::rfc3339),
                abandoned_by_reason: self.abandoned_by_reason(),
                under_way: &self.attempting,
                retries: &self.retrying,
            },
            storage: self
                .disks
                .iter()
                .map(|disk| DiskJson {
                    folder: disk.folder,
                    path: &disk.path,
                    free_bytes: disk.free_bytes,
                    min_free_bytes: self.min_free_bytes,
                    low: disk.is_low,
                })
                .collect(),
        }
    }
}

pub(super) use self::view::lines;

/// Runs the command.
pub(crate) async fn run(config_path: &Path, config: &Config, args: &StatusArgs) -> Result<(), Failure> {
    let store = Store::open_read_only(&config.storage.state_dir).await?;
    let instance = Instance::of(&config.storage.state_dir);
    let report = gather(&store, config, instance, around::disks(config), clock::now()).await?;
    let mut out = Out::in_zone(args.utc);
    if args.json {
        out.json(&report.json(config_path))?;
    } else {
        for (paint, line) in lines(&report, out.screen()) {
            out.painted(paint, &line)?;
        }
    }
    store.close_beside().await;
    out.finish()
}
