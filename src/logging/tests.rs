use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tracing::{debug, error, info, trace, warn};

use super::*;

/// What was written, shared with the layer.
#[derive(Clone, Default)]
pub(super) struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has every thread of the tests listen, to nothing: a place that logs for the first time asks only the thread that it is
/// in whether anybody listens, and stays silent for all if nobody does. To be called before a test listens itself.
pub(crate) fn everybody_listens() {
    // An error only says that another test has done it.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
}

fn lines(format: Format, level: &str, log: impl FnOnce()) -> Vec<String> {
    let written = Written::default();
    let writer = written.clone();
    let layer = layer(format, filter(level).unwrap(), move || writer.clone());
    everybody_listens();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
    let text = written.text();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

fn json(log: impl FnOnce()) -> Vec<Value> {
    lines(Format::Json, "trace", log).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(log: impl FnOnce()) -> Vec<String> {
    lines(Format::Text { colour: false }, "trace", log)
}

#[test]
fn json_is_flat_with_numbers_as_numbers_and_absent_fields_left_out() {
    let lines = json(|| {
        info!(target: "cdn_usaged::poll", event = "poll.completed", account = %"main", pages = 3_u64, consistent = true,
            total = None::<u64>, delta = -1_i64, ratio = 0.5, "poll of {}", "main/usage");
    });
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    let at = line["timestamp"].as_str().unwrap();
    assert!(at.len() == 24 && at.ends_with('Z') && at.parse::<jiff::Timestamp>().is_ok(), "{at}");
    let mut rest = line.clone();
    rest.as_object_mut().unwrap().remove("timestamp");
    assert_eq!(
        rest,
        serde_json::json!({
            "level": "info", "event": "poll.completed", "message": "poll of main/usage", "account": "main", "pages": 3,
            "consistent": true, "delta": -1, "ratio": 0.5
        })
    );
}

#[test]
fn every_event_of_the_program_is_a_valid_line_with_its_name() {
    let lines = json(|| {
        crate::events::storage_low("/srv/x", 5);
        crate::events::store_failed("the disk is gone");
    });
    let names: Vec<_> = lines.iter().map(|l| (l["event"].as_str().unwrap(), l["level"].as_str().unwrap())).collect();
    assert_eq!(names, [("storage.low", "error"), ("store.failed", "error")]);
    assert_eq!(lines[0]["free_bytes"], 5);
}

#[test]
fn lines_of_other_crates_are_named_log_and_show_their_target() {
    let lines = json(|| {
        warn!(target: "hyper::proto", event = "mine", level = "x", "odd");
        debug!(target: "cdn_usaged::cdn", "detail");
    });
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["event"], &lines[0]["target"]), (&"log".into(), &"hyper::proto".into()));
    assert_eq!(
        (&lines[0]["field_event"], &lines[0]["field_level"], &lines[0]["level"]),
        (&"mine".into(), &"x".into(), &"warn".into())
    );
    assert_eq!((&lines[1]["event"], &lines[1]["target"]), (&"log".into(), &"cdn_usaged::cdn".into()));
}

#[test]
fn text_is_one_sentence_a_line_with_fields_behind() {
    let lines = text(|| {
        info!(target: "cdn_usaged::poll", event = "poll.completed", pages = 3_u64, name = "two words", bare = "x", "poll done");
        error!(target: "sqlx::query", "slow");
    });
    let [ours, theirs] = lines.as_slice() else { panic!("{lines:?}") };
    let (at, rest) = ours.split_once(' ').unwrap();
    assert!(at.parse::<jiff::Timestamp>().is_ok(), "{ours}");
    assert_eq!(rest, "INFO  poll.completed poll done (pages=3 name=\"two words\" bare=x)");
    assert!(theirs.ends_with(" ERROR sqlx::query slow"), "{theirs}");
}

#[test]
fn colour_appears_only_when_asked_for() {
    let log = || info!(target: "cdn_usaged", "x");
    assert!(lines(Format::Text { colour: true }, "info", log)[0].contains("\u{1b}[32mINFO"));
    assert!(!lines(Format::Text { colour: false }, "info", log)[0].contains('\u{1b}'));
}

#[test]
fn a_name_from_the_network_can_neither_split_a_line_nor_drive_a_terminal() {
    let name = "a\nb\u{1b}[2J\u{9b}m\u{202e}\u{2066}\u{85}\u{2028}\"c\\\u{7f}";
    let log = || info!(target: "cdn_usaged", event = "task.transition", name, "task {name}");
    for format in [Format::Json, Format::Text { colour: false }] {
        let lines = lines(format, "info", log);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(!lines[0].contains(crate::text::is_hidden), "{lines:?}");
    }
    // Nothing is lost for machines.
    assert_eq!(json(log)[0]["name"], name);
    assert!(text(log)[0].contains("task a\\nb\\u{1b}[2J"));
}

