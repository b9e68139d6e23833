//! What `why` and `status` read.

use super::*;
use crate::{
    model::{download::DownloadState, why},
    store::{
        Given, Retrying,
        inspect::RECENT,
        listings::WATCHED,
        look::{ATTEMPTING, FACTS, GIVEN, RETRYING, UNDONE},
        waiting::{HAS_LINKED, MAKE_DUE, UNDELIVERED, WAITING, WANTED},
    },
};

async fn plan(store: &Store, sql: &str) -> String {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let rows = sqlx::query(sqlx::AssertSqlSafe(explain)).fetch_all(&store.readers).await.unwrap();
    rows.iter().map(|r| r.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn looking_reads_one_task_or_what_waits_and_goes_over_all_downloads_once_to_count_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let facts = plan(&store, FACTS).await;
    assert!(facts.contains("SEARCH t USING INDEX sqlite_autoindex_tasks_1"), "{facts}");
    assert!(facts.contains("SEARCH d USING INDEX sqlite_autoindex_downloads_1") && !facts.contains("SCAN"), "{facts}");
    let attempting = plan(&store, ATTEMPTING).await;
    assert!(attempting.contains("downloads_active") && !attempting.contains("TEMP B-TREE"), "{attempting}");
    let recent = plan(&store, RECENT).await;
    assert!(recent.starts_with("SCAN x; SEARCH t USING INDEX") && !recent.contains("TEMP B-TREE"), "{recent}");
    let undone = plan(&store, UNDONE).await;
    assert!(undone.contains("SEARCH d USING INDEX downloads_undelivered (account=? AND export=?)"), "{undone}");
    let retrying = plan(&store, RETRYING).await;
    // It sorts by time what waits, and nothing else.
    assert!(retrying.contains("SEARCH d USING INDEX downloads_waiting (account=?)"), "{retrying}");
    let waiting = plan(&store, WAITING).await;
    assert!(waiting.contains("SEARCH d USING INDEX downloads_waiting (account=?)"), "{waiting}");
    assert!(waiting.contains("downloads_active") && !waiting.contains("autoindex_downloads"), "{waiting}");
    for (sql, index) in [
        (WATCHED, "SEARCH d USING INDEX downloads_wanted (account=? AND export=?)"),
        (WATCHED, "SEARCH tasks USING INDEX tasks_unfinished (account=? AND export=? AND last_seen_at>?)"),
        (WANTED, "SEARCH d USING INDEX downloads_wanted (account=? AND export=?)"),
        (HAS_LINKED, "SEARCH d USING INDEX downloads_waiting (account=?)"),
        (MAKE_DUE, "SEARCH downloads USING INDEX downloads_waiting (account=?)"),
        (UNDELIVERED, "SEARCH d USING INDEX downloads_undelivered (account=? AND export=?)"),
    ] {
        let plan = plan(&store, sql).await;
        assert!(plan.contains(index) && !plan.contains("autoindex_downloads"), "{sql}: {plan}");
    }
    let given = plan(&store, GIVEN).await;
    assert_eq!(given.matches("downloads").count(), 1, "{given}");
    assert!(given.starts_with("SCAN downloads") && !given.contains("INDEX"), "{given}");
}

#[tokio::test]
async fn the_facts_of_a_task_follow_its_download_through_its_states() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    assert_eq!(store.task_facts(&key("1")).await.unwrap(), None);
    apply(&store, &[row("1", "success"), row("2", "Odd"), row("3", "success")], at(0)).await;
    let facts = async |id: &str| store.task_facts(&key(id)).await.unwrap().unwrap();

    let odd = facts("2").await;
    assert_eq!((odd.status, odd.download, odd.changed_at), (Status::parse("odd").unwrap(), None, at(0)));
    let pending = why::Download {
        state: DownloadState::Pending,
        is_active: false,
        has_link: true,
        is_wanted: false,
        recheck: false,
        not_before: None,
        failures: 0,
        reason: None,
    };
    assert_eq!(facts("1").await.download, Some(pending));
    let job = claim(&store, at(1)).await.unwrap();
    let active = facts("1").await;
    assert_eq!(active.download, Some(why::Download { state: DownloadState::Active, is_active: true, ..pending }));
    assert_eq!((active.active_since, active.attempt), (Some(at(1)), 1));
    assert_eq!(active.link_host.as_deref(), Some("b.example.com:443"));
    assert_eq!(store.attempting(5).await.unwrap().len(), 1);
    assert_eq!(store.attempting(0).await.unwrap(), []);

    let why_not = failure(Reason::Network, 0, at(2), SignedDuration::ZERO, false);
    store.attempt_failed(&job, &why_not, &Ended::default(), at(2)).await.unwrap();
    let timed = why::Download { not_before: Some(at(4)), failures: 1, reason: Some(Reason::Network), ..pending };
    assert_eq!(facts("1").await.download, Some(timed));
    let retrying = async |now, horizon, limit| {
        let rows: Vec<Retrying> = store.retrying(&[listing()], now, horizon, limit).await.unwrap();
        rows.into_iter().map(|r| (r.task_id, r.attempt, r.reason)).collect::<Vec<_>>()
    };
    let expected = [("1".to_owned(), 1, Some("network".to_owned()))];
    assert_eq!(retrying(at(3), at(60), 5).await, expected);
    assert_eq!(retrying(at(4), at(60), 5).await, [], "it is due");
    assert_eq!(retrying(at(-99), at(-90), 5).await, [], "the clock was set back: it is due as well");
    assert_eq!(retrying(at(3), at(60), 0).await, []);

    let job = claim(&store, at(4)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(5)).await.unwrap();
    let stored = facts(job.key.id.as_str()).await.download.unwrap();
    assert_eq!((stored.state, stored.has_link, stored.failures), (DownloadState::Stored, false, 0));
    // A refused link is wanted anew.
    let job = claim(&store, at(6)).await.unwrap();
    let refused = failure(Reason::Expired, 0, at(6), SignedDuration::from_hours(1), false);
    store.attempt_failed(&job, &refused, &Ended::default(), at(6)).await.unwrap();
    let wanted = facts(job.key.id.as_str()).await.download.unwrap();
    assert_eq!((wanted.has_link, wanted.is_wanted), (false, true));
}

#[tokio::test]
async fn downloads_are_counted_by_state_and_those_given_up_by_reason() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success"), row("2", "success"), row("3", "success"), row("4", "success")], at(0)).await;
    for reason in [Reason::Integrity, Reason::TooLarge] {
        let job = claim(&store, at(1)).await.unwrap();
        let last = failure(reason, 2, at(1), SignedDuration::ZERO, false);
        store.attempt_failed(&job, &last, &Ended::default(), at(1)).await.unwrap();
    }
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(2)).await.unwrap();
    let mut given = store.downloads_given(&[listing()]).await.unwrap();
    given.sort_by(|a, b| (&a.state, &a.reason).cmp(&(&b.state, &b.reason)));
    let one = |state: &str, reason: Option<&str>, bytes| Given {
        listing: listing(),
        state: state.to_owned(),
        reason: reason.map(str::to_owned),
        count: 1,
        bytes,
    };
    assert_eq!(
        given,
        [
            one("abandoned", Some("integrity"), 0),
            one("abandoned", Some("too_large"), 0),
            one("pending", None, 0),
            one("stored", None, 5)
        ]
    );
    assert_eq!(store.downloads_given(&[]).await.unwrap(), []);
    assert_eq!(store.listing_keys().await.unwrap(), [listing()]);
}
