use std::{collections::BTreeMap, fs::File, path::Path};

use tempfile::TempDir;
use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::{
    events,
    logging::{filter, journald_layer, tests::Written},
};

/// Logs, and returns what came to standard error instead.
fn log_to(socket: &Path, log: impl FnOnce()) -> String {
    let written = Written::default();
    let writer = written.clone();
    let layer = journald_layer(socket.to_owned(), filter("trace").unwrap(), move || writer.clone());
    crate::logging::tests::everybody_listens();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    written.text()
}

/// A journal that takes what is sent to it.
fn journal() -> (TempDir, PathBuf, UnixDatagram) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("socket");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    (dir, path, socket)
}

fn entries(journal: &UnixDatagram) -> Vec<String> {
    let mut entries = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while let Ok(bytes) = journal.recv(&mut buffer) {
        entries.push(String::from_utf8(buffer[..bytes].to_vec()).unwrap());
    }
    entries
}

/// The fields of the one entry that `log` makes; all else of it is none.
fn fields(log: impl FnOnce()) -> BTreeMap<String, String> {
    let (_dir, path, journal) = journal();
    assert_eq!(log_to(&path, log), "");
    let entries = entries(&journal);
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert!(entry.ends_with('\n'));
    let fields: Vec<_> = entry.lines().map(|line| line.split_once('=').expect(line)).collect();
    let map: BTreeMap<_, _> = fields.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    assert_eq!(map.len(), fields.len(), "{entry}");
    map
}

#[test]
fn an_event_is_one_entry_with_its_fields_in_capitals() {
    let mut fields = fields(|| {
        info!(target: "cdn_usaged::poll", event = "poll.completed", account = %"main", pages = 3_u64, consistent = true,
            total = None::<u64>, "poll of {}", "main/usage");
    });
    let at = fields.remove("CDN_USAGED_TIMESTAMP").unwrap();
    assert!(at.len() == 24 && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("CDN_USAGED_ACCOUNT", "main"),
            ("CDN_USAGED_CONSISTENT", "true"),
            ("CDN_USAGED_EVENT", "poll.completed"),
            ("CDN_USAGED_LEVEL", "info"),
            ("CDN_USAGED_PAGES", "3"),
            ("MESSAGE", "poll of main/usage"),
            ("MESSAGE_ID", "2ef2a70c8c604bee91907a662d5d6867"),
            ("PRIORITY", "6"),
            ("SYSLOG_IDENTIFIER", "cdn-usaged"),
        ]
    );
}

#[test]
fn the_events_of_this_program_arrive_with_what_the_contract_names() {
    let fields = fields(|| events::storage_low("/srv/x", 5));
    for (name, value) in [
        ("CDN_USAGED_EVENT", "storage.low"),
        ("CDN_USAGED_PATH", "/srv/x"),
        ("CDN_USAGED_FREE_BYTES", "5"),
        ("PRIORITY", "3"),
    ] {
        assert_eq!(fields[name], value);
    }
}

#[test]
fn levels_are_the_priorities_of_syslog() {
    let (_dir, path, journal) = journal();
    log_to(&path, || {
        error!(target: "cdn_usaged", "x");
        warn!(target: "cdn_usaged", "x");
        info!(target: "cdn_usaged", "x");
        debug!(target: "cdn_usaged", "x");
        trace!(target: "cdn_usaged", "x");
    });
    let priorities: Vec<_> = entries(&journal)
        .iter()
        .map(|entry| entry.lines().find_map(|line| line.strip_prefix("PRIORITY=")).unwrap().to_owned())
        .collect();
    assert_eq!(priorities, ["3", "4", "6", "7", "7"]);
}

#[test]
fn a_line_of_another_crate_has_its_target_and_always_a_message() {
    let fields = fields(|| warn!(target: "hyper::proto", event = "mine", "odd.name" = 1));
    assert_eq!(fields["MESSAGE"], "hyper::proto");
    assert_eq!(fields["CDN_USAGED_TARGET"], "hyper::proto");
    assert_eq!((fields["CDN_USAGED_EVENT"].as_str(), fields["CDN_USAGED_FIELD_EVENT"].as_str()), ("log", "mine"));
    assert_eq!(fields["CDN_USAGED_ODD_NAME"], "1");
}

#[test]
fn a_name_from_the_network_can_neither_add_a_field_nor_drive_a_terminal() {
    let name = "a\nPRIORITY=0\u{1b}[2J\u{9b}m\u{202e}\0";
    let fields = fields(|| info!(target: "cdn_usaged", event = "task.transition", name, "task {name}"));
    assert_eq!(fields["PRIORITY"], "6");
    for (field, value) in &fields {
        assert!(!value.contains(crate::text::is_hidden), "{field}: {value:?}");
    }
    assert_eq!(fields["MESSAGE"], format!("task {}", fields["CDN_USAGED_NAME"]));
    assert!(fields["CDN_USAGED_NAME"].starts_with("a\\nPRIORITY=0\\u{1b}[2J"));
}