#[test]
fn signed_links_and_keys_are_cut_from_messages_and_from_every_kind_of_value() {
    #[derive(Debug)]
    struct Outer(io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let link = "https://b.oss.com/a?Signature=MARK";
    let cause = Outer(io::Error::other(link));
    let log = || {
        error!(target: "cdn_usaged", event = link, error = link, shown = %link, debug = ?link, failed = link,
            cause = &cause as &dyn std::error::Error, "it failed: {link}");
    };
    for format in [Format::Json, Format::Text { colour: false }] {
        let lines = lines(format, "info", log);
        assert!(lines.len() == 1 && !lines[0].contains("MARK"), "{lines:?}");
        assert_eq!(lines[0].matches("https://b.oss.com/a?[redacted]").count(), 7, "{lines:?}");
        assert!(lines[0].contains("outer: https://b.oss.com/a?[redacted]"), "{lines:?}");
    }
}

fn log_everywhere() {
    info!(target: "cdn_usaged::poll", "poll-info");
    debug!(target: "cdn_usaged::poll", "poll-debug");
    trace!(target: "cdn_usaged::cdn", "cdn-trace");
    warn!(target: "cdn_usaged::cdn", "cdn-warn");
    info!(target: "hyper", "other-info");
    warn!(target: "hyper", "other-warn");
}

#[test]
fn a_level_is_for_this_program_and_a_list_for_its_parts() {
    for (level, expected) in [
        ("off", &["other-warn"] as &[_]),
        ("error", &["other-warn"]),
        ("info", &["poll-info", "cdn-warn", "other-warn"]),
        ("DEBUG", &["poll-info", "poll-debug", "cdn-warn", "other-warn"]),
        ("trace", &["poll-info", "poll-debug", "cdn-trace", "cdn-warn", "other-warn"]),
        ("cdn_usaged::poll=debug", &["poll-info", "poll-debug", "cdn-warn", "other-warn"]),
        ("cdn_usaged=info, cdn_usaged::cdn=trace", &["poll-info", "cdn-trace", "cdn-warn", "other-warn"]),
        ("info,cdn_usaged::poll=off", &["cdn-warn", "other-warn"]),
    ] {
        let lines = lines(Format::Json, level, log_everywhere);
        let messages: Vec<String> = lines
            .iter()
            .map(|l| serde_json::from_str::<Value>(l).unwrap()["message"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(messages, expected, "{level}");
    }
}

#[test]
fn what_is_no_filter_is_refused_with_what_is_allowed() {
    for level in [
        "",
        "loud",
        "3",
        "hyper=debug",
        "info,",
        "cdn_usaged=",
        "cdn_usaged::=info",
        "cdn_usagedx=info",
        "cdn_usaged::a b=info",
        "cdn_usaged=loud",
        "*=info",
    ] {
        let error = filter(level).unwrap_err().to_string();
        assert!(
            error.contains("off, error, warn, info, debug, trace") && error.contains(&format!("{level:?}")),
            "{error}"
        );
    }
}

#[test]
fn the_level_can_be_changed_while_running() {
    let written = Written::default();
    let writer = written.clone();
    let (reloadable, handle) = reload::Layer::new(filter("info").unwrap());
    let handle = Handle(handle);
    let lines = Lines::written(Format::Json, move || writer.clone()).with_filter(reloadable);
    everybody_listens();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
        let log = |n: u64| debug!(target: "cdn_usaged", n, "x");
        log(1);
        assert!(handle.set_level("loud").is_err());
        log(2);
        handle.set_level("debug").unwrap();
        log(3);
        handle.set_level("info").unwrap();
        log(4);
    });
    let text = written.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("\"n\":3"), "{text}");
    assert!(matches!(handle.set_level("debug"), Err(LoggingError::Gone)));
}

#[test]
fn the_daemon_s_own_events_have_the_fields_that_are_promised() {
    let lines = json(|| {
        crate::events::daemon_started();
        crate::events::daemon_ready();
        crate::events::daemon_stopping("SIGTERM");
        crate::events::daemon_stopped();
        crate::events::config_reloaded(&crate::events::Reloaded {
            added: vec!["b".to_owned(), "c".to_owned()],
            removed: Vec::new(),
            changed: vec!["poll.interval".to_owned()],
        });
        crate::events::config_reloaded(&crate::events::Reloaded::default());
        crate::events::config_rejected("it is wrong");
    });
    let of = |line: &Value| {
        let mut line = line.as_object().unwrap().clone();
        assert!(line.remove("timestamp").is_some() && line.remove("message").is_some_and(|m| m != ""));
        Value::from(line)
    };
    let lines: Vec<_> = lines.iter().map(of).collect();
    assert_eq!(
        lines,
        [
            serde_json::json!({"level": "info", "event": "daemon.started", "version": env!("CARGO_PKG_VERSION")}),
            serde_json::json!({"level": "info", "event": "daemon.ready"}),
            serde_json::json!({"level": "info", "event": "daemon.stopping", "reason": "SIGTERM"}),
            serde_json::json!({"level": "info", "event": "daemon.stopped"}),
            serde_json::json!({"level": "info", "event": "config.reloaded", "added": "b,c", "changed": "poll.interval"}),
            serde_json::json!({"level": "info", "event": "config.reloaded"}),
            serde_json::json!({"level": "error", "event": "config.rejected", "error": "it is wrong"}),
        ]
    );
}
