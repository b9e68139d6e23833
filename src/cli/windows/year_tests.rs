//! A year in some seconds: two accounts, one by month and one by day, with exports that are created late, fail, are
//! restated, removed, and never created. After every day everything that shows windows shows the same.
//!
//! The clock of the program's own process cannot be moved, so that its parts are run here as `once` runs them, against the
//! simulated cloud at the simulated time, and what shows windows is asked for that time.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::{Arc, Mutex},
};

use cloudsim::{AccountSpec, CloudSim, Export as Listing, Object, TaskSpec};
use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::layer::SubscriberExt as _;

use super::page_tests;
use crate::{
    admin::{AdminState, Health, Sight, page_at},
    assembly::{Assembly, World},
    cli::{calendar, gaps, output::Piece, window_json::WindowJson},
    completeness::{self, Expected, MaySay},
    config::{Config, Environment},
    egress::Surroundings,
    fetch::{Area, Mode},
    logging::{self, Format},
    metrics::Metrics,
    model::window::{State, WindowState, words},
    observer::{Nobody, Observer},
    once,
    store::Store,
};

/// The account, and the month or day.
pub(super) type Key = (String, String);
pub(super) type States = BTreeMap<Key, State>;

const FIRST: Date = jiff::civil::date(2024, 2, 1);
const DAYS: i32 = 366;

/// The first instant of a day in Beijing.
fn midnight(date: Date) -> Timestamp {
    date.to_zoned(TimeZone::fixed(jiff::tz::offset(8))).unwrap().timestamp()
}

fn days(n: i32) -> jiff::Span {
    i64::from(n).days()
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// What was said of windows since the last time: which, and the event.
    fn take(&self) -> Vec<(Key, String)> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let of = |line: &Value, key: &str| line[key].as_str().unwrap().to_owned();
        lines
            .filter_map(|line| {
                let event = of(&line, "event").strip_prefix("window.")?.to_owned();
                Some(((of(&line, "account"), of(&line, "date")), event))
            })
            .collect()
    }
}

/// The cloud, and what people do there.
struct Cloud {
    sim: CloudSim,
    /// Of every task, its account, its id and when it was created.
    tasks: Vec<(&'static str, String, Date)>,
}

impl Cloud {
    /// An export of the days from `from` up to and without `to`, created now.
    fn export(&mut self, account: &'static str, today: Date, from: Date, to: Date, status: &str) {
        let id = format!("{account}-{from}-{}", self.tasks.len());
        let second = SignedDuration::from_secs(1);
        let spec = TaskSpec::default()
            .with_id(&id)
            .with_name("traffic")
            .with_status(status)
            .with_range(midnight(from), midnight(to) - second)
            .with_created_at(self.sim.clock().now())
            .with_object(Object::csv(2));
        self.sim.add_task(account, Listing::UsageDetail, spec);
        self.tasks.push((account, id, today));
    }

    fn newest(&self, account: &str, of: Date) -> String {
        let start = format!("{account}-{of}-");
        self.tasks.iter().rev().find(|(_, id, _)| id.starts_with(&start)).unwrap().1.clone()
    }

    fn set(&self, account: &str, of: Date, change: impl FnOnce(&mut TaskSpec)) {
        assert!(self.sim.update_task(account, Listing::UsageDetail, &self.newest(account, of), change));
    }

    fn restate(&self, account: &str, of: Date) {
        let now = self.sim.clock().now();
        self.set(account, of, |task| {
            task.object = Object::csv(5);
            task.updated_at = Some(now);
        });
    }

    fn remove(&self, account: &str, of: Date) {
        assert!(self.sim.remove_task(account, Listing::UsageDetail, &self.newest(account, of)).is_some());
    }

    /// What leaves the listing: after a month and not after three, so that it has one page, which is read faster.
    fn forget(&mut self, today: Date) {
        let (gone, kept) = std::mem::take(&mut self.tasks)
            .into_iter()
            .partition(|(_, _, created)| *created < today.checked_sub(days(33)).unwrap());
        self.tasks = kept;
        for (account, id, _) in Vec::from_iter::<Vec<(&str, String, Date)>>(gone) {
            let _ = self.sim.remove_task(account, Listing::UsageDetail, &id);
        }
    }

