//! The journal's catalogs: an entry for each event, which systemd takes and shows.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Output},
};

use cdn_usaged::events::message_id;
use tempfile::TempDir;

use super::{emitted::emitted, read};

const CATALOGS: [&str; 2] = ["systemd/cdn-usaged.catalog", "systemd/cdn-usaged.zh_CN.catalog"];

#[derive(Debug)]
struct Entry {
    /// From the comment below the id.
    event: String,
    headers: BTreeMap<String, String>,
    text: String,
}

/// As systemd reads it: an id on a line of its own, after an empty line; headers up to the next empty line; the rest.
fn entries(path: &str) -> BTreeMap<String, Entry> {
    let catalog = read(path);
    assert!(catalog.lines().all(|line| line.trim_end() == line), "{path}: no blanks at the end of a line");
    let mut entries = BTreeMap::new();
    for part in catalog.split("\n\n-- ").skip(1) {
        let (head, text) = part.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let id = lines.next().unwrap().to_owned();
        let event = lines.next().unwrap().strip_prefix("# ").unwrap().to_owned();
        let headers = lines.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{path}: {line}")));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let entry = Entry { event, headers, text: text.to_owned() };
        assert!(entries.insert(id.clone(), entry).is_none(), "{path}: {id} is there twice");
    }
    entries
}

/// The fields that a text names: `@CDN_USAGED_PATH@` is `path`.
fn substituted(text: &str) -> BTreeSet<String> {
    let names = text.split('@').skip(1).step_by(2);
    names.map(|name| name.strip_prefix("CDN_USAGED_").unwrap_or_else(|| panic!("@{name}@")).to_lowercase()).collect()
}

#[test]
fn each_catalog_explains_each_event_with_fields_that_are_always_there() {
    let emitted = emitted();
    let english = entries(CATALOGS[0]);
    for path in CATALOGS {
        let entries = entries(path);
        let events: BTreeSet<_> = entries.values().map(|entry| &entry.event).collect();
        assert_eq!(events, emitted.keys().collect(), "{path} has an entry for each event");
        for (id, Entry { event, headers, text }) in &entries {
            assert_eq!(Some(id.as_str()), message_id(event), "{path}: {event}");
            let names: Vec<_> = headers.keys().map(String::as_str).collect();
            assert_eq!(names, ["Defined-By", "Documentation", "Subject"], "{path}: {event}");
            assert!(headers["Subject"].chars().count() <= 60, "{path}: {event}");
            let used = substituted(text);
            for field in &used {
                // The journal shows the field's name in place of one that is not there.
                let may_be_absent = emitted[event].fields.get(field);
                assert_eq!(may_be_absent, Some(&false), "{path}: {event} has not always a field {field}");
            }
            assert_eq!(used, substituted(&english[id].text), "{path}: {event} is the same in every language");
            // What comes from the network is not to be pasted into a shell.
            let commands: Vec<_> =
                text.lines().filter(|line| line.starts_with("    ") && line.contains("cdn-usaged ")).collect();
            assert!(commands.iter().all(|line| !line.contains('@')), "{path}: {event}: {commands:?}");
            let shown = |text: &str| {
                let lines = text.lines().filter(|line| line.starts_with("    "));
                lines.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(shown(text), shown(&english[id].text), "{path}: {event}");
        }
    }
}

fn journalctl(root: &TempDir, argument: &str) -> Output {
    let root = format!("--root={}", root.path().display());
    Command::new("journalctl").args([argument, "--no-pager", &root]).env("LC_ALL", "C.UTF-8").output().unwrap()
}

#[test]
fn systemd_takes_the_catalogs_and_shows_every_entry() {
    if Command::new("journalctl").arg("--version").output().is_err() {
        let _ = writeln!(io::stderr(), "not compiled, as journalctl is not installed: {CATALOGS:?}");
        return;
    }
    let root = TempDir::new().unwrap();
    let folder = root.path().join("usr/lib/systemd/catalog");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(root.path().join("var/lib/systemd/catalog")).unwrap();
    for path in CATALOGS {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    let update = journalctl(&root, "--update-catalog");
    assert!(update.status.success(), "{update:?}");
    assert_eq!(String::from_utf8(update.stderr).unwrap(), "", "it has nothing to say against them");
    let listed = String::from_utf8(journalctl(&root, "--list-catalog").stdout).unwrap();
    let dumped = String::from_utf8(journalctl(&root, "--dump-catalog").stdout).unwrap();
    let entries = entries(CATALOGS[0]);
    assert_eq!(listed.lines().count(), entries.len(), "{listed}");
    for (id, entry) in &entries {
        assert!(listed.contains(&format!("{id} cdn-usaged: {}\n", entry.headers["Subject"])), "{id}: {listed}");
        assert!(dumped.contains(entry.text.trim_end()), "{}: {dumped}", entry.event);
    }
}
