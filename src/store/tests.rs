//! The store on a real file.

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
    store.claim(&listing().account, &[Export::UsageDetail], &[], now, SignedDuration::from_mins(5)).await.unwrap()
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
    store.poll_succeeded(&listing(), None, true, at(2)).await.unwrap();
    // A quick poll that was short does not take back what an earlier one found.
    store.poll_succeeded(&listing(), None, false, at(3)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(1)), true));
    store.finish_sweep(&listing(), &verdict(&[]), at(4), SignedDuration::ZERO, false, at(5)).await.unwrap();
    assert_eq!(known().await, (Some(at(1)), Some(at(5)), false));
}

#[tokio::test]
async fn a_download_goes_from_its_claim_to_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!((job.attempt, job.recheck, job.link.clone()), (1, false, link("1", "one")));
    assert!(claim(&store, at(1)).await.is_none(), "it is under way");
    store.note_partial(&job.key, Some("\"E\"")).await.unwrap();
    store.intend(&job.key, &intent("main/usage-detail/x.csv", 1, "aa")).await.unwrap();
    let cut = store.cut_off().await.unwrap();
    assert_eq!((cut.len(), cut[0].job.attempt, cut[0].job.partial_etag.as_deref()), (1, 1, Some("\"E\"")));
    assert_eq!(cut[0].intent.as_ref().unwrap().path, "main/usage-detail/x.csv");
    store.stored(&job, &intent("main/usage-detail/x.csv", 1, "aa"), at(2)).await.unwrap();
    let illegal = store.stored(&job, &intent("main/usage-detail/y.csv", 2, "bb"), at(2)).await.unwrap_err();
    assert!(matches!(illegal, StoreError::Illegal { .. }), "{illegal}");
    assert_eq!(store.files_of(&key("1")).await.unwrap().len(), 1, "and the illegal step left nothing");
    let task = &store.tasks(&TaskFilter::default(), 10, 0).await.unwrap()[0];
    assert_eq!(task.state.as_deref(), Some("stored"));
    assert_eq!(
        (task.path.as_deref(), task.bytes, task.sha256.as_deref()),
        (Some("main/usage-detail/x.csv"), Some(5), Some("aa"))
    );
    assert_eq!(one::<Option<String>>(&store, "SELECT link FROM downloads").await, None, "no link outlives its use");
    assert_eq!(store.undelivered(&[listing()]).await.unwrap(), 0);
    assert_eq!(store.attempts_of(&key("1")).await.unwrap()[0].result, "stored");
    assert_eq!(store.transitions_of(&key("1")).await.unwrap().len(), 1);
    assert_eq!(store.files_after(0, 10).await.unwrap().len(), 1);
    assert!(store.files_after(1, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_oldest_task_goes_first_and_waits_for_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut rows = [row("a", "success"), row("b", "success")];
    rows[0].created_at = Some(at(-10));
    rows[1].created_at = Some(at(-20));
    apply(&store, &rows, at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!(job.key.id.as_str(), "b");
    let failed = failure(Reason::Network, 0, at(1), SignedDuration::ZERO, false);
    let ended = Ended { from_byte: Some(0), to_byte: Some(3), request_id: None, partial_etag: Some("\"E\"".into()) };
    store.attempt_failed(&job, &failed, &ended, at(1)).await.unwrap();
    assert_eq!(claim(&store, at(1)).await.unwrap().key.id.as_str(), "a");
    assert!(claim(&store, at(2)).await.is_none());
    let waiting = store.waiting(&[listing()], at(2)).await.unwrap();
    assert_eq!((waiting.with_link, waiting.wanted, waiting.next_due), (2, 0, Some(at(3))));
    let again = claim(&store, at(3)).await.unwrap();
    assert_eq!((again.attempt, again.failures, again.partial_etag.as_deref()), (2, 1, Some("\"E\"")));
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_freeze_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1000)).await.unwrap();
    let failed = failure(Reason::Network, 0, at(1000), SignedDuration::ZERO, false);
    store.attempt_failed(&job, &failed, &Ended::default(), at(1000)).await.unwrap();
    assert!(claim(&store, at(998)).await.is_none(), "four minutes are within the horizon");
    assert!(claim(&store, at(0)).await.is_some());
}

