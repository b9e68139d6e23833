//! Every event that is logged is the one that the documents, the journal's catalog and the alert rules speak of.
//!
//! The events are made for real, by the functions of `src/events.rs` through the layers that write lines, and what comes out
//! is compared with what is written about it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "logs/alerts.rs"]
mod alerts;
#[path = "logs/catalog.rs"]
mod catalog;
#[path = "logs/emitted.rs"]
mod emitted;
#[path = "logs/script.rs"]
mod script;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use cdn_usaged::events::MESSAGE_IDS;
use emitted::{Emitted, emitted};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// What `docs/logs.md` says of an event.
#[derive(Debug)]
struct Documented {
    levels: BTreeSet<String>,
    message_id: String,
    alerts: BTreeSet<String>,
    /// Name, kind, and whether it may be absent.
    fields: BTreeMap<String, (String, bool)>,
    has_advice: bool,
}

fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn documented() -> BTreeMap<String, Documented> {
    let page = read("docs/logs.md");
    let mut events = BTreeMap::new();
    for section in page.split("\n### ").skip(1) {
        let mut lines = section.lines().filter(|line| !line.is_empty());
        let name = spans(lines.next().unwrap()).next().unwrap().to_owned();
        let head: Vec<_> = lines.next().unwrap().split(" · ").collect();
        let [levels, id, alerts] = head.as_slice() else { panic!("{name}: {head:?}") };
        let words = levels.split(|c: char| !c.is_ascii_alphabetic());
        let levels = words.filter(|w| ["error", "warn", "info"].contains(w)).map(str::to_owned).collect();
        let id = spans(id).next().unwrap().strip_prefix("MESSAGE_ID=").unwrap().to_owned();
        let alerts: BTreeSet<_> = spans(alerts.strip_prefix("alert: ").unwrap()).map(str::to_owned).collect();
        let rows = section.lines().filter(|line| line.starts_with("| `"));
        let mut fields = BTreeMap::new();
        for row in rows {
            let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
            let [field, kind, is, absent] = cells.as_slice() else { panic!("{name}: {row}") };
            assert!(!is.is_empty(), "{name}: {row}");
            let field = spans(field).next().unwrap().to_owned();
            let twice = fields.insert(field, ((*kind).to_owned(), !absent.is_empty()));
            assert!(twice.is_none(), "{name}: {row}");
        }
        let has_advice = section.contains("\nWhat to do: ");
        let event = Documented { levels, message_id: id, alerts, fields, has_advice };
        assert!(events.insert(name.clone(), event).is_none(), "{name} is there twice");
    }
    assert!(events.len() >= 20, "{events:?}");
    events
}