    /// What happens on a day: to the exports of days before, each of which has its own fate, by turns.
    fn by_day(&mut self, today: Date, number: i32) {
        let account = "branch";
        for ago in 1..=6 {
            let of = today.checked_sub(days(ago)).unwrap();
            let next = of.checked_add(days(1)).unwrap();
            if number - ago < 0 {
                continue;
            }
            match ((number - ago) % 10, ago) {
                // Late; and one that fails and is created again, or is not.
                (1, 5) | (2, 4) => self.export(account, today, of, next, "success"),
                (2 | 3, 1) => self.export(account, today, of, next, "failed"),
                // Restated.
                (4, 1) => self.export(account, today, of, next, "success"),
                (4, 3) => self.restate(account, of),
                // Worked on for days.
                (5, 1) => self.export(account, today, of, next, "created"),
                (5, 4) => self.set(account, of, |task| task.schedule[0].1 = "success".to_owned()),
                // Removed while it is worked on; the next is not created, and covered by a longer one after it.
                (6, 1) => self.export(account, today, of, next, "created"),
                (6, 2) => self.remove(account, of),
                (8, 1) => self.export(account, today, of.checked_sub(days(1)).unwrap(), next, "success"),
                // 1 and 7: not created at first; 9 never.
                (0, 1) => self.export(account, today, of, next, "success"),
                _ => {}
            }
        }
    }

    fn by_month(&mut self, today: Date) {
        let account = "bill";
        let to = today.first_of_month();
        let from = to.checked_sub(1.month()).unwrap();
        match (from.month(), today.day()) {
            (2 | 5 | 8 | 11 | 12, 2) | (3, 10) | (4, 6) => self.export(account, today, from, to, "success"),
            (4, 2) => self.export(account, today, from, to, "failed"),
            (5, 20) => self.restate(account, from),
            // In halves, the second late.
            (6, 1) => self.export(account, today, from, from.checked_add(15.days()).unwrap(), "success"),
            (6, 12) => self.export(account, today, from.checked_add(15.days()).unwrap(), to, "success"),
            (9, 1) => self.export(account, today, from, to, "created"),
            (9, 3) => self.remove(account, from),
            // 7, 10 and 1: never.
            _ => {}
        }
    }
}

fn config(dir: &Path, endpoint: &str) -> Config {
    let key = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let mut text = format!(
        "[storage]\nstate_dir = {dir:?}\nmin_free = '1KiB'\n[poll]\ninterval = '20ms'\nidle_interval = '20ms'\n\
         [rate_limit]\ncalls_per_second = 10000\nburst = 1000\n\
         [download]\nallowed_networks = ['127.0.0.0/8']\nallow_http = true\n"
    );
    // Both begin before, so that within the year much goes beyond reach.
    for (name, expect) in [
        ("bill", "window = 'month'\nfrom = '2022-12'\ndue = '3d'"),
        ("branch", "window = 'day'\nfrom = '2024-01-10'\ndue = '36h'"),
    ] {
        let (id, secret) = (key(&format!("{name}.id"), name), key(&format!("{name}.secret"), "secret"));
        text += &format!(
            "[[account]]\nname = '{name}'\nendpoint = '{endpoint}'\n[account.credentials]\nsource = 'files'\n\
             access_key_id_file = {id:?}\naccess_key_secret_file = {secret:?}\n\
             [[account.expect]]\nname = 'traffic*'\n{expect}\n"
        );
    }
    Config::parse(&text, Path::new("year.toml"), &Environment::empty()).unwrap()
}

/// The program's parts, as `once` puts them together, with a process's life.
struct Life {
    store: Store,
    assembly: Assembly,
}

impl Life {
    async fn begin(config: &Config) -> Self {
        let store = Store::open(&config.storage.state_dir).await.unwrap();
        let area = Area::open(&config.storage.download_dir).unwrap();
        let world = World {
            config,
            environment: &Environment::empty(),
            surroundings: Surroundings::Loopback,
            store: &store,
            observer: &(Arc::new(Nobody) as Arc<dyn Observer>),
        };
        let assembly = Assembly::new(&world, area, Mode::Once).await.unwrap();
        Self { store, assembly }
    }