#[tokio::test]
async fn after_too_many_failures_it_is_abandoned_and_a_later_sweep_or_a_retry_brings_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    for n in 0..3 {
        let now = at(10 + i64::from(n) * 10);
        let job = claim(&store, now).await.unwrap();
        let failed = failure(Reason::Network, job.failures, now, SignedDuration::ZERO, false);
        assert_eq!(failed.after.abandoned, n == 2);
        store.attempt_failed(&job, &failed, &Ended::default(), now).await.unwrap();
    }
    let state = "SELECT state FROM downloads";
    assert_eq!(one::<String>(&store, state).await, "abandoned");
    assert!(claim(&store, at(100)).await.is_none());
    assert_eq!(store.undelivered(&[listing()]).await.unwrap(), 1);
    assert_eq!(apply(&store, &[row("1", "success")], at(100)).await, Applied::default(), "an ordinary poll leaves it");
    let rows = [row("1", "success")];
    let revive = store.apply_page(&listing(), 1, &rows, &[], None, Some(at(30)), at(100)).await.unwrap();
    assert!(!revive.queued, "given up after that sweep began");
    let revive = store.apply_page(&listing(), 1, &rows, &[], None, Some(at(31)), at(100)).await.unwrap();
    assert!(revive.queued);
    let job = claim(&store, at(101)).await.unwrap();
    assert_eq!((job.attempt, job.failures), (1, 0));
    assert!(!store.requeue(&key("1"), at(101), || Ok(())).await.unwrap(), "an attempt under way is left alone");
    store.attempt_interrupted(&job, &Ended::default(), at(102)).await.unwrap();
    assert!(store.requeue(&key("1"), at(103), || Ok(())).await.unwrap());
    assert!(!store.requeue(&key("none"), at(103), || Ok(())).await.unwrap());
    assert_eq!(one::<String>(&store, state).await, "pending");
    let results: Vec<String> = store.attempts_of(&key("1")).await.unwrap().into_iter().map(|a| a.result).collect();
    assert_eq!(results, ["failed", "failed", "abandoned", "interrupted"]);
}

#[tokio::test]
async fn a_refused_link_is_wanted_until_the_listing_brings_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(5)).await.unwrap();
    let failed = failure(Reason::Expired, 0, at(5), at(5).duration_since(job.link_at), job.link_was_refused);
    assert_eq!((failed.after.failures, failed.after.wants_link), (0, true), "an old link is nobody's failure");
    store.attempt_failed(&job, &failed, &Ended::default(), at(5)).await.unwrap();
    assert_eq!(store.wanted(&listing()).await.unwrap(), [(TaskId::parse("1").unwrap(), Some(1))]);
    assert!(claim(&store, at(60)).await.is_none());

    let same = apply(&store, &[row("1", "success")], at(6)).await;
    assert!(same.refreshed.is_empty());
    assert!(claim(&store, at(6)).await.is_none(), "the same link again waits for its time");
    let job = claim(&store, at(8)).await.unwrap();
    assert!(job.link_was_refused);
    let failed = failure(Reason::Expired, 0, at(8), SignedDuration::from_hours(1), job.link_was_refused);
    assert_eq!(failed.after.failures, 1);
    store.attempt_failed(&job, &failed, &Ended::default(), at(8)).await.unwrap();

    let mut fresh = row("1", "success");
    fresh.link = Some(link("1", "two"));
    let applied = apply(&store, &[fresh], at(9)).await;
    assert_eq!(applied.refreshed, [TaskId::parse("1").unwrap()]);
    let job = claim(&store, at(9)).await.unwrap();
    assert_eq!((job.link_was_refused, job.link_at, job.attempt), (false, at(9), 3));
}

#[tokio::test]
async fn a_success_without_a_link_waits_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let bare = TaskSnapshot { link: None, ..row("1", "success") };
    assert!(!apply(&store, std::slice::from_ref(&bare), at(0)).await.queued);
    assert!(claim(&store, at(1)).await.is_none());
    let waiting = store.waiting(&[listing()], at(1)).await.unwrap();
    assert_eq!((waiting.with_link, waiting.wanted), (0, 1));
    assert_eq!(apply(&store, &[bare], at(1)).await, Applied::default());
    assert_eq!(apply(&store, &[row("1", "success")], at(2)).await.refreshed.len(), 1);
    assert!(claim(&store, at(2)).await.is_some());
}

#[tokio::test]
async fn a_task_that_is_no_longer_success_is_not_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    apply(&store, &[row("1", "created")], at(1)).await;
    assert!(claim(&store, at(2)).await.is_none());
    assert_eq!(store.waiting(&[listing()], at(2)).await.unwrap(), Waiting::default());
    apply(&store, &[row("1", "success")], at(3)).await;
    assert!(claim(&store, at(3)).await.is_some());
    assert_replay(&store).await;
}

