//! What is not done of a listing, as the metrics ask.

use super::*;
use crate::model::{download::DownloadState, outstanding::Outstanding};

async fn outstanding(store: &Store, now: Timestamp) -> Outstanding {
    store.outstanding(&listing(), now).await.unwrap()
}

fn made(id: &str, status: &str, created: i64, updated: i64) -> TaskSnapshot {
    TaskSnapshot { created_at: Some(at(created)), updated_at: Some(at(updated)), ..row(id, status) }
}

#[tokio::test]
async fn a_success_is_undelivered_from_when_it_was_known_until_it_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let none = outstanding(&store, at(0)).await;
    assert_eq!((none.total, none.undelivered_since, none.oldest_created_at, none.lost), (None, None, None, 0));
    // Old when it is first seen: nobody could have had it before.
    apply(&store, &[made("old", "success", -90_000, -80_000)], at(0)).await;
    assert_eq!(outstanding(&store, at(50)).await.undelivered_since, Some(at(0)));
    // One that succeeds under our eyes counts from then; and what the service says of the future does not count.
    apply(&store, &[made("new", "created", 5, 5)], at(6)).await;
    apply(&store, &[made("new", "success", 5, 20)], at(21)).await;
    let job = claim(&store, at(22)).await.unwrap();
    assert_eq!(job.key, key("old"));
    let known = outstanding(&store, at(22)).await;
    let state = |known: &Outstanding, state| known.undelivered.iter().find(|(s, _)| *s == state).unwrap().1;
    assert_eq!((state(&known, DownloadState::Active), state(&known, DownloadState::Pending)), (1, 1));
    assert_eq!(known.oldest_created_at, Some(at(-90_000)));
    store.intend(&job.key, &intent("a", 1, "aa")).await.unwrap();
    store.stored(&job, &intent("a", 1, "aa"), at(23)).await.unwrap();
    let known = outstanding(&store, at(30)).await;
    assert_eq!((known.undelivered_since, known.oldest_created_at), (Some(at(20)), Some(at(5))));
    assert_eq!(
        outstanding(&store, at(19)).await.undelivered_since,
        Some(at(6)),
        "an update time ahead is not believed"
    );
}

#[tokio::test]
async fn what_is_given_up_stays_undelivered_and_what_leaves_the_listing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[made("1", "success", -50, -50)], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    let given_up = failure(Reason::TooLarge, 2, at(1), SignedDuration::ZERO, false);
    assert!(given_up.after.abandoned);
    store.attempt_failed(&job, &given_up, &Ended::default(), at(2)).await.unwrap();
    let known = outstanding(&store, at(3)).await;
    assert_eq!(known.undelivered[2], (DownloadState::Abandoned, 1));
    assert_eq!((known.undelivered_since, known.lost), (Some(at(0)), 0));
    for minute in [10, 20] {
        sweep(&store, &[], at(minute)).await;
    }
    let known = outstanding(&store, at(30)).await;
    assert_eq!((known.undelivered[2].1, known.lost), (0, 1));
    assert_eq!((known.undelivered_since, known.oldest_created_at), (None, None), "there is no hurry any more");
}

#[tokio::test]
async fn an_unfinished_task_may_leave_the_listing_too_and_a_failed_one_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(
        &store,
        &[made("f", "failed", -900, -800), made("c", "created", -300, -300), made("s", "success", -200, -90)],
        at(0),
    )
    .await;
    let known = outstanding(&store, at(1)).await;
    assert_eq!((known.oldest_created_at, known.undelivered_since), (Some(at(-300)), Some(at(0))));
    assert_eq!(known.expires_at(), Some(at(-300 + 89 * 24 * 60)));
}

#[tokio::test]
async fn a_listing_that_is_suddenly_small_is_suspect_until_it_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let ids: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let rows: Vec<TaskSnapshot> = ids.iter().map(|id| row(id, "failed")).collect();
    apply(&store, &rows, at(0)).await;
    sweep(&store, &ids, at(1)).await;
    assert_eq!(
        (outstanding(&store, at(2)).await.total, outstanding(&store, at(2)).await.is_suspect),
        (Some(30), false)
    );
    sweep(&store, &["1"], at(3)).await;
    let known = outstanding(&store, at(4)).await;
    assert_eq!((known.total, known.is_suspect), (Some(1), true));
    sweep(&store, &["1"], at(4 + 24 * 60)).await;
    assert!(!outstanding(&store, at(5 + 24 * 60)).await.is_suspect);
}

#[tokio::test]
async fn it_is_read_through_indexes_that_hold_only_what_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let explain = format!("EXPLAIN QUERY PLAN {}", crate::store::outstanding::OUTSTANDING);
    let rows = sqlx::query(sqlx::AssertSqlSafe(explain))
        .bind("main")
        .bind("usage-detail")
        .bind("2026-01-01T00:00:00.000Z")
        .fetch_all(&store.readers)
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|r| r.get::<String, _>("detail")).collect();
    for index in ["INDEX downloads_undelivered", "INDEX sqlite_autoindex_tasks_1", "INDEX tasks_unfinished"] {
        assert!(plan.iter().any(|step| step.starts_with("SEARCH") && step.contains(index)), "{index}: {plan:#?}");
    }
    // What is scanned is what the search found.
    let scans: Vec<_> = plan.iter().filter(|step| step.starts_with("SCAN")).collect();
    assert_eq!(scans, ["SCAN late"], "{plan:#?}");
}