    async fn end(self) {
        drop(self.assembly);
        self.store.close().await;
    }
}

/// Every window with its expectation.
fn all(expected: &[Expected]) -> impl Iterator<Item = (&Expected, &WindowState)> {
    expected.iter().flat_map(|e| e.assessed.windows.iter().map(move |w| (e, w)))
}

fn states(expected: &[Expected]) -> States {
    let all = all(expected);
    all.map(|(e, w)| ((e.listing.account.to_string(), w.window.to_string()), w.state)).collect()
}

fn texts(lines: &[Vec<Piece>]) -> Vec<String> {
    lines.iter().map(|line| line.iter().map(Piece::text).collect()).collect()
}

/// What `gaps --json` prints.
fn of_json(expected: &[Expected]) -> States {
    let gaps = all(expected).filter(|(_, w)| !w.state.is_complete());
    let rows = gaps.map(|(e, w)| serde_json::to_value(WindowJson::new(e, w)).unwrap());
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_owned();
    let state = |word: &str| State::ALL.into_iter().find(|s| s.as_str() == word).unwrap();
    rows.map(|row| ((text(&row, "account"), text(&row, "date")), state(&text(&row, "state")))).collect()
}

/// What people read of `gaps`: every window of every line, and the numbers at its end.
fn of_gaps(expected: &[Expected], now: Timestamp) -> (States, String) {
    let lines: Vec<_> = expected.iter().flat_map(|expected| texts(&gaps::lines(expected, now))).collect();
    let mut total = gaps::Total::default();
    expected.iter().for_each(|expected| total.add(expected));
    let summary = texts(&[total.line()]).remove(0);
    let mut read = States::new();
    for line in lines.iter().filter(|line| !line.starts_with(' ') && !line.starts_with("note: ")) {
        let (word, rest) = line.split_once(": ").unwrap();
        let state = State::ALL.into_iter().find(|s| words::state(*s) == word).unwrap();
        let (account, rest) = rest.split_once("/usage-detail \"traffic*\" ").unwrap();
        let range = rest.split(", due ").next().unwrap();
        let (first, last) =
            range.split_once(" to ").map_or((range, range), |(first, rest)| (first, rest.split(' ').next().unwrap()));
        for date in dates(first, last) {
            assert_eq!(read.insert((account.to_owned(), date), state), None, "{line}");
        }
    }
    (read, summary)
}

/// Every month or day from the one to the other.
pub(super) fn dates(first: &str, last: &str) -> Vec<String> {
    let is_month = first.len() == 7;
    let day = |text: &str| -> Date { if is_month { format!("{text}-01") } else { text.to_owned() }.parse().unwrap() };
    let (mut at, mut dates) = (day(first), Vec::new());
    while at <= day(last) {
        dates.push(if is_month { at.to_string()[..7].to_owned() } else { at.to_string() });
        at = at.checked_add(if is_month { 1.month() } else { 1.day() }).unwrap();
    }
    dates
}

/// What people see in `calendar`.
fn of_calendar(expected: &[Expected]) -> States {
    let mut read = States::new();
    let mut account = String::new();
    for line in expected.iter().flat_map(|expected| texts(&calendar::picture(expected, 80))) {
        let Some(row) = line.strip_prefix("  ").filter(|row| row.starts_with('2')) else {
            if let Some((name, _)) = line.split_once("/usage-detail ") {
                account = name.to_owned();
            }
            continue;
        };
        let (name, cells) = (row[..9].trim_end(), &row[9..]);
        let (wide, is_month) = if name.len() == 4 { (4, true) } else { (2, false) };
        for (column, cell) in cells.as_bytes().chunks(wide).enumerate().filter(|(_, cell)| cell[0] != b' ') {
            let state = State::ALL.into_iter().find(|s| calendar::shape(*s) == char::from(cell[0])).unwrap();
            let date = format!("{name}-{:02}", column + 1);
            assert!(is_month == (date.len() == 7));
            read.insert((account.clone(), date), state);
        }
    }
    read
}

/// How many there are of each account and state, as the metrics have it.
fn of_metrics(metrics: &Metrics) -> BTreeMap<(String, String), u64> {
    let text = metrics.render();
    let rows = text.lines().filter_map(|line| line.strip_prefix("cdn_usaged_windows{account=\""));
    rows.map(|row| {
        let mut parts = row.split('"');
        let (account, state) = (parts.next().unwrap(), parts.nth(3).unwrap());
        ((account.to_owned(), state.to_owned()), row.rsplit(' ').next().unwrap().parse().unwrap())
    })
    .collect()
}

/// What is to be said of a window in a state; nothing is said of what is not due.
fn class(state: State) -> Option<&'static str> {
    match state {
        State::Archived | State::Restated => Some("archived"),
        State::Overdue => Some("overdue"),
        State::BeyondReach => Some("beyond_reach"),
        State::Pending | State::Missing | State::Failed => None,
    }
}

