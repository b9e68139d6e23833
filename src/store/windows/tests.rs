use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::Row as _;
use tempfile::TempDir;

use super::*;
use crate::model::{
    link::SignedUrl,
    task::{AccountName, Export, TaskSnapshot},
    window::Fate,
};
use crate::store::{Intent, Job};

fn listing(account: &str) -> ListingKey {
    ListingKey { account: AccountName::parse(account).unwrap(), export: Export::UsageDetail }
}

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + minute * 60).unwrap()
}

fn row(id: &str, status: &str) -> TaskSnapshot {
    TaskSnapshot {
        id: TaskId::parse(id).unwrap(),
        name: Some("刷新 \"quoted\"\n".into()),
        status: Status::parse(status).unwrap(),
        created_at: Some(at(-100)),
        updated_at: Some(at(-90)),
        range_start: Some(at(-5000)),
        range_end: Some(at(-4000)),
        link: (status == "success").then(|| SignedUrl::parse("https://b.example.com/x?Signature=one").unwrap()),
    }
}

async fn open(dir: &TempDir) -> Store {
    let store = Store::open(dir.path()).await.unwrap();
    for account in ["main", "other"] {
        store.register_listing(&listing(account), "https://cdn.example.com").await.unwrap();
    }
    store
}

async fn apply(store: &Store, account: &str, rows: &[TaskSnapshot], now: Timestamp) {
    store.apply_page(&listing(account), 1, rows, &[], Some("REQ"), None, now).await.unwrap();
}

/// Claims what is due first, and publishes a revision of it.
async fn publish(store: &Store, path: &str, revision: u32, sha256: &str, now: Timestamp) -> Job {
    let account = listing("main").account;
    let week = jiff::SignedDuration::from_hours(7 * 24);
    let job = store.claim_next(&account, &[Export::UsageDetail], now, week).await.unwrap().unwrap();
    let intent = Intent {
        path: path.into(),
        revision,
        returns: false,
        bytes: 5,
        sha256: sha256.into(),
        crc64: "17".into(),
        etag: None,
        verified_by: "crc64".into(),
        remote_updated_at: text(Some(at(-90))),
        attempt: 1,
        started_at: text(Some(now)).unwrap(),
        resumed_bytes: 0,
        request_id: None,
    };
    store.stored(&job, &intent, now).await.unwrap();
    job
}

async fn facts(store: &Store, since: Timestamp) -> Vec<TaskFacts> {
    let mut facts = store.window_facts(&listing("main"), since).await.unwrap();
    facts.sort_by(|a, b| a.id.cmp(&b.id));
    facts
}

fn file(revision: u32, path: &str, sha256: &str) -> FileFacts {
    FileFacts { revision, path: path.to_owned(), sha256: sha256.to_owned() }
}

#[tokio::test]
async fn the_tasks_of_a_listing_come_with_their_downloads_and_all_revisions() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let bare =
        TaskSnapshot { name: None, created_at: None, range_start: None, range_end: None, ..row("c", "odd \"word\"") };
    apply(&store, "main", &[row("a", "success"), row("b", "failed"), bare], at(0)).await;
    apply(&store, "other", &[row("a", "success")], at(0)).await;
    publish(&store, "p1", 1, "aa", at(1)).await;
    let known = facts(&store, at(-9000)).await;
    assert_eq!(known.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
    let a = &known[0];
    assert_eq!(a.name.as_deref(), Some("刷新 \"quoted\"\n"));
    assert_eq!((a.created_at, a.first_seen_at, a.range), (Some(at(-100)), at(0), Some((at(-5000), at(-4000)))));
    assert_eq!((a.fate(), a.files.as_slice()), (Fate::Stored, [file(1, "p1", "aa")].as_slice()));
    assert_eq!((known[1].fate(), known[1].files.len()), (Fate::Failed, 0));
    let c = &known[2];
    assert_eq!((c.status.as_str(), c.created_at, c.range, c.download), ("odd \"word\"", None, None, None));

    // The service says that it changed: another revision.
    let newer = TaskSnapshot { updated_at: Some(at(2000)), ..row("a", "success") };
    apply(&store, "main", &[newer], at(2001)).await;
    publish(&store, "p2", 2, "bb", at(2002)).await;
    let known = facts(&store, at(-9000)).await;
    assert_eq!(known[0].files, [file(1, "p1", "aa"), file(2, "p2", "bb")]);
    assert_eq!(known[0].download.map(|d| d.reissued), Some(false));
}

#[tokio::test]
async fn what_ended_before_is_left_out_but_not_what_an_earlier_file_may_be_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let unknown = TaskSnapshot { range_end: None, ..row("c", "created") };
    apply(&store, "main", &[row("a", "success"), row("b", "created"), unknown], at(0)).await;
    publish(&store, "p1", 1, "aa", at(1)).await;
    let ids = |facts: Vec<TaskFacts>| facts.iter().map(|f| f.id.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(ids(facts(&store, at(-4000)).await), ["a", "b", "c"]);
    assert_eq!(ids(facts(&store, at(-3999)).await), ["c"]);
    let reissued = TaskSnapshot { created_at: Some(at(-50)), range_end: Some(at(-4500)), ..row("a", "success") };
    apply(&store, "main", &[reissued], at(2)).await;
    let known = facts(&store, at(-3999)).await;
    assert_eq!(known[0].download.map(|d| d.reissued), Some(true));
    assert_eq!(ids(known), ["a", "c"]);
    publish(&store, "p2", 2, "bb", at(3)).await;
    let known = facts(&store, at(-3999)).await;
    assert_eq!((known[0].fate(), known[0].files.len()), (Fate::Stored, 2));
}

