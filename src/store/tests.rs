//! The store on a real file: what a listing shows, and the helpers of the others.

mod look;
mod opening;
mod outstanding;
mod queue;
mod written;

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use jiff::SignedDuration;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use tempfile::TempDir;

use super::*;
use crate::model::{
    download::{Reason, after_failure},
    link::SignedUrl,
    observe::Kind,
    sweep::{IdSet, Verdict, id_key},
    task::{AccountName, Export, ListingKey, Status, TaskId, TaskKey, TaskSnapshot},
};

impl Store {
    /// Applies one page by itself, for the tests of every module.
    #[expect(clippy::too_many_arguments, reason = "what is of no matter to a test stands in its call")]
    pub(crate) async fn apply_page(
        &self,
        listing: &ListingKey,
        number: u32,
        rows: &[TaskSnapshot],
        rejected: &[RawRow],
        request_id: Option<&str>,
        revive_before: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let page = PageRead { number, rows, rejected: rejected.to_vec(), request_id };
        Ok(self.apply_pages(listing, &[page], revive_before, now).await?.pop().unwrap())
    }

    /// Claims one download of one account.
    pub(crate) async fn claim_next(
        &self,
        account: &AccountName,
        exports: &[Export],
        now: Timestamp,
        horizon: SignedDuration,
    ) -> Result<Option<Job>, StoreError> {
        let accounts = vec![(account.clone(), exports.to_vec())];
        let claim = Claim { accounts, slots: 1, down: Vec::new(), tried: Vec::new(), now, horizon };
        Ok(self.claim(claim).await?.pop())
    }
}

fn listing() -> ListingKey {
    ListingKey { account: AccountName::parse("main").unwrap(), export: Export::UsageDetail }
}

fn key(id: &str) -> TaskKey {
    TaskKey { listing: listing(), id: TaskId::parse(id).unwrap() }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
}

fn row(id: &str, status: &str) -> TaskSnapshot {
    TaskSnapshot {
        id: TaskId::parse(id).unwrap(),
        name: Some("刷新 \"quoted\"".into()),
        status: Status::parse(status).unwrap(),
        created_at: Some(at(-100)),
        updated_at: Some(at(-90)),
        range_start: Some(at(-5000)),
        range_end: Some(at(-4000)),
        link: (status == "success").then(|| link(id, "one")),
    }
}

fn link(id: &str, signature: &str) -> SignedUrl {
    SignedUrl::parse(&format!("https://b.example.com/{id}?Signature={signature}")).unwrap()
}

async fn open(dir: &TempDir) -> Store {
    let store = Store::open(dir.path()).await.unwrap();
    store.register_listing(&listing(), "https://cdn.example.com").await.unwrap();
    store
}

/// A page that can be read whole.
fn page(number: u32, rows: &[TaskSnapshot]) -> PageRead<'_> {
    PageRead { number, rows, rejected: Vec::new(), request_id: Some("REQ") }
}

async fn apply(store: &Store, rows: &[TaskSnapshot], now: Timestamp) -> Applied {
    store.apply_page(&listing(), 1, rows, &[], Some("REQ"), None, now).await.unwrap()
}

fn verdict(ids: &[&str]) -> Verdict {
    let mut seen = IdSet::default();
    for id in ids {
        seen.insert(id_key(id));
    }
    Verdict { consistent: true, total: Some(ids.len() as u64), seen, has_unreadable: false }
}

async fn sweep(store: &Store, ids: &[&str], began: Timestamp) -> SweepEnd {
    store.finish_sweep(&listing(), &verdict(ids), began, SignedDuration::from_mins(1), false, began).await.unwrap()
}

async fn claim(store: &Store, now: Timestamp) -> Option<Job> {
    store.claim_next(&listing().account, &[Export::UsageDetail], now, SignedDuration::from_mins(5)).await.unwrap()
}