#[tokio::test]
async fn a_stored_task_with_a_newer_update_time_is_looked_at_again_once_a_day_and_stays_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(1)).await.unwrap();
    let mut newer = row("1", "success");
    newer.updated_at = Some(at(10));
    assert!(apply(&store, std::slice::from_ref(&newer), at(11)).await.queued);
    let job = claim(&store, at(12)).await.unwrap();
    assert_eq!((job.recheck, job.stored_etag.as_deref(), job.attempt), (true, Some("\"E\""), 1));
    assert_eq!(one::<String>(&store, "SELECT state FROM downloads").await, "stored");
    store.unchanged(&job, &Ended::default(), at(12)).await.unwrap();
    assert_eq!(apply(&store, &[newer.clone()], at(13)).await, Applied::default());
    newer.updated_at = Some(at(20));
    assert!(!apply(&store, std::slice::from_ref(&newer), at(21)).await.queued, "not twice a day");
    assert!(apply(&store, std::slice::from_ref(&newer), at(12 + 24 * 60)).await.queued);
    let job = claim(&store, at(3000)).await.unwrap();
    store
        .stored(&job, &Intent { remote_updated_at: text(Some(at(20))), ..intent("p1.r2", 2, "bb") }, at(3001))
        .await
        .unwrap();
    assert_eq!(one::<String>(&store, "SELECT path FROM downloads").await, "p1.r2");
    let job = {
        newer.created_at = Some(at(15));
        assert!(apply(&store, &[newer], at(3002)).await.queued, "issued anew: at once");
        claim(&store, at(3003)).await.unwrap()
    };
    for failures in 0..3 {
        let failed = failure(Reason::Network, failures, at(3003), SignedDuration::ZERO, false);
        if failures > 0 {
            assert!(claim(&store, at(3010 + i64::from(failures) * 10)).await.is_some());
        }
        store.attempt_failed(&job, &failed, &Ended::default(), at(3003)).await.unwrap();
    }
    assert_eq!(one::<String>(&store, "SELECT state FROM downloads").await, "stored", "whatever comes of it");
    assert!(claim(&store, at(9000)).await.is_none());
    assert_replay(&store).await;
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
async fn the_append_only_tables_refuse_to_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(1)).await.unwrap();
    for sql in [
        "UPDATE transitions SET kind = 'first'",
        "DELETE FROM transitions",
        "UPDATE attempts SET result = 'failed'",
        "DELETE FROM attempts",
        "UPDATE files SET path = 'x'",
        "DELETE FROM files",
    ] {
        let error = sqlx::query(sql).execute(&store.writer).await.unwrap_err().to_string();
        assert!(error.contains("append-only"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn every_statement_of_the_hot_paths_uses_an_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let plans = [
        (
            "SELECT 1 FROM json_each('[]') AS j
             CROSS JOIN tasks AS t ON t.account = 'a' AND t.export = 'b' AND t.task_id = j.value
             LEFT JOIN downloads AS d ON d.account = t.account AND d.export = t.export AND d.task_id = t.task_id",
            "sqlite_autoindex_tasks_1",
        ),
        (
            "SELECT 1 FROM downloads AS d
             WHERE (d.state = 'pending' OR d.recheck = 1) AND d.account = 'a' AND d.active_since IS NULL
             ORDER BY d.queued_for, d.task_id LIMIT 1",
            "downloads_waiting",
        ),
        ("SELECT 1 FROM downloads WHERE active_since IS NOT NULL", "downloads_active"),
        (
            "SELECT id FROM transitions WHERE account = 'a' AND export = 'b' AND task_id = 'c' ORDER BY id",
            "transitions_by_task",
        ),
    ];
    for (sql, index) in plans {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(explain)).fetch_all(&store.readers).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|r| r.get::<String, _>("detail")).collect();
        let plan = plan.join("; ");
        assert!(plan.contains(index) && !plan.contains("TEMP B-TREE"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn after_a_clean_stop_a_reader_without_write_permission_can_open_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let beside = Store::open_read_only(dir.path()).await.unwrap();
    assert_eq!(beside.tasks(&TaskFilter::default(), 10, 0).await.unwrap().len(), 1, "while it runs");
    beside.close().await;
    store.close().await;
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["usage.db"], "no log is left beside it");
    let header = std::fs::read(dir.path().join("usage.db")).unwrap();
    assert_eq!(header[18..20], [1, 1], "and the file is out of WAL mode");
    let mode = std::fs::metadata(dir.path().join("usage.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

async fn refusal(dir: &Path) -> (OpenError, OpenError) {
    let before = std::fs::read(dir.join("usage.db")).unwrap();
    let write = Store::open(dir).await.unwrap_err();
    let read = Store::open_read_only(dir).await.unwrap_err();
    assert!(before == std::fs::read(dir.join("usage.db")).unwrap(), "the file is left as it is");
    (write, read)
}

#[tokio::test]
async fn a_foreign_a_newer_and_a_damaged_database_are_refused_by_name_and_left_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("usage.db");
    let mut other = SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.display())).await.unwrap();
    sqlx::raw_sql("CREATE TABLE cats (name TEXT)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let (write, read) = refusal(dir.path()).await;
    assert!(matches!((&write, &read), (OpenError::Foreign { .. }, OpenError::Foreign { .. })), "{write}");
    assert!(write.to_string().contains("usage.db"));

    std::fs::remove_file(&path).unwrap();
    let store = open(&dir).await;
    let rows: Vec<TaskSnapshot> = (0..500).map(|n| row(&n.to_string(), "success")).collect();
    apply(&store, &rows, at(0)).await;
    store.close().await;
    let whole = std::fs::read(&path).unwrap();
    let mut ours = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    sqlx::raw_sql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99, 'x', 1, x'00', 0)")
        .execute(&mut ours)
        .await
        .unwrap();
    ours.close().await.unwrap();
    let (write, _) = refusal(dir.path()).await;
    assert!(matches!(write, OpenError::Newer { found: 99, .. }), "{write}");

    let mut broken = whole.clone();
    for byte in &mut broken[8192..16384] {
        *byte = 0xA5;
    }
    std::fs::write(&path, &broken).unwrap();
    let (write, _) = refusal(dir.path()).await;
    assert!(matches!(write, OpenError::Damaged { .. }), "{write}");
    std::fs::write(&path, b"this is not a database, it is a letter to a friend").unwrap();
    let (write, _) = refusal(dir.path()).await;
    assert!(matches!(write, OpenError::Damaged { .. }), "{write}");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let (write, _) = refusal(dir.path()).await;
    assert!(matches!(write, OpenError::Damaged { .. }), "{write}");
    std::fs::write(&path, &whole).unwrap();
    Store::open(dir.path()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_first_start_that_is_cut_off_leaves_no_database_and_an_empty_one_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("usage.db.new"), b"half of one").unwrap();
    assert!(matches!(Store::open_read_only(dir.path()).await.unwrap_err(), OpenError::Absent { .. }));
    open(&dir).await.close().await;
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["usage.db"]);
    std::fs::write(dir.path().join("usage.db"), b"").unwrap();
    let (write, read) = refusal(dir.path()).await;
    assert!(matches!((&write, &read), (OpenError::Damaged { .. }, OpenError::Damaged { .. })), "{write}");
    let nowhere = dir.path().join("nowhere");
    assert!(matches!(Store::open_read_only(&nowhere).await.unwrap_err(), OpenError::Absent { .. }));
    assert!(Store::open(&nowhere).await.unwrap_err().to_string().contains("nowhere/usage.db"));
}

#[tokio::test]
async fn what_a_run_owes_is_due_at_once_and_tasks_can_be_filtered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success"), row("2", "created")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    let failed = failure(Reason::Http, 1, at(1), SignedDuration::ZERO, false);
    store.attempt_failed(&job, &failed, &Ended::default(), at(1)).await.unwrap();
    store.make_due(&[listing()]).await.unwrap();
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!((job.attempt, job.failures), (1, 0));
    store.poll_failed(&listing(), "no route").await.unwrap();
    assert_eq!(store.listing(&listing()).await.unwrap().unwrap().error.as_deref(), Some("no route"));
    let by = |f: TaskFilter| {
        let store = store.clone();
        async move { store.tasks(&f, 10, 0).await.unwrap().len() }
    };
    assert_eq!(by(TaskFilter { status: Some("created".into()), ..TaskFilter::default() }).await, 1);
    assert_eq!(by(TaskFilter { state: Some("active".into()), ..TaskFilter::default() }).await, 1);
    assert_eq!(by(TaskFilter { account: Some("other".into()), ..TaskFilter::default() }).await, 0);
    assert_eq!(by(TaskFilter { export: Some("usage-detail".into()), ..TaskFilter::default() }).await, 2);
    assert_eq!(by(TaskFilter { task_id: Some("2".into()), ..TaskFilter::default() }).await, 1);
    assert_eq!(by(TaskFilter { since: text(Some(at(0))), ..TaskFilter::default() }).await, 2);
    assert_eq!(by(TaskFilter { since: text(Some(at(1))), ..TaskFilter::default() }).await, 0);
    assert!(store.path().ends_with("usage.db"));
}

