//! The dashboard: what it asks for exists, and it looks as it is meant to.

use std::{collections::BTreeSet, fmt::Write as _, fs};

use serde_json::Value;

use super::{promtool, read, shown::Shown};

/// What every Grafana has.
const CORE: [&str; 5] = ["row", "stat", "state-timeline", "table", "timeseries"];

fn dashboard() -> Value {
    serde_json::from_str(&read("monitoring/grafana/cdn-usaged.json")).unwrap()
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 20, "only {} panels were found", panels.len());
    panels
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {value}"))
}

/// Every query with what its results are called, those of annotations and variables included.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for panel in panels(dashboard).iter().filter(|p| p["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{} asks for nothing", panel["title"]);
        all.extend(targets.iter().map(|t| (text(t, "expr").to_owned(), text(t, "legendFormat").to_owned())));
    }
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let own = annotations.iter().filter(|a| a["builtIn"].is_null());
    all.extend(own.map(|a| (text(a, "expr").to_owned(), text(a, "titleFormat").to_owned())));
    all
}

#[tokio::test]
async fn every_query_of_the_dashboard_names_only_metrics_and_labels_that_a_daemon_shows() {
    let (dashboard, shown) = (dashboard(), Shown::real().await);
    for (expression, legend) in queries(&dashboard) {
        let labels = shown.check(&expression);
        for used in legend.split("{{").skip(1).map(|rest| rest.split("}}").next().unwrap()) {
            assert!(labels.contains(used), "{expression} has no label {used} to show");
        }
    }
    let mut checked = 0;
    for variable in dashboard["templating"]["list"].as_array().unwrap().iter().filter(|v| v["type"] == "query") {
        let query = text(variable, "definition");
        assert_eq!(query, text(&variable["query"], "query"));
        let (selector, label) =
            query.strip_prefix("label_values(").unwrap().strip_suffix(')').unwrap().rsplit_once(", ").unwrap();
        assert!(shown.check(selector).contains(label), "{query}");
        checked += 1;
    }
    assert_eq!(checked, 3);
}

#[test]
fn promtool_can_read_every_query_of_the_dashboard() {
    let mut rules = "groups: [{name: dashboard, rules: [".to_owned();
    // YAML takes JSON's strings.
    for (number, (expression, _)) in queries(&dashboard()).into_iter().enumerate() {
        let expression = expression.replace("$__rate_interval", "5m").replace("$__interval", "5m");
        write!(rules, "{{record: \"q{number}\", expr: {}}},", Value::from(expression)).unwrap();
    }
    rules.push_str("]}]");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), rules).unwrap();
    promtool(&["check", "rules", file.path().to_str().unwrap()], "");
}

#[test]
fn panels_have_their_own_ids_titles_and_places() {
    let dashboard = dashboard();
    let panels = panels(&dashboard);
    let ids: BTreeSet<u64> = panels.iter().map(|p| p["id"].as_u64().unwrap()).collect();
    let titles: BTreeSet<&str> = panels.iter().map(|p| text(p, "title")).collect();
    assert_eq!((ids.len(), titles.len()), (panels.len(), panels.len()));
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("w") > 0 && at("h") > 0 && at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} lies over another panel", panel["title"]);
            }
        }
        if panel["type"] == "row" {
            assert_eq!((at("x"), at("w")), (0, 24), "{}", panel["title"]);
        } else {
            assert!(text(panel, "description").ends_with('.'), "{}", panel["title"]);
        }
    }
    let rows: Vec<&str> = panels.iter().filter(|p| p["type"] == "row").map(|p| text(p, "title")).collect();
    let expected =
        ["Health", "Polls and calls", "Tasks and downloads", "Completeness", "Storage and credentials", "Limits"];
    assert_eq!(rows, expected);
}

#[test]
fn it_can_be_imported_into_any_grafana_and_asks_the_chosen_source_alone() {
    let dashboard = dashboard();
    assert!(dashboard["id"].is_null() && dashboard["uid"] == "cdn-usaged", "an id would be another instance's");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39);
    let variables: BTreeSet<&str> =
        dashboard["templating"]["list"].as_array().unwrap().iter().map(|v| text(v, "name")).collect();
    assert_eq!(variables, ["account", "datasource", "export", "instance"].into());
    for panel in panels(&dashboard) {
        assert!(CORE.contains(&text(panel, "type")), "{} needs a plugin", panel["title"]);
    }
    let targets = panels(&dashboard).iter().flat_map(|p| p["targets"].as_array().into_iter().flatten());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter().filter(|a| a["builtIn"].is_null());
    let asking = dashboard["templating"]["list"].as_array().unwrap().iter().filter(|v| v["type"] == "query");
    let shown = panels(&dashboard).iter().filter(|p| p["type"] != "row");
    for asks in targets.chain(annotations).chain(asking).chain(shown) {
        let source = &asks["datasource"];
        assert_eq!((text(source, "type"), text(source, "uid")), ("prometheus", "${datasource}"), "{asks}");
    }
    for (expression, _) in queries(&dashboard) {
        for used in expression.split('$').skip(1) {
            let name = used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
            assert!(variables.contains(name) || name.starts_with("__"), "there is no variable {name}: {expression}");
        }
    }
}