async fn one<T>(store: &Store, sql: &'static str) -> T
where
    T: Send + Unpin + for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    sqlx::query_scalar(sql).fetch_one(&store.readers).await.unwrap()
}

fn intent(path: &str, revision: u32, sha256: &str) -> Intent {
    Intent {
        path: path.into(),
        revision,
        returns: false,
        bytes: 5,
        sha256: sha256.into(),
        crc64: "17".into(),
        etag: Some("\"E\"".into()),
        verified_by: "crc64".into(),
        remote_updated_at: text(Some(at(-90))),
        attempt: 1,
        started_at: text(Some(at(0))).unwrap(),
        resumed_bytes: 0,
        request_id: None,
    }
}

fn failure(reason: Reason, failures: u32, now: Timestamp, link_age: SignedDuration, refused: bool) -> Failure {
    let after = after_failure(failures, 3, reason, link_age, refused);
    Failure { reason, error: "why".into(), after, not_before: now + SignedDuration::from_mins(2) }
}

/// Replays the transitions and compares with what the projection says.
async fn assert_replay(store: &Store) {
    let rows = sqlx::query("SELECT task_id, kind, to_status, remote_updated_at FROM transitions ORDER BY id")
        .fetch_all(&store.readers)
        .await
        .unwrap();
    let mut replayed = std::collections::BTreeMap::new();
    for row in rows {
        let (id, kind): (String, String) = (row.get(0), row.get(1));
        let (status, updated): (String, Option<String>) = (row.get(2), row.get(3));
        replayed.insert(id, (status, updated, kind != "unlisted"));
    }
    let tasks = sqlx::query("SELECT task_id, status, updated_at, unlisted_at IS NULL FROM tasks")
        .fetch_all(&store.readers)
        .await
        .unwrap();
    assert_eq!(tasks.len(), replayed.len());
    for row in tasks {
        let id: String = row.get(0);
        assert_eq!(replayed[&id], (row.get(1), row.get(2), row.get(3)), "task {id}");
    }
}

#[tokio::test]
async fn a_page_applied_twice_changes_nothing_the_second_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let rows = [row("1", "created"), row("2", "success"), row("3", "failed"), row("4", "odd")];
    let first = apply(&store, &rows, at(0)).await;
    assert_eq!(first.recorded.len(), 4);
    assert!(first.queued && first.recorded.iter().all(|r| r.kind == Kind::First));
    // The version is a connection's own view of what others committed.
    let mut watcher = store.readers.acquire().await.unwrap();
    let version: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *watcher).await.unwrap();
    assert_eq!(apply(&store, &rows, at(1)).await, Applied::default());
    let after: i64 = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut *watcher).await.unwrap();
    assert_eq!(after, version, "nothing was committed that changes the file");
    drop(watcher);
    assert_eq!(one::<i64>(&store, "SELECT count(*) FROM transitions").await, 4);
    assert_eq!(one::<i64>(&store, "SELECT count(*) FROM downloads").await, 1);
    assert_replay(&store).await;
}

#[tokio::test]
async fn a_row_that_a_page_shows_twice_is_recorded_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let applied = apply(&store, &[row("1", "created"), row("1", "created"), row("1", "success")], at(0)).await;
    let kinds: Vec<_> = applied.recorded.iter().map(|r| r.kind).collect();
    assert_eq!(kinds, [Kind::First, Kind::Status]);
    assert_eq!(one::<String>(&store, "SELECT status FROM tasks").await, "success");
    assert_eq!(one::<String>(&store, "SELECT state FROM downloads").await, "pending");
    assert_replay(&store).await;
}

