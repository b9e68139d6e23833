//! The families: names, labels and help, as they are promised.

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, core::Collector,
};

/// From a fast answer of the gateway to the longest `poll.request_timeout` that anybody is likely to set, in seconds.
const DURATION_BUCKETS: [f64; 12] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 30.0];

pub(super) struct Families {
    pub registry: Registry,
    pub api_requests: IntCounterVec,
    pub api_duration: Histogram,
    pub polls: IntCounterVec,
    pub last_poll: GaugeVec,
    pub last_sweep: GaugeVec,
    pub tasks: IntGaugeVec,
    pub transitions: IntCounterVec,
    pub downloads: IntGaugeVec,
    pub attempts: IntCounterVec,
    pub bytes: IntCounterVec,
    pub rows_rejected: IntCounter,
    pub store_errors: IntCounter,
    pub free: IntGaugeVec,
}

impl Families {
    pub(super) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let all = Self {
            api_requests: IntCounterVec::new(
                named("api_requests_total", "API calls sent, retries included, by what came back."),
                &["account", "action", "code"],
            )?,
            api_duration: Histogram::with_opts(HistogramOpts {
                common_opts: named(
                    "api_request_duration_seconds",
                    "How long API calls took, from sending to the last byte.",
                ),
                buckets: DURATION_BUCKETS.to_vec(),
            })?,
            polls: IntCounterVec::new(
                named("polls_total", "Polls of a listing that ended."),
                &["account", "export", "result"],
            )?,
            last_poll: GaugeVec::new(
                named(
                    "last_successful_poll_timestamp_seconds",
                    "When a poll of the listing last succeeded; 0 before the first.",
                ),
                &["account", "export"],
            )?,
            last_sweep: GaugeVec::new(
                named(
                    "last_consistent_sweep_timestamp_seconds",
                    "When a full sweep of the listing was last consistent; 0 before the first.",
                ),
                &["account", "export"],
            )?,
            tasks: IntGaugeVec::new(
                named("tasks", "Tasks on record, by the service's last word on them."),
                &["account", "export", "status"],
            )?,
            transitions: IntCounterVec::new(
                named("transitions_total", "Recorded changes of tasks, by what they became."),
                &["account", "export", "to"],
            )?,
            downloads: IntGaugeVec::new(named("downloads", "Downloads, by state."), &["account", "export", "state"])?,
            attempts: IntCounterVec::new(
                named("download_attempts_total", "Attempts to download a file that ended."),
                &["account", "export", "result"],
            )?,
            bytes: IntCounterVec::new(
                named("download_bytes_total", "Bytes of files received."),
                &["account", "export"],
            )?,
            rows_rejected: IntCounter::with_opts(named(
                "rows_rejected_total",
                "Rows of listings that could not be read.",
            ))?,
            store_errors: IntCounter::with_opts(named("store_errors_total", "Statements that the database failed."))?,
            free: IntGaugeVec::new(
                named("storage_free_bytes", "Free space on the file system of a folder, when last looked at."),
                &["folder"],
            )?,
            registry,
        };
        let build = Gauge::with_opts(
            named("build_info", "Always 1; the version is the label.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1.0);
        let families: [Box<dyn Collector>; 14] = [
            Box::new(build),
            Box::new(all.api_requests.clone()),
            Box::new(all.api_duration.clone()),
            Box::new(all.polls.clone()),
            Box::new(all.last_poll.clone()),
            Box::new(all.last_sweep.clone()),
            Box::new(all.tasks.clone()),
            Box::new(all.transitions.clone()),
            Box::new(all.downloads.clone()),
            Box::new(all.attempts.clone()),
            Box::new(all.bytes.clone()),
            Box::new(all.rows_rejected.clone()),
            Box::new(all.store_errors.clone()),
            Box::new(all.free.clone()),
        ];
        for family in families {
            all.registry.register(family)?;
        }
        Ok(all)
    }
}

fn named(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("cdn_usaged")
}
