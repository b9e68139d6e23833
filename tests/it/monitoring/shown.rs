//! What a daemon with two accounts shows, and whether what is asked of it is there.

use std::collections::{BTreeMap, BTreeSet};

use cloudsim::{AccountSpec, TaskSpec};

use super::{promql, promtool, read};
use crate::common::{DETAIL, MAIN, USAGE, World, get};

/// Labels that Prometheus adds to whatever it scrapes.
const TARGET: [&str; 2] = ["instance", "job"];
/// What Prometheus itself makes.
const PROMETHEUS: [(&str, &[&str]); 2] =
    [("up", &[]), ("ALERTS", &["alertname", "alertstate", "severity", "account", "export"])];
/// There for keys that are fetched, with these labels; the daemon here has keys that last.
const SOMETIMES: [(&str, &[&str]); 2] = [
    ("cdn_usaged_credentials_expiry_timestamp_seconds", &["account"]),
    ("cdn_usaged_credentials_refresh_failures_total", &["account"]),
];

/// Series by metric: the labels of each.
pub struct Shown {
    pub text: String,
    series: BTreeMap<String, Vec<BTreeMap<String, String>>>,
}

impl Shown {
    /// Lets a daemon work for a while.
    pub async fn real() -> Self {
        let mut world = World::start().await;
        let address = world.serve_http();
        world.set_exports("main", &[DETAIL, USAGE]);
        world.add_account("second", AccountSpec::new("LTAIsecond", "secret-of-second"), &[DETAIL]);
        world.expect("main", "from = \"2018-08\"");
        world.add_small(&["1", "22"]);
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("f").with_status("failed"));
        let daemon = world.daemon().await;
        world.until_stored(&daemon, 2).await;
        let mut shown = Self::parse(String::new());
        daemon
            .until("a sweep and a quick poll are shown", async || {
                shown = Self::parse(get(&address, "/metrics").await.unwrap().1);
                let of = |mode: &str| shown.has("cdn_usaged_poll_duration_seconds_count", "mode", mode);
                let has_windows = shown.has("cdn_usaged_windows", "state", "overdue");
                of("full")
                    && of("quick")
                    && has_windows
                    && shown.has("cdn_usaged_storage_free_bytes", "folder", "state")
            })
            .await;
        daemon.stop().await;
        shown
    }

    fn parse(text: String) -> Self {
        let mut series: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let labels = line.split_once('{').map_or("", |(_, rest)| rest.rsplit_once('}').unwrap().0);
            // No value here has a comma or a quote in it.
            let pairs = labels.split(',').filter(|p| !p.is_empty()).map(|pair| {
                let (label, value) = pair.split_once('=').unwrap();
                (label.to_owned(), value.trim_matches('"').to_owned())
            });
            series.entry(name.to_owned()).or_default().push(pairs.collect());
        }
        Self { text, series }
    }

    fn has(&self, metric: &str, label: &str, value: &str) -> bool {
        self.series.get(metric).is_some_and(|all| all.iter().any(|s| s.get(label).is_some_and(|v| v == value)))
    }

    /// Families by name.
    fn families(&self) -> BTreeSet<&str> {
        self.text.lines().filter_map(|l| l.strip_prefix("# TYPE ")?.split(' ').next()).collect()
    }

    /// The labels of a metric.
    fn labels(&self, metric: &str) -> BTreeSet<&str> {
        let fixed = PROMETHEUS.iter().chain(&SOMETIMES).find(|(name, _)| *name == metric);
        let own: BTreeSet<&str> = match (self.series.get(metric), fixed) {
            (Some(series), _) => series.iter().flat_map(|s| s.keys().map(String::as_str)).collect(),
            (None, Some((_, labels))) => labels.iter().copied().collect(),
            (None, None) => panic!("the daemon shows no {metric}"),
        };
        own.into_iter().chain(TARGET).collect()
    }

    /// Asserts that an expression names nothing that is not there, and returns the labels that its results may have.
    pub fn check(&self, expression: &str) -> BTreeSet<&str> {
        let names = promql::names(expression);
        assert!(!names.selectors.is_empty(), "nothing is asked for: {expression}");
        let mut all = BTreeSet::new();
        for selector in &names.selectors {
            let labels = self.labels(&selector.metric);
            for (label, operator, value) in &selector.matchers {
                assert!(labels.contains(label.as_str()), "{} has no label {label}: {expression}", selector.metric);
                let is_ours = !TARGET.contains(&label.as_str()) && self.series.contains_key(&selector.metric);
                if operator == "=" && is_ours && !value.starts_with('$') {
                    assert!(self.has(&selector.metric, label, value), "no {label} is {value:?}: {expression}");
                }
            }
            all.extend(labels);
        }
        for label in &names.labels {
            assert!(all.contains(label.as_str()), "there is no label {label} to group by: {expression}");
        }
        all
    }
}

#[tokio::test]
async fn promtool_is_content_with_what_a_daemon_shows() {
    let shown = Shown::real().await;
    assert!(shown.families().len() > 30, "{}", shown.text);
    promtool(&["check", "metrics"], &shown.text);
}

#[tokio::test]
async fn the_manual_lists_exactly_the_metrics_that_a_daemon_shows_with_their_labels() {
    let shown = Shown::real().await;
    let manual = read("docs/operating.md");
    let section = manual.split("### Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut listed = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels: BTreeSet<&str> = cells[2].split(", ").filter(|l| !l.is_empty()).collect();
        for name in cells[1].split(", ").map(|name| name.trim_matches('`')) {
            let name = if name.starts_with("process_") { name.to_owned() } else { format!("cdn_usaged_{name}") };
            assert!(listed.insert(name.clone(), labels.clone()).is_none(), "{name} is listed twice");
        }
    }
    let sometimes: BTreeSet<&str> = SOMETIMES.iter().map(|(name, _)| *name).collect();
    let names: BTreeSet<&str> = listed.keys().map(String::as_str).collect();
    let (shown_always, listed_always): (BTreeSet<_>, BTreeSet<_>) =
        (shown.families().difference(&sometimes).copied().collect(), names.difference(&sometimes).copied().collect());
    assert_eq!(shown_always, listed_always);
    for name in listed_always {
        let histogram = format!("{name}_count");
        let series = if shown.series.contains_key(name) { name } else { histogram.as_str() };
        let labels: BTreeSet<&str> = shown.labels(series).into_iter().filter(|l| !TARGET.contains(l)).collect();
        assert_eq!(labels, listed[name], "the labels of {name}");
    }
}