#[test]
fn signed_links_are_cut_from_messages_and_values() {
    let link = "https://b.oss.com/a?Signature=MARK";
    let fields =
        fields(|| error!(target: "cdn_usaged", event = link, error = link, shown = %link, "it failed: {link}"));
    let whole: Vec<_> = fields.values().filter(|v| v.contains("https://b.oss.com/a?[redacted]")).collect();
    assert_eq!(whole.len(), 4, "{fields:?}");
    assert!(!format!("{fields:?}").contains("MARK"));
}

#[test]
fn a_very_long_value_is_cut_between_characters_and_a_long_name_to_what_the_journal_takes() {
    let long = "€".repeat(200_000);
    let fields = fields(|| {
        info!(target: "cdn_usaged", error = long, a_name_that_is_longer_than_the_journal_allows_for_any_of_its_fields = 1, "{long}");
    });
    for name in ["CDN_USAGED_ERROR", "MESSAGE"] {
        let (cut, mark) = fields[name].split_at(fields[name].len() - "…".len());
        assert!(mark == "…" && cut.len() <= VALUE_MAX_BYTES && cut.len() > VALUE_MAX_BYTES - 4, "{}", cut.len());
    }
    assert!(fields.keys().any(|name| name.len() == NAME_MAX_BYTES), "{:?}", fields.keys());
    assert!(fields.keys().all(|name| name.len() <= NAME_MAX_BYTES));
    let exact = "x".repeat(VALUE_MAX_BYTES);
    assert_eq!(super::tests::fields(|| info!(target: "cdn_usaged", error = exact, "x"))["CDN_USAGED_ERROR"], exact);
}

#[test]
fn without_a_journal_a_line_is_json_on_standard_error() {
    let dir = TempDir::new().unwrap();
    let written = log_to(&dir.path().join("absent"), || events::storage_low("/srv/x", 5));
    let line: Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&line["event"], &line["free_bytes"]), (&"storage.low".into(), &5.into()));
}

#[test]
fn a_journal_that_ends_and_comes_back_costs_no_line() {
    let (dir, path, first) = journal();
    let mut second = None;
    let written = log_to(&path, || {
        info!(target: "cdn_usaged", "to the first");
        // Nobody listens, but the name is still there.
        drop(first);
        info!(target: "cdn_usaged", "to nobody");
        std::fs::remove_file(&path).unwrap();
        second = Some(UnixDatagram::bind(dir.path().join("socket")).unwrap());
        info!(target: "cdn_usaged", "to the second");
    });
    assert_eq!(written.lines().count(), 1, "{written}");
    assert!(written.contains("to nobody"));
    let second = second.unwrap();
    second.set_nonblocking(true).unwrap();
    let entries = entries(&second);
    assert!(entries.len() == 1 && entries[0].contains("MESSAGE=to the second\n"), "{entries:?}");
}

#[test]
fn a_journal_that_hangs_loses_no_line_and_is_used_again_when_it_goes_on() {
    // More than any kernel queues for a datagram socket by default.
    const LINES: u64 = 2_000;
    let (_dir, path, journal) = journal();
    let mut taken = Vec::new();
    let written = log_to(&path, || {
        for n in 0..LINES {
            info!(target: "cdn_usaged", n, "x");
        }
        taken = entries(&journal);
        info!(target: "cdn_usaged", "after");
    });
    assert!(!taken.is_empty());
    assert_eq!((taken.len() + written.lines().count()) as u64, LINES);
    assert!(!written.contains("after") && !written.is_empty());
    let after = entries(&journal);
    assert!(after.len() == 1 && after[0].contains("MESSAGE=after\n"), "{after:?}");
}

#[test]
fn the_journal_is_recognised_by_device_and_inode() {
    let dir = TempDir::new().unwrap();
    let (one, other) = (File::create(dir.path().join("1")).unwrap(), File::create(dir.path().join("2")).unwrap());
    let stat = rustix::fs::fstat(&one).unwrap();
    let named = format!("{}:{}", stat.st_dev, stat.st_ino);
    assert!(is_stream(&named, &one));
    assert!(!is_stream(&named, &other));
    let device = stat.st_dev;
    for wrong in [String::new(), ":".to_owned(), device.to_string(), format!("{device}:"), format!("{named}:1")] {
        assert!(!is_stream(&wrong, &one), "{wrong}");
    }
}