fn set<'w>(words: impl IntoIterator<Item = &'w str>) -> BTreeSet<String> {
    words.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_event_has_an_id_of_its_own_that_is_no_other_s() {
    let known = set(MESSAGE_IDS.iter().map(|(event, _)| *event));
    assert_eq!(known, emitted().keys().cloned().collect(), "src/events/ids.rs has each event once");
    assert_eq!(known.len(), MESSAGE_IDS.len());
    assert_eq!(set(MESSAGE_IDS.iter().map(|(_, id)| *id)).len(), MESSAGE_IDS.len());
    for (event, id) in MESSAGE_IDS {
        let is_id = id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        assert!(is_id, "{event}: {id}");
        // Random ids say so of themselves: version 4, variant 1.
        assert!(id.as_bytes()[12] == b'4' && b"89ab".contains(&id.as_bytes()[16]), "{event}: {id} is not random");
        assert_eq!(cdn_usaged::events::message_id(event), Some(id));
    }
    assert_eq!(cdn_usaged::events::message_id("log"), None);
}

#[test]
fn the_page_of_log_lines_has_each_event_with_its_levels_fields_and_id() {
    let (emitted, documented) = (emitted(), documented());
    let names: BTreeSet<_> = documented.keys().collect();
    assert_eq!(names, emitted.keys().collect(), "docs/logs.md has a section for each event");
    for (name, event) in &emitted {
        let page = &documented[name];
        assert_eq!(page.levels, event.levels, "{name}");
        assert_eq!(Some(page.message_id.as_str()), cdn_usaged::events::message_id(name), "{name}");
        assert!(page.has_advice, "{name}: what is to be done?");
        let fields: BTreeMap<_, _> =
            page.fields.iter().map(|(field, (_, may_be_absent))| (field.clone(), *may_be_absent)).collect();
        assert_eq!(fields, event.fields, "{name}: fields, and whether they may be absent");
        for (field, (kind, _)) in &page.fields {
            let unit = match field.rsplit('_').next().unwrap() {
                "ms" => "ms",
                "bytes" => "bytes",
                _ => kind,
            };
            assert_eq!(unit, kind, "{name}: the unit of {field}");
            let json = match kind.as_str() {
                "text" | "time" => "string",
                "boolean" => "boolean",
                "count" | "ms" | "bytes" | "seconds" => "number",
                other => panic!("{name}: {field} is {other:?}"),
            };
            assert_eq!(json, event.kinds[field], "{name}: the kind of {field}");
        }
    }
}

/// Rows of a table of events: names, levels, and the words of the third column.
fn event_rows(path: &str) -> BTreeMap<String, (BTreeSet<String>, String)> {
    let document = read(path);
    let heads = ["\n| event | level |", "\n| 事件 | 级别 |"];
    let table = heads.iter().find_map(|head| document.split(head).nth(1)).unwrap();
    let mut rows = BTreeMap::new();
    for line in table.lines().skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let words = cells[1].split(|c: char| !c.is_ascii_alphabetic());
        let levels = set(words.filter(|w| ["error", "warn", "info"].contains(w)));
        for name in spans(cells[0]) {
            assert!(rows.insert(name.to_owned(), (levels.clone(), cells[2].to_owned())).is_none(), "{path}: {name}");
        }
    }
    assert!(rows.len() >= 15, "{path}: {rows:?}");
    rows
}

#[test]
fn the_readmes_and_the_manual_have_the_same_events_and_levels() {
    let emitted = emitted();
    for path in ["README.md", "README.zh-CN.md", "docs/operating.md"] {
        let rows = event_rows(path);
        let missing: Vec<_> = emitted.keys().filter(|name| !rows.contains_key(*name)).collect();
        assert!(missing.is_empty(), "{path} lacks {missing:?}");
        for (name, (levels, _)) in &rows {
            let event = emitted.get(name).unwrap_or_else(|| panic!("{path}: there is no {name}"));
            assert!(event.levels.is_subset(levels), "{path}: {name} is logged as {:?}", event.levels);
        }
    }
}

#[test]
fn each_readme_names_every_field() {
    let emitted = emitted();
    for path in ["README.md", "README.zh-CN.md"] {
        let rows = event_rows(path);
        for (name, event) in &emitted {
            let (_, fields) = &rows[name];
            let named: BTreeSet<_> =
                fields.split(|c: char| !(c.is_ascii_lowercase() || "_0123456789".contains(c))).collect();
            let beside = ["account", "export", "task_id"];
            let missing: Vec<_> =
                event.fields.keys().filter(|f| !beside.contains(&f.as_str()) && !named.contains(f.as_str())).collect();
            assert!(missing.is_empty(), "{path}: {name} lacks {missing:?}");
        }
    }
}

#[test]
fn in_the_journal_an_event_has_its_id_and_its_fields_in_capitals() {
    let emitted = emitted();
    let entries = script::entries();
    assert!(entries.len() >= emitted.len(), "{entries:?}");
    let mut seen = BTreeSet::new();
    for entry in &entries {
        let name = &entry["CDN_USAGED_EVENT"];
        let Emitted { fields, .. } = &emitted[name];
        assert_eq!(Some(entry["MESSAGE_ID"].as_str()), cdn_usaged::events::message_id(name), "{name}");
        for (field, may_be_absent) in fields {
            let is_there = entry.contains_key(&format!("CDN_USAGED_{}", field.to_uppercase()));
            assert!(is_there || *may_be_absent, "{name}: {field}: {entry:?}");
        }
        seen.insert(name.clone());
    }
    assert_eq!(seen, emitted.keys().cloned().collect());
}
