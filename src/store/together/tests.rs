use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt as _, future::join_all};
use tempfile::TempDir;

use super::*;

/// A step that keeps a row, and then perhaps fails.
async fn keep(store: &Store, word: &str, fails: bool) -> Result<String, StoreError> {
    let (of, word) = (store.clone(), word.to_owned());
    store
        .together("keep a row", move |db| {
            Box::pin(async move {
                let insert = "INSERT INTO rejected_rows (account, export, digest, raw, error, first_seen_at)
                    VALUES ('main', 'usage', ?1, ?1, '', '2026-01-01T00:00:00.000Z')";
                sqlx::query(insert).bind(&word).execute(db).await.map_err(of.sql("keep a row"))?;
                if fails { Err(StoreError::Illegal { task: word, step: "fail" }) } else { Ok(word) }
            })
        })
        .await
}

async fn kept(store: &Store) -> Vec<String> {
    sqlx::query_scalar("SELECT raw FROM rejected_rows ORDER BY raw").fetch_all(&store.readers).await.unwrap()
}

/// A store whose commits are counted.
async fn counted(dir: &TempDir) -> (Store, Arc<AtomicUsize>) {
    let store = Store::open(dir.path()).await.unwrap();
    let commits = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&commits);
    let mut writer = store.writer.acquire().await.unwrap();
    writer.lock_handle().await.unwrap().set_commit_hook(move || counter.fetch_add(1, Ordering::Relaxed) < usize::MAX);
    (store, commits)
}

/// Has all of the steps wait for the writer before any of them gets it.
async fn at_once(store: &Store, steps: &[(&str, bool)]) -> Vec<Result<String, StoreError>> {
    let writer = store.writer.acquire().await.unwrap();
    let mut all = join_all(steps.iter().map(|(word, fails)| keep(store, word, *fails)).map(Box::pin)).boxed();
    assert!((&mut all).now_or_never().is_none());
    drop(writer);
    all.await
}

#[tokio::test]
async fn steps_that_wait_at_the_same_moment_share_a_commit_and_one_that_is_alone_has_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let (store, commits) = counted(&dir).await;
    assert_eq!(keep(&store, "0", false).await.unwrap(), "0");
    assert_eq!(commits.load(Ordering::Relaxed), 1);
    let words: Vec<_> = (1..=40).map(|n| n.to_string()).collect();
    let outcomes = at_once(&store, &words.iter().map(|w| (w.as_str(), false)).collect::<Vec<_>>()).await;
    assert!(outcomes.iter().zip(&words).all(|(outcome, word)| outcome.as_ref().unwrap() == word));
    assert_eq!(commits.load(Ordering::Relaxed), 2);
    assert_eq!(kept(&store).await.len(), 41);
}

#[tokio::test]
async fn a_step_that_fails_leaves_nothing_behind_and_costs_the_others_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = counted(&dir).await;
    let outcomes = at_once(&store, &[("a", false), ("b", true), ("c", false)]).await;
    assert_eq!(outcomes.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
    assert!(matches!(&outcomes[1], Err(StoreError::Illegal { task, .. }) if task == "b"), "{:?}", outcomes[1]);
    assert_eq!(kept(&store).await, ["a", "c"]);
    keep(&store, "d", true).await.unwrap_err();
    assert_eq!(kept(&store).await, ["a", "c"], "alone as well");
}

#[tokio::test]
async fn a_transaction_that_fails_has_failed_for_all_of_its_steps_and_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = counted(&dir).await;
    let trigger = "CREATE TRIGGER ends BEFORE INSERT ON rejected_rows WHEN new.raw = 'bad'
        BEGIN SELECT RAISE (ROLLBACK, 'the disk is full'); END";
    sqlx::query(trigger).execute(&store.writer).await.unwrap();
    let outcomes = at_once(&store, &[("a", false), ("bad", false), ("c", false)]).await;
    assert_eq!(outcomes.len(), 3);
    for outcome in outcomes {
        let text = outcome.unwrap_err().to_string();
        assert!(text.starts_with("cannot keep a row in the database "), "{text}");
    }
    assert_eq!(kept(&store).await, Vec::<String>::new());
    keep(&store, "d", false).await.unwrap();
    assert_eq!(kept(&store).await, ["d"]);
}

#[tokio::test]
async fn what_nobody_waits_for_any_more_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let (store, commits) = counted(&dir).await;
    let writer = store.writer.acquire().await.unwrap();
    let mut gone = Box::pin(keep(&store, "gone", false));
    let mut stays = Box::pin(keep(&store, "stays", false));
    assert!((&mut gone).now_or_never().is_none() && (&mut stays).now_or_never().is_none());
    drop(gone);
    drop(writer);
    stays.await.unwrap();
    assert_eq!((kept(&store).await, commits.load(Ordering::Relaxed)), (vec!["stays".to_owned()], 1));
}
