//! The families: names, labels and help, as they are promised.

use std::sync::Mutex;

use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, core::Collector,
};

/// From a fast answer of the gateway to the longest `poll.request_timeout` that anybody is likely to set, in seconds.
const CALL_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];
/// From one page to three passes over a listing of 100,000 tasks, in seconds.
const POLL_BUCKETS: [f64; 12] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1800.0];

const ACCOUNT: [&str; 1] = ["account"];
const LISTING: [&str; 2] = ["account", "export"];

type Made<T> = Result<T, prometheus::Error>;

pub(super) struct Families {
    pub registry: Registry,
    pub api: Api,
    pub polls: Polls,
    pub tasks: Tasks,
    pub windows: Windows,
    pub downloads: Downloads,
    pub machine: Machine,
}

/// What an account asks of the service.
pub(super) struct Api {
    pub requests: IntCounterVec,
    pub duration: Histogram,
    pub permit_wait: CounterVec,
    pub throttled: CounterVec,
    pub rejected: IntGaugeVec,
    pub credentials_expiry: GaugeVec,
    pub credentials_failures: IntCounterVec,
}

/// How listings are read.
pub(super) struct Polls {
    pub ended: IntCounterVec,
    pub duration: HistogramVec,
    pub last: GaugeVec,
    pub last_sweep: GaugeVec,
    pub interval: GaugeVec,
    pub sweep_interval: Gauge,
    pub listed: IntGaugeVec,
    pub suspect: IntGaugeVec,
    pub rows_rejected: IntCounter,
}

/// What is known of tasks.
pub(super) struct Tasks {
    pub counts: IntGaugeVec,
    pub transitions: IntCounterVec,
    pub undelivered: IntGaugeVec,
    pub oldest_undelivered: GaugeVec,
    pub expiry: GaugeVec,
    pub lost: IntGaugeVec,
}

/// Whether what is expected is there; of listings of which nothing is, there is no series.
pub(super) struct Windows {
    pub counts: IntGaugeVec,
    pub overdue_since: GaugeVec,
    pub export_by: GaugeVec,
    pub deliver_by: GaugeVec,
}

/// What is done for their files.
pub(super) struct Downloads {
    pub counts: IntGaugeVec,
    pub attempts: IntCounterVec,
    pub failures: IntCounterVec,
    pub bytes: IntCounterVec,
    pub in_progress: IntGauge,
    pub in_progress_bytes: IntGauge,
}

/// Database, disks, configuration and the process itself. The last has the names that every exporter gives them.
pub(super) struct Machine {
    pub store_errors: IntCounter,
    pub free: IntGaugeVec,
    pub min_free: IntGauge,
    pub low: IntGauge,
    pub reloaded: IntGauge,
    pub reloaded_at: Gauge,
    pub cpu: Counter,
    pub resident: IntGauge,
    pub open_fds: IntGauge,
    pub max_fds: IntGauge,
    pub started_at: Gauge,
    /// Held by the one who looks at the process.
    pub looking: Mutex<()>,
}

impl Families {
    pub(super) fn new() -> Made<Self> {
        let registry = Registry::new();
        let to = Register(&registry);
        let (api, polls, tasks, windows) = (Api::new(&to)?, Polls::new(&to)?, Tasks::new(&to)?, Windows::new(&to)?);
        let (downloads, machine) = (Downloads::new(&to)?, Machine::new(&to)?);
        Ok(Self { registry, api, polls, tasks, windows, downloads, machine })
    }
}

