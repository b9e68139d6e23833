//! What people are shown, word for word, at 80 and at 200 columns: a database, a time and a zone that are fixed, in, and
//! the files of `tests/fixtures/inspect` out. Set `GOLDEN=write` to write them anew, and read what changed before it is
//! committed.

use std::{fs, path::Path};

use jiff::{
    Timestamp,
    tz::{Offset, TimeZone},
};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;
use unicode_width::UnicodeWidthStr as _;

use super::{
    around::{Disk, Instance},
    history,
    screen::Screen,
    status, table, task_ref, tasks, why,
};
use crate::{
    config::{Config, Environment},
    store::{Holder, Store, TaskFilter, TaskRow},
};

const DATABASE: &str = include_str!("../../tests/fixtures/inspect/database.sql");

fn now() -> Timestamp {
    "2026-03-05T04:00:00Z".parse().unwrap()
}

fn screen(width: usize) -> Screen {
    Screen { width: Some(width), colours: false, zone: TimeZone::fixed(Offset::constant(8)) }
}

fn running() -> Instance {
    Instance::Running(Holder { pid: Some(4711), since: Some("2026-03-03T01:02:03Z".parse().unwrap()) })
}

fn disks(free_bytes: u64) -> [Disk; 2] {
    [("state", "/var/lib/cdn-usaged"), ("download", "/var/lib/cdn-usaged/exports")].map(|(folder, path)| Disk {
        folder,
        path: path.into(),
        free_bytes: Some(free_bytes),
        is_low: free_bytes < 1 << 30,
    })
}

struct Fixture {
    _dir: TempDir,
    store: Store,
    config: Config,
}

async fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let text = format!(
        "[storage]\nstate_dir = {:?}\n[[account]]\nname = \"main\"\nexports = [\"usage-detail\", \"usage\"]\n",
        dir.path()
    );
    fs::write(&path, text).unwrap();
    let config = Config::load(&path, &Environment::empty()).unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let mut db = SqliteConnection::connect(&format!("sqlite://{}", store.path().display())).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(DATABASE)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    Fixture { _dir: dir, store, config }
}

/// Compares with the file, which has a line no wider than its name says but for words that must stay whole.
fn assert_golden(name: &str, width: usize, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/inspect/{name}-{width}.txt"));
    let shown: String = lines.iter().map(|line| format!("{line}\n")).collect();
    if std::env::var("GOLDEN").is_ok_and(|v| v == "write") {
        fs::write(&path, &shown).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == shown, "{} differs; it is now\n{shown}", path.display());
    for line in lines {
        let is_one_word = line.split_whitespace().count() == 1;
        assert!(line.width() <= width || is_one_word, "wider than {width}: {line}");
    }
    assert!(lines.len() > 1 && lines.iter().all(|line| line.trim_end() == line), "{shown}");
}

fn joined(lines: Vec<Vec<table::Piece>>) -> Vec<String> {
    lines.into_iter().map(|line| line.into_iter().map(|piece| piece.text).collect()).collect()
}

#[tokio::test]
async fn tasks_are_shown_as_the_golden_files_say() {
    let Fixture { store, .. } = &fixture().await;
    let rows = store.tasks(&TaskFilter::default(), 100, 0).await.unwrap();
    assert_eq!(rows.len(), 16);
    for width in [80, 200] {
        let screen = screen(width);
        let (columns, cells) = tasks::table(&screen, &rows, |row: &TaskRow| row.account == "main");
        assert_golden("tasks", width, &joined(table::lines(&columns, &cells, screen.width)));
    }
}

#[tokio::test]
async fn the_history_of_a_task_is_shown_as_the_golden_files_say() {
    let Fixture { store, .. } = &fixture().await;
    let (key, row) = task_ref::find(store, "1001").await.unwrap();
    let entries = history::entries(store, &key).await.unwrap();
    for width in [80, 200] {
        let title = format!("{key}: {}, {}", row.status, row.state.as_deref().unwrap());
        assert_golden("history", width, &history::lines(&title, &entries, &screen(width)));
    }
}

#[tokio::test]
async fn why_tells_of_every_kind_of_task_what_the_golden_files_say() {
    let Fixture { store, config, .. } = &fixture().await;
    let rows = store.tasks(&TaskFilter::default(), 100, 0).await.unwrap();
    let mut config = config.clone();
    // What the sentences name.
    (config.storage.state_dir, config.storage.download_dir) = ("/var/lib/cdn-usaged".into(), "/srv/exports".into());
    for width in [80, 200] {
        let mut lines = Vec::new();
        let mut verdicts = std::collections::BTreeSet::new();
        for (instance, is_low) in [(running(), false), (Instance::Stopped, false), (running(), true)] {
            for row in &rows {
                let told = why::examine(store, &config, &row.task_id, &instance, is_low, now()).await.unwrap();
                let is_new =
                    verdicts.insert((told.answer.verdict, told.answer.due == crate::model::schedule::Due::AtStart));
                if instance == running() && !is_low || is_new {
                    lines.extend(why::lines(&told, &config, &screen(width)));
                    lines.push(String::new());
                }
            }
        }
        lines.pop();
        assert!(verdicts.len() > 20, "{verdicts:?}");
        assert_golden("why", width, &lines);
    }
}

#[tokio::test]
async fn the_status_of_a_running_and_of_a_stopped_instance_are_what_the_golden_files_say() {
    let Fixture { store, config, .. } = &fixture().await;
    let cases = [
        ("status-running", running(), 44_023_414_784),
        ("status-stopped", Instance::Stopped, 44_023_414_784),
        ("status-full", Instance::Unknown("Permission denied (os error 13)".to_owned()), 12_345_678),
    ];
    for (name, instance, free) in cases {
        let report = status::gather(store, config, instance, disks(free), now()).await.unwrap();
        for width in [80, 200] {
            let lines: Vec<String> = status::lines(&report, &screen(width)).into_iter().map(|(_, line)| line).collect();
            assert!(lines.len() <= 40, "not one screen any more: {}", lines.len());
            assert_golden(name, width, &lines);
        }
    }
}