#[tokio::test]
async fn replaying_the_transitions_gives_what_the_tasks_say() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let words = ["created", "odd", "success", "failed", "success", "created"];
    for (minute, word) in (0_i64..).zip(words) {
        let mut rows = vec![row("1", word), row("2", words[(minute as usize * 7 + 3) % words.len()])];
        rows[1].updated_at = Some(at(minute * 61));
        if minute % 2 == 0 {
            rows.push(row("3", "success"));
        }
        apply(&store, &rows, at(minute * 100)).await;
        let ids: Vec<&str> = rows.iter().map(|r| r.id.as_str()).collect();
        sweep(&store, &ids, at(minute * 100 + 1)).await;
        sweep(&store, &ids, at(minute * 100 + 3)).await;
        assert_replay(&store).await;
    }
    let unlisted: i64 = one(&store, "SELECT count(*) FROM transitions WHERE kind = 'unlisted'").await;
    let relisted: i64 = one(&store, "SELECT count(*) FROM transitions WHERE kind = 'relisted'").await;
    assert_eq!((unlisted, relisted), (3, 2));
}

#[tokio::test]
async fn a_task_is_unlisted_by_the_second_consistent_sweep_that_lacks_it_and_not_by_one_too_soon() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success"), row("2", "success")], at(0)).await;
    assert_eq!(sweep(&store, &["1"], at(1)).await, SweepEnd::default());
    assert_eq!(sweep(&store, &["1"], at(1)).await, SweepEnd::default(), "too soon");
    let store = {
        store.close().await;
        open(&dir).await
    };
    let end = sweep(&store, &["1"], at(2)).await;
    assert_eq!(end.unlisted.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["2"]);
    assert_eq!(sweep(&store, &["1"], at(3)).await, SweepEnd::default(), "once is enough");
    assert_replay(&store).await;
    let again = apply(&store, &[row("2", "success")], at(4)).await;
    assert_eq!(again.recorded[0].kind, Kind::Relisted);
    assert_replay(&store).await;
}

#[tokio::test]
async fn a_task_that_is_seen_between_two_sweeps_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let rows = [row("1", "success"), row("2", "success")];
    apply(&store, &rows, at(0)).await;
    sweep(&store, &["1"], at(1)).await;
    assert!(apply(&store, &rows, at(2)).await.recorded.is_empty());
    assert!(sweep(&store, &["1"], at(3)).await.unlisted.is_empty());
    assert_eq!(sweep(&store, &["1"], at(5)).await.unlisted.len(), 1);
}

#[tokio::test]
async fn a_suspect_total_marks_nothing_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let ids: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let rows: Vec<TaskSnapshot> = ids.iter().map(|id| row(id, "success")).collect();
    apply(&store, &rows, at(0)).await;
    let all: Vec<&str> = ids.iter().map(String::as_str).collect();
    assert_eq!(sweep(&store, &all, at(1)).await, SweepEnd::default());
    for minute in [2, 60, 1200] {
        let end = sweep(&store, &all[..5], at(minute)).await;
        assert_eq!((end.suspect, end.unlisted.len()), (Some(30), 0));
    }
    assert_eq!(sweep(&store, &all[..5], at(2 + 24 * 60)).await, SweepEnd::default());
    assert_eq!(sweep(&store, &all[..5], at(4 + 24 * 60)).await.unlisted.len(), 25);
    assert_replay(&store).await;
}

#[tokio::test]
async fn an_inconsistent_sweep_marks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success"), row("2", "success")], at(0)).await;
    for minute in [1, 3, 5] {
        let v = Verdict { consistent: false, ..verdict(&["1"]) };
        let end =
            store.finish_sweep(&listing(), &v, at(minute), SignedDuration::ZERO, false, at(minute)).await.unwrap();
        assert_eq!(end, SweepEnd::default());
    }
    let known = store.listing(&listing()).await.unwrap().unwrap();
    assert_eq!((known.last_sweep_at, known.last_consistent_sweep_at), (Some(at(5)), None));
}