impl Api {
    fn new(to: &Register<'_>) -> Made<Self> {
        let requests = "API calls sent, retries included, by what came back.";
        let duration = "How long API calls took, from sending to the last byte.";
        let permit_wait = "Time that API calls waited for the rate limit, or for a pause that the service asked for.";
        let throttled = "Time for which the service asked the account to make no calls.";
        let expiry = "When the temporary keys of the account end; absent for keys that last.";
        let failures = "Times that temporary keys could not be fetched.";
        let rejected = "1 while the service refuses the account's keys, or they cannot be read.";
        Ok(Self {
            requests: to.counters("api_requests_total", requests, &["account", "action", "code"])?,
            duration: to.add(Histogram::with_opts(HistogramOpts {
                common_opts: named("api_request_duration_seconds", duration),
                buckets: CALL_BUCKETS.to_vec(),
            })?)?,
            permit_wait: to.durations("api_permit_wait_seconds_total", permit_wait)?,
            throttled: to.durations("api_throttled_seconds_total", throttled)?,
            rejected: to.gauges("credentials_rejected", rejected, &ACCOUNT)?,
            credentials_expiry: to
                .add(GaugeVec::new(named("credentials_expiry_timestamp_seconds", expiry), &ACCOUNT)?)?,
            credentials_failures: to.counters("credentials_refresh_failures_total", failures, &ACCOUNT)?,
        })
    }
}

impl Polls {
    fn new(to: &Register<'_>) -> Made<Self> {
        let duration = "How long polls took that succeeded.";
        let last = "When a poll of the listing last succeeded; 0 before the first.";
        let last_sweep = "When a full sweep of the listing was last consistent; 0 before the first.";
        let interval = "How far apart polls of the listing are now.";
        let sweep_interval = "How far apart full sweeps are at most (poll.full_sweep_interval).";
        let listed = "Tasks in the listing, as the service last counted.";
        let suspect = "1 while the listing is suddenly empty or has less than half of what it had.";
        Ok(Self {
            ended: to.counters("polls_total", "Polls of a listing that ended.", &["account", "export", "result"])?,
            duration: to.add(HistogramVec::new(
                HistogramOpts { common_opts: named("poll_duration_seconds", duration), buckets: POLL_BUCKETS.to_vec() },
                &["mode"],
            )?)?,
            last: to.values("last_successful_poll_timestamp_seconds", last)?,
            last_sweep: to.values("last_consistent_sweep_timestamp_seconds", last_sweep)?,
            interval: to.values("poll_interval_seconds", interval)?,
            sweep_interval: to.value("full_sweep_interval_seconds", sweep_interval)?,
            listed: to.gauges("listing_tasks", listed, &LISTING)?,
            suspect: to.gauges("listing_suspect", suspect, &LISTING)?,
            rows_rejected: to.counter("rows_rejected_total", "Rows of listings that could not be read.")?,
        })
    }
}

impl Tasks {
    fn new(to: &Register<'_>) -> Made<Self> {
        let counts = "Tasks on record, by the service's last word on them.";
        let transitions = "Recorded changes of tasks, by what they became.";
        let undelivered = "Tasks listed as success whose file is not stored, by the state of their download.";
        let oldest = "Since when the file of the oldest undelivered task could have been stored; 0 when there is none.";
        let expiry =
            "When the next task that is unfinished or undelivered may leave the listing; 0 when there is none.";
        let lost = "Tasks that left the listing as success before their file was stored.";
        Ok(Self {
            counts: to.gauges("tasks", counts, &["account", "export", "status"])?,
            transitions: to.counters("transitions_total", transitions, &["account", "export", "to"])?,
            undelivered: to.gauges("undelivered_tasks", undelivered, &["account", "export", "state"])?,
            oldest_undelivered: to.values("oldest_undelivered_task_timestamp_seconds", oldest)?,
            expiry: to.values("task_expiry_timestamp_seconds", expiry)?,
            lost: to.gauges("lost_tasks", lost, &LISTING)?,
        })
    }
}

impl Windows {
    fn new(to: &Register<'_>) -> Made<Self> {
        let counts = "Months and days that are expected and have ended, by how they stand.";
        let overdue_since = "When the window was due that is overdue longest; 0 when none is.";
        let export_by = "Until when all that lacks can be exported; 0 when nothing lacks that can.";
        let deliver_by = "When the next task may leave the listing that a window waits for; 0 when there is none.";
        Ok(Self {
            counts: to.gauges("windows", counts, &["account", "export", "state"])?,
            overdue_since: to.values("window_overdue_since_timestamp_seconds", overdue_since)?,
            export_by: to.values("window_export_by_timestamp_seconds", export_by)?,
            deliver_by: to.values("window_deliver_by_timestamp_seconds", deliver_by)?,
        })
    }
}

