//! The alert rules that need only log lines: what they name exists, and what is alerted on is said where the event is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cdn_usaged::{events::message_id, model::download::Reason};

use super::{
    documented,
    emitted::{Emitted, emitted},
    read,
};

const LOKI: &str = "monitoring/logs/loki.rules.yml";
const PROMETHEUS: &str = "monitoring/prometheus/cdn-usaged.rules.yml";
const LOKI_JOURNAL: &str = "monitoring/logs/loki-journal.rules.yml";
const ELASTIC: &str = "monitoring/logs/elastic";
pub const SCRIPT: &str = "monitoring/logs/journal/cdn-usaged-alert";

/// What a rule asks lines for: an event, and fields with the values that they are to have or not to have.
type Asked = BTreeSet<(String, Vec<(String, String)>)>;

fn value_of(field: &str, rest: &str) -> Option<(String, String)> {
    let value = rest.trim_start_matches(['!', '=', ':', ' ']).trim_matches('"');
    Some((field.to_owned(), value.to_owned())).filter(|_| field.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

/// The alerts of the rules for Loki, with what each asks for and the labels that it keeps.
fn loki() -> BTreeMap<String, (Asked, BTreeSet<String>)> {
    let mut alerts = BTreeMap::new();
    for rule in read(LOKI).split("- alert: ").skip(1) {
        let (name, rest) = rule.split_once('\n').unwrap();
        let mut asked = Asked::new();
        for stream in rest.split("| json | ").skip(1) {
            let filters = stream.split(" [").next().unwrap().split(" | ");
            let mut filters: Vec<_> = filters
                .map(|filter| {
                    let at = filter.find(['=', '!']).unwrap();
                    value_of(&filter[..at], &filter[at..]).unwrap()
                })
                .collect();
            let (field, event) = filters.remove(0);
            assert_eq!(field, "event", "{name}");
            asked.insert((event, filters));
        }
        let labels = rest.split("by (").skip(1).flat_map(|by| by.split(')').next().unwrap().split(", "));
        let shown = rest.split("$labels.").skip(1).map(|label| label.split(' ').next().unwrap());
        let labels = labels.chain(shown).map(str::to_owned).collect();
        assert!(alerts.insert(name.to_owned(), (asked, labels)).is_none(), "{name} is there twice");
    }
    assert!(alerts.len() >= 10, "{alerts:?}");
    alerts
}

/// The alerts of ElastAlert, with what each asks for and the fields that it shows.
fn elastic() -> BTreeMap<String, (Asked, BTreeSet<String>)> {
    let mut alerts = BTreeMap::new();
    for file in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(ELASTIC)).unwrap() {
        let path = file.unwrap().path();
        let rule = fs::read_to_string(&path).unwrap();
        let name = rule.split("\nname: ").nth(1).unwrap().lines().next().unwrap().to_owned();
        assert_eq!(path.file_stem().unwrap().to_str(), Some(name.as_str()), "a file is called as its rule");
        let query = rule.split("query: '").nth(1).unwrap().split('\'').next().unwrap();
        let mut filters: Vec<_> = query
            .split(" AND ")
            .map(|term| {
                let term = term.trim_start_matches("NOT ").strip_prefix("cdn_usaged.").unwrap();
                let (field, value) = term.split_once(": ").unwrap();
                value_of(field, value).unwrap()
            })
            .collect();
        let (field, event) = filters.remove(0);
        assert_eq!(field, "event", "{name}");
        let shown = rule.split("cdn_usaged.").skip(1).map(|rest| rest.split([',', ']', ':', '\n']).next().unwrap());
        let shown = shown.filter(|field| *field != "event").map(str::to_owned).collect();
        alerts.insert(name, (Asked::from([(event, filters)]), shown));
    }
    assert!(alerts.len() >= 10, "{alerts:?}");
    alerts
}

fn assert_exists(alert: &str, asked: &Asked, shown: &BTreeSet<String>, emitted: &BTreeMap<String, Emitted>) {
    for (event, filters) in asked {
        let known = emitted.get(event).unwrap_or_else(|| panic!("{alert}: there is no event {event}"));
        for field in filters.iter().map(|(field, _)| field).chain(shown) {
            assert!(known.fields.contains_key(field), "{alert}: {event} has no field {field}");
        }
    }
}

#[test]
fn every_event_and_field_that_the_rules_name_exists() {
    let emitted = emitted();
    for (alert, (asked, shown)) in loki().into_iter().chain(elastic()) {
        assert!(!asked.is_empty(), "{alert}");
        assert_exists(&alert, &asked, &shown, &emitted);
    }
}

/// The words of a closed set that a rule compares with are those that lines have.
#[test]
fn the_words_that_the_rules_compare_with_are_those_of_the_program() {
    let mut words = BTreeSet::new();
    for (_, (asked, _)) in loki().into_iter().chain(elastic()) {
        words.extend(asked.into_iter().flat_map(|(_, filters)| filters));
    }
    let failed = cdn_usaged::model::task::Status::Failed;
    let unlisted = cdn_usaged::model::observe::Kind::Unlisted;
    let known = [
        ("consistent", "true"),
        ("kind", unlisted.as_str()),
        // Of src/poll/sweep.rs, which the binary's own tests see in lines.
        ("mode", "full"),
        ("reason", Reason::Integrity.as_str()),
        ("to", failed.as_str()),
    ];
    assert_eq!(words, known.map(|(field, word)| (field.to_owned(), word.to_owned())).into());
}

#[test]
fn every_alert_is_named_where_the_event_that_feeds_it_is_explained() {
    let mut fed: BTreeSet<(String, String)> = BTreeSet::new();
    for (event, page) in documented() {
        fed.extend(page.alerts.into_iter().map(|alert| (alert, event.clone())));
    }
    let asked = loki().into_iter().flat_map(|(alert, (asked, _))| {
        asked.into_iter().map(move |(event, _)| (alert.clone(), event)).collect::<Vec<_>>()
    });
    assert_eq!(fed, asked.collect(), "docs/logs.md and {LOKI} agree on which event feeds which alert");
}

#[test]
fn the_rules_for_every_tool_have_the_same_alerts() {
    let alerts: BTreeSet<_> = loki().into_keys().collect();
    assert_eq!(alerts, elastic().into_keys().collect(), "{LOKI} and {ELASTIC}");
    let script = read(SCRIPT);
    let in_script: BTreeSet<_> = script
        .split("CdnUsaged")
        .skip(1)
        .map(|rest| format!("CdnUsaged{}", rest.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap()))
        .collect();
    assert_eq!(alerts, in_script, "{LOKI} and {SCRIPT}");
}

#[test]
fn an_alert_of_the_metrics_has_a_counterpart_or_is_said_to_have_none() {
    // A package of the rules alone, or of the logs alone, is none the worse for it.
    let Ok(metrics) = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PROMETHEUS)) else { return };
    let said = read("monitoring/logs/README.md");
    let alerts: BTreeSet<_> =
        metrics.split("- alert: ").skip(1).map(|rest| rest.lines().next().unwrap().trim().to_owned()).collect();
    assert!(alerts.len() >= 10, "{alerts:?}");
    let of_logs: BTreeSet<_> = loki().into_keys().collect();
    for alert in &alerts {
        let is_said = said.contains(&format!("`{alert}`"));
        assert_ne!(of_logs.contains(alert), is_said, "{alert}: one of {LOKI} and monitoring/logs/README.md names it");
    }
    assert!(of_logs.is_subset(&alerts), "{of_logs:?} are among {alerts:?}");
}

