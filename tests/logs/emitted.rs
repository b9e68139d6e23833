//! Makes every event, in each of the forms that it has, and says what came out.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use cdn_usaged::{
    events::{self, PollCompleted, Reloaded, Stored, Transition, Window},
    logging::{self, Format},
    model::{
        download::{Reason, VerifiedBy},
        task::{AccountName, Export, ListingKey, TaskId, TaskKey},
    },
};
use tracing::Subscriber;
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt as _},
};

use super::{read, set};

/// What lines of one event had in common and in which they differed.
#[derive(Debug, Default)]
pub struct Emitted {
    pub levels: BTreeSet<String>,
    /// Every field that its lines can have, and whether it may be absent.
    pub fields: BTreeMap<String, bool>,
    /// Of each field, its kind in JSON.
    pub kinds: BTreeMap<String, &'static str>,
}

/// Of each function of `src/events.rs`, calls with and without all that is optional, at every level.
type Calls = Vec<(&'static str, fn())>;

fn account() -> AccountName {
    AccountName::parse("main").unwrap()
}

fn listing() -> ListingKey {
    ListingKey { account: account(), export: Export::parse("usage-detail").unwrap() }
}

fn task() -> TaskKey {
    TaskKey { listing: listing(), id: TaskId::parse("34230590001").unwrap() }
}

const SECOND: Duration = Duration::from_secs(1);

const SWEEP: PollCompleted = PollCompleted {
    mode: "full",
    pages: 3,
    calls: 5,
    tasks: 120,
    total: Some(120),
    consistent: Some(true),
    changed: 1,
    duration: SECOND,
};

const TRANSITION: Transition<'static> = Transition {
    kind: "status",
    name: Some("July"),
    from: Some("created"),
    to: "failed",
    remote_updated_at: Some("2026-11-23T13:57:22.000Z"),
    request_id: Some("DD8EAA42-C9DA-4651-C749-BA706DE8C733"),
    notable: true,
};

const STORED: Stored<'static> = Stored {
    path: "main/usage-detail/x.csv",
    bytes: 37,
    sha256: "bdf40aaf991489b3a559f018e57eefce9a98b569c5d8cbdc33cc51fab26a3bc8",
    revision: 1,
    verified_by: VerifiedBy::Crc64,
    attempt: 2,
    resumed_bytes: 5,
    duration: SECOND,
};