#[tokio::test]
async fn a_listing_of_several_pages_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let page = usize::try_from(PAGE).unwrap();
    assert_eq!(facts(&store, at(-9000)).await, []);
    for count in [page - 1, page, page + 1, 2 * page, 2 * page + 3] {
        let rows: Vec<_> = (0..count).map(|n| row(&n.to_string(), "created")).collect();
        apply(&store, "main", &rows, at(0)).await;
        let known = facts(&store, at(-9000)).await;
        assert_eq!(known.len(), count);
        assert!(known.windows(2).all(|pair| pair[0].id < pair[1].id));
    }
}

#[tokio::test]
async fn the_statements_use_the_indexes_of_the_keys_and_sort_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let plan = async |sql: &str| {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(explain)).fetch_all(&store.readers).await.unwrap();
        rows.iter().map(|r| r.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    };
    let tasks = plan(TASKS).await;
    for part in [
        "SEARCH t USING INDEX sqlite_autoindex_tasks_1 (account=? AND export=? AND task_id>? AND task_id<?)",
        "SEARCH d USING INDEX sqlite_autoindex_downloads_1 (account=? AND export=? AND task_id=?)",
        "SEARCH f USING COVERING INDEX files_revised (account=? AND export=? AND task_id=? AND revision>?)",
    ] {
        assert!(tasks.contains(part), "{tasks}");
    }
    let revisions = plan(REVISIONS).await;
    for part in [
        "SEARCH f USING INDEX sqlite_autoindex_files_2 (account=? AND export=? AND task_id=?)",
        "SEARCH g USING COVERING INDEX files_revised (account=? AND export=?)",
    ] {
        assert!(revisions.contains(part), "{revisions}");
    }
    for plan in [tasks, revisions] {
        assert!(!plan.contains("TEMP B-TREE") && !plan.contains("SCAN t") && !plan.contains("SCAN f"), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_a_listing_is_read_is_seen_whole_or_not_at_all() {
    const TASKS: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let ids: Vec<String> = (0..TASKS).map(|n| format!("t{n}")).collect();
    let path = |id: &str, revision: u32| format!("{id}/{revision}");
    for id in &ids {
        apply(&store, "main", &[row(id, "success")], at(0)).await;
        publish(&store, &path(id, 1), 1, "aa", at(1)).await;
    }
    // One is changed and published after the other, while the listing is read over and over.
    let ended = AtomicBool::new(false);
    let write = async {
        for id in &ids {
            let newer = TaskSnapshot { updated_at: Some(at(2000)), ..row(id, "success") };
            apply(&store, "main", &[newer], at(2001)).await;
            publish(&store, &path(id, 2), 2, "bb", at(2002)).await;
        }
        ended.store(true, Ordering::Relaxed);
    };
    let read = async {
        let mut in_between = 0;
        while !ended.load(Ordering::Relaxed) {
            let known = facts(&store, at(-9000)).await;
            assert_eq!(known.len(), TASKS);
            for task in &known {
                for (file, revision) in task.files.iter().zip(1..) {
                    let id = task.id.as_str();
                    assert_eq!((file.revision, &file.path), (revision, &path(id, revision)), "of task {id}");
                }
            }
            let revised = known.iter().filter(|task| task.files.len() == 2).count();
            in_between += usize::from(revised > 0 && revised < TASKS);
        }
        in_between
    };
    let ((), in_between) = tokio::join!(write, read);
    assert!(in_between > 0, "it was never read while something was published");
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_with_its_listing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, "main", &[row("a", "success"), row("b", "created"), row("c", "failed")], at(0)).await;
    let cases = [
        ("tasks", "range_start", "soon", "in tasks.range_start what cannot be read: task b: "),
        ("tasks", "unlisted_at", "late", "in tasks.unlisted_at what cannot be read: task b: "),
        ("tasks", "status", "", "in tasks.status what cannot be read: task b: "),
    ];
    for (table, column, word, said) in cases {
        let set = async |word: Option<String>| {
            let set = format!("UPDATE {table} SET {column} = ?1 WHERE task_id = 'b'");
            sqlx::query(sqlx::AssertSqlSafe(set)).bind(word).execute(&store.writer).await.unwrap();
        };
        let before: Option<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT {column} FROM {table} WHERE task_id = 'b'")))
                .fetch_one(&store.readers)
                .await
                .unwrap();
        set(Some(word.to_owned())).await;
        let error = store.window_facts(&listing("main"), at(-9000)).await.unwrap_err().to_string();
        assert!(
            error.starts_with("the tasks of main/usage-detail cannot be read: ") && error.contains(said),
            "{error}"
        );
        set(before).await;
    }
    assert_eq!(facts(&store, at(-9000)).await.len(), 3, "and what is mended is read");
}