#[test]
fn the_rules_for_the_journal_are_those_for_json_with_other_names() {
    let body = |path| read(path).split_once("\ngroups:\n").unwrap().1.to_owned();
    let mut json = body(LOKI);
    for field in ["account", "export"] {
        json = json.replace(&format!("$labels.{field}"), &format!("$labels.CDN_USAGED_{}", field.to_uppercase()));
    }
    json = json.replace("by (account, export)", "by (CDN_USAGED_ACCOUNT, CDN_USAGED_EXPORT)");
    json = json.replace("by (account)", "by (CDN_USAGED_ACCOUNT)");
    for (_, (asked, _)) in loki() {
        for (_, filters) in asked {
            for (field, _) in filters.into_iter().chain([("event".to_owned(), String::new())]) {
                for sign in ["=", "!="] {
                    let journal = format!("| CDN_USAGED_{}{sign}", field.to_uppercase());
                    json = json.replace(&format!("| {field}{sign}"), &journal);
                }
            }
        }
    }
    assert_eq!(json, body(LOKI_JOURNAL));
}

#[test]
fn the_script_matches_the_ids_of_the_events_that_it_knows() {
    let script = read(SCRIPT);
    let known: BTreeMap<_, _> = script
        .split("alert[\"")
        .skip(1)
        .map(|rest| {
            let (event, rest) = rest.split_once("\"] = \"").unwrap();
            (event, rest.split('"').next().unwrap())
        })
        .collect();
    let fed = documented();
    for (event, alert) in &known {
        assert!(fed[*event].alerts.contains(*alert), "{event} does not feed {alert}");
    }
    let matched: BTreeSet<_> = script.split("MESSAGE_ID=").skip(1).map(|rest| &rest[..32]).collect();
    let wanted = known.keys().copied().chain(["poll.completed"]).map(|event| message_id(event).unwrap());
    assert_eq!(matched, wanted.collect());
    let emitted = emitted();
    let fields = script.split("CDN_USAGED_").skip(1).filter_map(|rest| {
        let name = rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next().unwrap();
        let settings = ["ALERT_COMMAND", "UNITS", "SILENCE_MINUTES", "SWEEP_HOURS", "JOURNAL"];
        Some(name.to_lowercase()).filter(|_| !settings.contains(&name))
    });
    let common = ["event", "timestamp"];
    let unknown: Vec<_> = fields
        .filter(|f| !common.contains(&f.as_str()) && !emitted.values().any(|e| e.fields.contains_key(f)))
        .collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}
