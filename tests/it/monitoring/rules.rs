//! Alert rules: what they name exists, each is tested, and each has its entry in the runbook.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection as _, SqliteConnection};

use super::{promtool, read, shown::Shown};
use crate::common::World;

const RULES: &str = "monitoring/prometheus/cdn-usaged.rules.yml";
const TESTS: &str = "monitoring/prometheus/cdn-usaged.rules.test.yml";
const RUNBOOK: &str = "docs/runbook.md";

/// An alert, as the file has it: one key a line, a long value folded below its key.
struct Alert {
    name: String,
    text: String,
}

impl Alert {
    fn all() -> Vec<Self> {
        let rules = read(RULES);
        let alerts = rules.split("\n      - alert: ").skip(1).map(|text| {
            let (name, text) = text.split_once('\n').unwrap();
            Self { name: name.to_owned(), text: text.to_owned() }
        });
        let alerts: Vec<_> = alerts.collect();
        assert!(alerts.len() >= 16, "only {} alerts were found", alerts.len());
        alerts
    }

    fn value(&self, key: &str) -> String {
        let mut lines = self.text.lines().skip_while(|l| !l.trim_start().starts_with(&format!("{key}: ")));
        let first = lines.next().unwrap_or_else(|| panic!("{} has no {key}", self.name));
        let indent = first.len() - first.trim_start().len();
        let value = first.trim_start()[key.len() + 2..].trim_matches('"');
        if value != ">-" {
            return value.to_owned();
        }
        let below = lines.take_while(|l| l.len() - l.trim_start().len() > indent && !l.trim().is_empty());
        below.map(str::trim).collect::<Vec<_>>().join(" ")
    }
}

fn names(alerts: &[Alert]) -> BTreeSet<&str> {
    alerts.iter().map(|a| a.name.as_str()).collect()
}

#[test]
fn promtool_is_content_with_rules_and_scrape_configuration_and_the_tests_of_the_rules_hold() {
    promtool(&["check", "rules", "cdn-usaged.rules.yml"], "");
    promtool(&["test", "rules", "cdn-usaged.rules.test.yml"], "");
    promtool(&["check", "config", "--syntax-only", "scrape.yml"], "");
}

#[tokio::test]
async fn every_alert_names_only_metrics_and_labels_that_a_daemon_shows() {
    let shown = Shown::real().await;
    for alert in Alert::all() {
        let labels = shown.check(&alert.value("expr"));
        for used in alert.text.split("$labels.").skip(1) {
            let used = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            assert!(labels.contains(used), "{} has no label {used} to tell", alert.name);
        }
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_is_wrong_and_where_its_entry_in_the_runbook_is() {
    let alerts = Alert::all();
    assert_eq!(names(&alerts).len(), alerts.len(), "a name is given twice");
    for alert in &alerts {
        assert!(["critical", "warning"].contains(&alert.value("severity").as_str()), "{}", alert.name);
        assert!(!alert.value("summary").ends_with('.') && alert.value("description").ends_with('.'), "{}", alert.name);
        let anchor = alert.name.to_lowercase();
        let url = format!("file:///usr/share/doc/cdn-usaged/runbook.md#{anchor}");
        assert_eq!(alert.value("runbook_url"), url);
    }
}

#[test]
fn every_alert_is_tested_to_fire_and_to_be_silent() {
    let tests = read(TESTS);
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    for case in tests.split("alertname: ").skip(1) {
        let name = case.lines().next().unwrap();
        let set =
            if case.split("eval_time").next().unwrap().contains("exp_alerts: []") { &mut silent } else { &mut fires };
        set.insert(name);
    }
    let alerts = Alert::all();
    assert_eq!(fires, names(&alerts), "tested to fire, and known");
    assert_eq!(silent, names(&alerts), "tested to be silent, and known");
}

/// The text of each entry.
fn entries(runbook: &str) -> BTreeMap<&str, &str> {
    runbook.split("\n### ").skip(1).map(|entry| entry.split_once('\n').unwrap()).collect()
}

#[test]
fn every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() {
    let (runbook, alerts) = (read(RUNBOOK), Alert::all());
    let entries = entries(&runbook);
    assert_eq!(entries.keys().copied().collect::<BTreeSet<_>>(), names(&alerts));
    for (name, entry) in entries {
        for part in ["**Means.** ", "**Urgent?** ", "**Look.**", "**Mend.**"] {
            assert_eq!(entry.matches(part).count(), 1, "{part} in the entry of {name}");
        }
        assert!(entry.contains("\n```sh\n"), "the entry of {name} shows no command");
    }
}

#[test]
fn every_link_of_the_runbook_leads_to_a_heading() {
    let anchor = |line: &str| {
        let text = line.strip_prefix("##")?.trim_start_matches('#').trim().to_lowercase();
        Some(text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().replace(' ', "-"))
    };
    let mut checked = 0;
    for link in read(RUNBOOK).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let (page, heading) = link.split_once('#').unwrap_or((link, ""));
        let page = if page.is_empty() { RUNBOOK.to_owned() } else { format!("docs/{page}") };
        let there = heading.is_empty() || read(&page).lines().filter_map(anchor).any(|a| a == heading);
        assert!(there, "{page} has no heading {heading}");
        checked += 1;
    }
    assert!(checked >= 15, "only {checked} links were found");
}

#[tokio::test]
async fn every_query_of_the_runbook_can_be_asked() {
    let world = World::start().await;
    world.add_small(&["1"]);
    world.write_config();
    world.run(&["once"]).await.expect(0);
    let mut db = SqliteConnection::connect(&format!("sqlite://{}", world.database().display())).await.unwrap();
    let runbook = read(RUNBOOK);
    let mut asked = 0;
    for line in runbook.lines().filter(|line| line.contains("sqlite3 -readonly")) {
        let sql = line.split('"').nth(1).unwrap();
        sqlx::query(sqlx::AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut db)
            .await
            .unwrap_or_else(|e| panic!("{sql}: {e}"));
        asked += 1;
    }
    assert!(asked >= 4, "only {asked} queries were found");
    db.close().await.unwrap();
}