#[tokio::test]
async fn a_link_that_is_of_no_use_any_more_does_not_linger_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut rows: Vec<TaskSnapshot> = (0..60).map(|n| row(&format!("{n:03}"), "success")).collect();
    for row in &mut rows {
        row.link = Some(link(row.id.as_str(), &"MARK".repeat(100)));
    }
    apply(&store, &rows, at(0)).await;
    for n in 0..rows.len() {
        let job = claim(&store, at(1)).await.unwrap();
        store.stored(&job, &intent(&format!("p{n}"), 1, "aa"), at(1)).await.unwrap();
    }
    store.close().await;
    let file = std::fs::read(dir.path().join("usage.db")).unwrap();
    assert!(!file.windows(8).any(|w| w == b"MARKMARK"), "of {} bytes", file.len());
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

#[tokio::test]
async fn a_recheck_that_is_given_up_rests_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(1)).await.unwrap();
    let newer = TaskSnapshot { updated_at: Some(at(10)), ..row("1", "success") };
    apply(&store, std::slice::from_ref(&newer), at(11)).await;
    for failures in 0..3 {
        let now = at(20 + i64::from(failures) * 10);
        let job = claim(&store, now).await.unwrap();
        let failed = failure(Reason::Gone, failures, now, SignedDuration::ZERO, false);
        store.attempt_failed(&job, &failed, &Ended::default(), now).await.unwrap();
        let fresh = TaskSnapshot { link: Some(link("1", &failures.to_string())), ..newer.clone() };
        if failures < 2 {
            apply(&store, &[fresh], now).await;
        }
    }
    assert!(!apply(&store, std::slice::from_ref(&newer), at(41)).await.queued);
    assert!(claim(&store, at(60)).await.is_none());
    assert!(apply(&store, &[newer], at(41 + 24 * 60)).await.queued);
}