fn window(say: fn(&Window<'_>), advice: Option<&str>) {
    say(&Window {
        listing: &listing(),
        name: "traffic*",
        window: "month",
        date: "2026-06",
        range_start: "2026-05-31T16:00:00.000Z",
        range_end: "2026-06-30T15:59:59.000Z",
        due_at: "2026-07-03T16:00:00.000Z",
        why: "no file covers it; no task is known",
        advice,
    });
}

#[rustfmt::skip]
pub fn calls() -> Calls {
    vec![
        ("poll_completed", || events::poll_completed(&listing(), &SWEEP)),
        ("poll_completed", || events::poll_completed(&listing(), &PollCompleted { mode: "quick", consistent: None, total: None, ..SWEEP })),
        ("poll_failed", || events::poll_failed(&listing(), 1, "no route", Some("Throttling"), Some("DD8E"), Some(SECOND))),
        ("poll_failed", || events::poll_failed(&listing(), 3, "no route", None, None, None)),
        ("poll_failed", || events::poll_failed(&listing(), 3, "no route", Some("Throttling"), Some("DD8E"), Some(SECOND))),
        ("poll_suspect", || events::poll_suspect(&listing(), 0, 40)),
        ("api_throttled", || events::api_throttled(&account(), "Throttling.User", SECOND)),
        ("credentials_rejected", || events::credentials_rejected(&account(), "wrong", Some("SignatureDoesNotMatch"), Some("DD8E"))),
        ("credentials_rejected", || events::credentials_rejected(&account(), "wrong", None, None)),
        ("row_rejected", || events::row_rejected(&listing(), Some("7"), "no status")),
        ("row_rejected", || events::row_rejected(&listing(), None, "no id")),
        ("task_transition", || events::task_transition(&task(), &TRANSITION)),
        ("task_transition", || events::task_transition(&task(), &Transition {
            kind: "first", name: None, from: None, to: "success", remote_updated_at: None, request_id: None, notable: false,
        })),
        ("task_transition", || events::task_transition(&task(), &Transition { to: "success", notable: false, ..TRANSITION })),
        ("credentials_refreshed", || events::credentials_refreshed(&account(), "the role x", "2026-01-01T00:00:00.000Z")),
        ("credentials_refresh_failed", || {
            events::credentials_refresh_failed(&account(), "no answer", Some("2026-01-01T00:00:00.000Z"));
        }),
        ("credentials_refresh_failed", || events::credentials_refresh_failed(&account(), "no answer", None)),
        ("link_refreshed", || events::link_refreshed(&task(), 2)),
        ("download_stored", || events::download_stored(&task(), &STORED)),
        ("download_retrying", || events::download_retrying(&task(), Reason::Network, "broke off", 1, SECOND)),
        ("download_abandoned", || events::download_abandoned(&task(), Reason::Gone, "not there", 20)),
        ("window_archived", || window(events::window_archived, None)),
        ("window_overdue", || window(events::window_overdue, Some("create an export"))),
        ("window_overdue", || window(events::window_overdue, None)),
        ("window_beyond_reach", || window(events::window_beyond_reach, Some("create an export"))),
        ("window_beyond_reach", || window(events::window_beyond_reach, None)),
        ("storage_low", || events::storage_low("/srv/x", 5)),
        ("storage_recovered", || events::storage_recovered("/srv/x", 5)),
        ("store_failed", || events::store_failed("the disk is gone")),
        ("daemon_started", events::daemon_started),
        ("daemon_ready", events::daemon_ready),
        ("daemon_failed", || events::daemon_failed("no lock")),
        ("daemon_stopping", || events::daemon_stopping("SIGTERM")),
        ("daemon_stopped", events::daemon_stopped),
        ("config_reloaded", || events::config_reloaded(&Reloaded {
            added: vec!["b".to_owned()], removed: vec!["a".to_owned()], changed: vec!["poll.interval".to_owned()],
        })),
        ("config_reloaded", || events::config_reloaded(&Reloaded::default())),
        ("config_rejected", || events::config_rejected("line 3")),
    ]
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Notes what an event declares, also what has no value this time.
#[derive(Clone, Default)]
struct Declared(Arc<Mutex<BTreeSet<String>>>);

impl<S: Subscriber> Layer<S> for Declared {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        *self.0.lock().unwrap() = set(event.metadata().fields().iter().map(|field| field.name()));
    }
}

/// The fields that a call declares, and the line that it makes.
fn line(call: fn()) -> (BTreeSet<String>, serde_json::Map<String, serde_json::Value>) {
    let (written, declared) = (Written::default(), Declared::default());
    let writer = written.clone();
    let json = logging::layer(Format::Json, logging::filter("info").unwrap(), move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(json).with(declared.clone());
    tracing::subscriber::with_default(subscriber, call);
    let line = serde_json::from_slice(&written.0.lock().unwrap()).unwrap();
    let mut declared = declared.0.lock().unwrap().clone();
    assert!(declared.remove("event") && declared.remove("message"));
    (declared, line)
}

/// What lines have whatever they tell.
const COMMON: [&str; 4] = ["timestamp", "level", "event", "message"];

pub fn emitted() -> BTreeMap<String, Emitted> {
    let mut events: BTreeMap<String, Emitted> = BTreeMap::new();
    let (mut lines, mut with) = (BTreeMap::<String, u32>::new(), BTreeMap::<(String, String), u32>::new());
    for (function, call) in calls() {
        let (declared, line) = line(call);
        let name = line["event"].as_str().unwrap().to_owned();
        assert_eq!(name.replacen('.', "_", 1), function, "a function is called as its event");
        let event = events.entry(name.clone()).or_default();
        event.levels.insert(line["level"].as_str().unwrap().to_owned());
        event.fields.extend(declared.into_iter().map(|field| (field, false)));
        *lines.entry(name.clone()).or_default() += 1;
        for (field, value) in line.iter().filter(|(field, _)| !COMMON.contains(&field.as_str())) {
            let kind = match value {
                serde_json::Value::String(_) => "string",
                serde_json::Value::Bool(_) => "boolean",
                serde_json::Value::Number(_) => "number",
                other => panic!("{name}: {field} is {other}"),
            };
            assert_eq!(*event.kinds.entry(field.clone()).or_insert(kind), kind, "{name}: {field}");
            *with.entry((name.clone(), field.clone())).or_default() += 1;
        }
    }
    for (name, event) in &mut events {
        for (field, may_be_absent) in &mut event.fields {
            let times = with.get(&(name.clone(), field.clone())).copied().unwrap_or(0);
            assert!(times > 0, "no call of tests/logs/emitted.rs gives {name} a {field}");
            *may_be_absent = times < lines[name];
        }
        assert!(event.kinds.keys().all(|field| event.fields.contains_key(field)), "{name}");
    }
    events
}

#[test]
fn every_function_and_every_level_of_the_events_is_called() {
    let source = read("src/events.rs");
    let functions = set(source.split("\npub fn ").skip(1).map(|rest| rest.split('(').next().unwrap()));
    assert!(functions.len() >= 20, "{functions:?}");
    assert_eq!(functions, set(calls().iter().map(|(function, _)| *function)), "tests/logs/emitted.rs calls each");
    let emitted = emitted();
    for function in source.split("\npub fn ").skip(1) {
        let body = function.split("\n}\n").next().unwrap();
        let name = body.split("event = \"").nth(1).unwrap().split('"').next().unwrap();
        let written = set(["error", "warn", "info"].into_iter().filter(|level| body.contains(&format!(" {level}!("))));
        assert_eq!(written, emitted[name].levels, "{name}");
    }
}