#[tokio::test]
async fn only_a_sweep_of_the_beat_moves_the_beat_and_any_sweep_settles_an_overflow() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let known = async || {
        let known = store.listing(&listing()).await.unwrap().unwrap();
        (known.last_beat_at, known.last_sweep_at, known.sweep_due)
    };
    store.finish_sweep(&listing(), &verdict(&[]), at(0), SignedDuration::ZERO, true, at(1)).await.unwrap();
    // A page of a quick poll notes it with a new id, and the poll takes it back when it has read everything that was new.
    store.apply_some_page(&listing(), page(1, &[]), at(2)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(1)), false));
    store.apply_some_page(&listing(), page(1, &[row("1", "created")]), at(2)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(1)), true));
    store.poll_succeeded(&listing(), None, false, at(2)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(1)), false));
    store.poll_succeeded(&listing(), None, true, at(3)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(1)), true));
    store.finish_sweep(&listing(), &verdict(&[]), at(4), SignedDuration::ZERO, false, at(5)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(5)), false));
}

#[tokio::test]
async fn rejected_rows_are_kept_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let bad =
        [RawRow { raw: "{}".into(), error: "no id".into() }, RawRow { raw: "17".into(), error: "no object".into() }];
    for (turn, expected) in [(0, true), (1, false)] {
        let applied = store.apply_page(&listing(), 1, &[], &bad, Some("R"), None, at(turn)).await.unwrap();
        assert_eq!(applied.new_raw_rows, [expected; 2]);
    }
}

#[tokio::test]
async fn a_rejected_row_that_is_not_kept_for_want_of_room_is_never_new() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let bad: Vec<RawRow> = (0..1_001).map(|n| RawRow { raw: format!("{n}"), error: "no object".into() }).collect();
    let applied = store.apply_page(&listing(), 1, &[], &bad, Some("R"), None, at(0)).await.unwrap();
    assert_eq!(applied.new_raw_rows.iter().filter(|&&new| new).count(), 1_000);
    for minute in [1, 2] {
        let applied = store.apply_page(&listing(), 1, &[], &bad[1_000..], Some("R"), None, at(minute)).await.unwrap();
        assert_eq!(applied.new_raw_rows, [false]);
    }
    assert_eq!(one::<i64>(&store, "SELECT count(*) FROM rejected_rows").await, 1_000);
}

#[tokio::test]
async fn ids_and_names_from_hell_come_back_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let long = "x".repeat(TaskId::MAX_BYTES);
    let ids = [
        "../../etc/passwd",
        "a\nb\u{1b}[31m",
        "\u{202e}gpj",
        "'; DROP TABLE tasks; --",
        "[1,\"2\"]",
        "11",
        "011",
        &long,
    ];
    let rows: Vec<TaskSnapshot> =
        ids.iter().map(|id| TaskSnapshot { name: Some((*id).into()), ..row(id, "created") }).collect();
    assert_eq!(apply(&store, &rows, at(0)).await.recorded.len(), ids.len());
    assert_eq!(apply(&store, &rows, at(1)).await, Applied::default());
    for id in ids {
        assert_eq!(store.transitions_of(&key(id)).await.unwrap().len(), 1);
    }
    assert_eq!(
        apply(&store, &[TaskSnapshot { name: Some("a\0b".into()), ..row("nul", "created") }], at(2))
            .await
            .recorded
            .len(),
        1
    );
    let again = [TaskSnapshot { name: Some("a\0b".into()), ..row("nul", "created") }];
    assert_eq!(apply(&store, &again, at(3)).await, Applied::default());
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_stand_in_for_a_task_that_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success"), row("2", "success")], at(0)).await;
    for (minute, unlisted) in [(1, 0), (3, 1)] {
        let v = Verdict { has_unreadable: true, ..verdict(&["1", "a row that cannot be read"]) };
        let apart = SignedDuration::from_mins(1);
        let end = store.finish_sweep(&listing(), &v, at(minute), apart, true, at(minute)).await.unwrap();
        assert_eq!(end.unlisted.len(), unlisted);
    }
}