#[tokio::test]
async fn the_file_of_an_id_that_is_issued_anew_is_fetched_whenever_that_is_seen_and_whatever_the_update_time_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let timeless =
        |status: &str, minute: i64| TaskSnapshot { updated_at: None, created_at: Some(at(minute)), ..row("1", status) };
    apply(&store, &[timeless("success", -100)], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    apply(&store, &[timeless("success", -50)], at(2)).await;
    store.stored(&job, &intent("p1", 1, "aa"), at(3)).await.unwrap();
    assert!(apply(&store, &[timeless("success", -50)], at(4)).await.queued, "issued anew during the transfer");
    let job = claim(&store, at(5)).await.unwrap();
    store.stored(&job, &intent("p2", 2, "bb"), at(6)).await.unwrap();
    assert!(!apply(&store, &[timeless("success", -50)], at(7)).await.queued);

    apply(&store, &[timeless("created", -20)], at(8)).await;
    assert!(apply(&store, &[timeless("success", -20)], at(9)).await.queued, "issued anew as unfinished");
}

#[tokio::test]
async fn of_two_rows_of_one_task_on_a_page_the_second_does_not_undo_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    for n in 0..3 {
        let job = claim(&store, at(n * 10 + 1)).await.unwrap();
        let failed = failure(Reason::Network, job.failures, at(n * 10 + 1), SignedDuration::ZERO, false);
        store.attempt_failed(&job, &failed, &Ended::default(), at(n * 10 + 1)).await.unwrap();
    }
    let twice =
        ["two", "three"].map(|signature| TaskSnapshot { link: Some(link("1", signature)), ..row("1", "success") });
    store.apply_page(&listing(), 1, &twice, &[], None, Some(at(50)), at(50)).await.unwrap();
    let job = claim(&store, at(51)).await.unwrap();
    assert_eq!((job.attempt, job.link), (1, link("1", "three")));
}

#[tokio::test]
async fn a_task_that_is_issued_anew_without_a_link_does_not_get_the_file_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let anew = TaskSnapshot { created_at: Some(at(5)), link: None, ..row("1", "success") };
    apply(&store, &[anew], at(6)).await;
    assert!(claim(&store, at(7)).await.is_none());
    assert_eq!(store.waiting(&[listing()], at(7)).await.unwrap().wanted, 1);
}