impl Downloads {
    fn new(to: &Register<'_>) -> Made<Self> {
        let attempts = "Attempts to download a file that ended.";
        let failures = "Attempts to download a file that failed, by the reason.";
        let in_progress_bytes = "Bytes that the transfers under way have received so far.";
        Ok(Self {
            counts: to.gauges("downloads", "Downloads, by state.", &["account", "export", "state"])?,
            attempts: to.counters("download_attempts_total", attempts, &["account", "export", "result"])?,
            failures: to.counters("download_failures_total", failures, &["account", "export", "reason"])?,
            bytes: to.counters("download_bytes_total", "Bytes of files received.", &LISTING)?,
            in_progress: to.gauge(named("downloads_in_progress", "Transfers under way, when last looked at."))?,
            in_progress_bytes: to.gauge(named("downloads_in_progress_bytes", in_progress_bytes))?,
        })
    }
}

impl Machine {
    fn new(to: &Register<'_>) -> Made<Self> {
        let free = "Free space on the file system of a folder, when last looked at.";
        let min_free = "Space that downloads leave free (storage.min_free).";
        let low = "1 while a download waits for space.";
        let reloaded = "1 unless the last reload was refused.";
        let reloaded_at = "When the configuration in force was read.";
        let build = named("build_info", "Always 1; the version is the label.");
        to.gauge(build.const_label("version", env!("CARGO_PKG_VERSION")))?.set(1);
        Ok(Self {
            store_errors: to.counter("store_errors_total", "Statements that the database failed.")?,
            free: to.gauges("storage_free_bytes", free, &["folder"])?,
            min_free: to.gauge(named("storage_min_free_bytes", min_free))?,
            low: to.gauge(named("storage_low", low))?,
            reloaded: to.gauge(named("config_last_reload_successful", reloaded))?,
            reloaded_at: to.value("config_last_reload_success_timestamp_seconds", reloaded_at)?,
            cpu: to.add(Counter::new("process_cpu_seconds_total", "Processor time spent, user and system.")?)?,
            resident: to.gauge(Opts::new("process_resident_memory_bytes", "Memory in use."))?,
            open_fds: to.gauge(Opts::new("process_open_fds", "Open file descriptors."))?,
            max_fds: to.gauge(Opts::new("process_max_fds", "How many file descriptors may be open."))?,
            started_at: to.add(Gauge::new("process_start_time_seconds", "When the process began.")?)?,
            looking: Mutex::new(()),
        })
    }
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("cdn_usaged")
}

/// Makes families, each with the prefix unless said otherwise, and registers them.
struct Register<'a>(&'a Registry);

impl Register<'_> {
    fn add<T: Collector + Clone + 'static>(&self, family: T) -> Made<T> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> Made<IntCounter> {
        self.add(IntCounter::with_opts(named(name, help))?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntCounterVec> {
        self.add(IntCounterVec::new(named(name, help), labels)?)
    }

    /// Counts seconds, for each account.
    fn durations(&self, name: &str, help: &str) -> Made<CounterVec> {
        self.add(CounterVec::new(named(name, help), &ACCOUNT)?)
    }

    fn gauge(&self, opts: Opts) -> Made<IntGauge> {
        self.add(IntGauge::with_opts(opts)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Made<IntGaugeVec> {
        self.add(IntGaugeVec::new(named(name, help), labels)?)
    }

    fn value(&self, name: &str, help: &str) -> Made<Gauge> {
        self.add(Gauge::with_opts(named(name, help))?)
    }

    /// Times and durations, for each listing.
    fn values(&self, name: &str, help: &str) -> Made<GaugeVec> {
        self.add(GaugeVec::new(named(name, help), &LISTING)?)
    }
}