/// The status page, whole, at that time.
async fn page(life: &Life, config: &Config, metrics: &Metrics, now: Timestamp) -> String {
    let state = AdminState {
        store: life.store.clone(),
        metrics: metrics.clone(),
        health: Arc::new(Health::new()),
        sight: Arc::new(Sight::new(config)),
    };
    page_at(&state, now).await
}

/// The status page shows these, wherever it shows windows.
fn assert_page(page: &str, known: &States, now: Timestamp) {
    let shown = page_tests::read(page);
    assert_eq!(shown.drawn, *known, "{now}: the shapes on the page");
    assert_eq!(shown.titles, *known, "{now}: the rows on the page");
    assert_eq!(shown.table, *known, "{now}: the table on the page");
    assert!(
        shown.gaps.iter().all(|(key, state)| known.get(key) == Some(state)),
        "{now}: gaps on the page {:?}",
        shown.gaps
    );
    assert!(!shown.gaps.is_empty(), "{now}: the page names no gap");
    let mut counts = BTreeMap::new();
    for ((account, _), state) in known {
        *counts.entry((account.clone(), *state)).or_default() += 1;
    }
    assert_eq!(shown.counts, counts, "{now}: the numbers on the page");
    let overdue = known.values().filter(|state| **state == State::Overdue).count();
    assert_eq!(shown.overdue, overdue, "{now}: the verdict on the page");
}

/// Everything that shows windows shows these.
async fn assert_agreement(life: &Life, config: &Config, metrics: &Metrics, now: Timestamp) -> States {
    let expected = completeness::read(&life.store, config, now).await.unwrap();
    let known = states(&expected);
    let gaps: States = known.iter().filter(|(_, s)| !s.is_complete()).map(|(k, s)| (k.clone(), *s)).collect();
    assert_eq!(of_json(&expected), gaps, "{now}: gaps --json");
    let (of_gaps, summary) = of_gaps(&expected, now);
    assert_eq!(of_gaps, gaps, "{now}: gaps");
    assert_eq!(of_calendar(&expected), known, "{now}: calendar");
    let mut counts: BTreeMap<(String, String), u64> = BTreeMap::new();
    for account in ["bill", "branch"] {
        for state in State::ALL {
            let count = known.iter().filter(|((of, _), s)| of == account && **s == state).count();
            counts.insert((account.to_owned(), state.as_str().to_owned()), count as u64);
        }
    }
    metrics.windows(&completeness::summaries(&expected));
    assert_eq!(of_metrics(metrics), counts, "{now}: metrics");
    assert_page(&page(life, config, metrics, now).await, &known, now);
    let mut said = format!("{} windows: ", known.len());
    let totals: Vec<String> = State::ALL
        .into_iter()
        .map(|state| (words::state(state), known.values().filter(|s| **s == state).count()))
        .filter(|(_, n)| *n > 0)
        .map(|(word, n)| format!("{n} {word}"))
        .collect();
    said += &totals.join(", ");
    assert_eq!(summary, said, "{now}: gaps, the last line");
    known
}

#[tokio::test]
async fn everything_that_shows_windows_agrees_on_each_of_them_on_every_day_of_a_year() {
    let lines = Lines::default();
    let writer = lines.clone();
    let layer = logging::layer(Format::Json, logging::filter("info").unwrap(), move || writer.clone());
    // While there is but one subscriber, whatever another test logs first in its own thread is believed to interest nobody.
    let _another = tracing::Dispatch::new(tracing_subscriber::registry());
    let _logged = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let dir = TempDir::new().unwrap();
    let sim = CloudSim::start().await.unwrap();
    // The dates of the calls are those of this machine; tasks and links live by the simulated time.
    sim.clock().set_dates_by_wall(true);
    sim.clock().set_speed(0.0);
    for account in ["bill", "branch"] {
        sim.add_account(AccountSpec::new(account, "secret"));
    }
    let config = config(dir.path(), &sim.endpoint());
    let mut cloud = Cloud { sim, tasks: Vec::new() };
    let metrics = Metrics::new().unwrap();
    metrics.set_listings(&crate::assembly::listings(&config));
    let mut life = Life::begin(&config).await;
    let mut said: BTreeMap<Key, &'static str> = BTreeMap::new();
    let mut seen: BTreeMap<State, u64> = BTreeMap::new();
    let mut last = States::new();
    for number in 0..DAYS {
        let today = FIRST.checked_add(days(number)).unwrap();
        let now = midnight(today) + SignedDuration::from_hours(18);
        cloud.sim.clock().set(now);
        cloud.forget(today);
        cloud.by_day(today, number);
        cloud.by_month(today);
        if number % 30 == 29 {
            life.end().await;
            life = Life::begin(&config).await;
        }
        once::run(&life.assembly, &CancellationToken::new()).await.unwrap();
        lines.take();
        // A second time nothing is new, whatever the first said.
        let mut told = Vec::new();
        let expected = completeness::read(&life.store, &config, now).await.unwrap();
        for _ in 0..2 {
            assert!(completeness::tell(&life.store, &expected, |_| MaySay::Everything, now).await.unwrap());
            told.extend(lines.take());
        }
        last = assert_agreement(&life, &config, &metrics, now).await;
        let mut news = BTreeSet::new();
        for (key, state) in &last {
            *seen.entry(*state).or_default() += 1;
            let before = said.get(key).copied();
            match class(*state) {
                Some("overdue") if before == Some("beyond_reach") => {}
                Some(class) if before != Some(class) => {
                    said.insert(key.clone(), class);
                    news.insert((key.clone(), class.to_owned()));
                }
                _ => {}
            }
        }
        assert_eq!(told.len(), news.len(), "{now}: {told:?}");
        assert_eq!(told.into_iter().collect::<BTreeSet<_>>(), news, "{now}");
    }
    life.end().await;
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), State::ALL, "the year had everything: {seen:?}");
    // What became of each fate, in a month when all is over.
    let of = |account: &str, date: &str| last[&(account.to_owned(), date.to_owned())];
    let days: Vec<State> =
        (0..10).map(|n| of("branch", &FIRST.checked_add(days(200 + n)).unwrap().to_string())).collect();
    use State::{Archived, BeyondReach, Overdue, Restated};
    assert_eq!(days, [Archived, Archived, Archived, Overdue, Restated, Archived, Overdue, Archived, Archived, Overdue]);
    let months: Vec<State> = (1..=12).map(|month| of("bill", &format!("2024-{month:02}"))).collect();
    assert_eq!(
        months,
        [
            BeyondReach,
            Archived,
            Archived,
            Archived,
            Restated,
            Archived,
            Overdue,
            Archived,
            Overdue,
            Overdue,
            Archived,
            Archived
        ]
    );
}
