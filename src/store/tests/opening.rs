//! What is opened, what is refused, and what the file holds.

use super::*;

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
async fn the_log_of_a_database_that_was_moved_away_is_not_replayed_into_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let beside = |suffix: &str| dir.path().join(format!("usage.db{suffix}"));
    let log = std::fs::read(beside("-wal")).unwrap();
    assert!(log.len() > 1000);
    store.close().await;
    // As a kill leaves it, and then only the database was moved.
    std::fs::remove_file(beside("")).unwrap();
    for suffix in ["-wal", "-journal"] {
        std::fs::write(beside(suffix), &log).unwrap();
        let error = Store::open(dir.path()).await.unwrap_err();
        assert!(matches!(error, OpenError::Damaged { .. }) && error.to_string().contains(suffix), "{error}");
        assert!(!beside("").exists() && std::fs::read(beside(suffix)).unwrap() == log, "all is left as it is");
        std::fs::remove_file(beside(suffix)).unwrap();
    }
    for suffix in ["-wal", "-shm", "-journal"] {
        std::fs::write(beside(suffix), b"").unwrap();
    }
    let store = open(&dir).await;
    assert_eq!(one::<i64>(&store, "SELECT count(*) FROM tasks").await, 0);
    store.close().await;
}

#[tokio::test]
async fn after_a_clean_stop_nothing_of_a_link_that_is_of_no_use_is_left_in_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let ids: Vec<String> = (0..200).map(|n| n.to_string()).collect();
    let rows: Vec<_> = ids.iter().map(|id| row(id, "success")).collect();
    apply(&store, &rows, at(0)).await;
    assert_eq!(one::<i64>(&store, "SELECT count(*) FROM downloads WHERE link IS NOT NULL").await, 200);
    // Rows that grow move to other pages, and their old bytes stay in gaps.
    for sql in [
        "UPDATE downloads SET link = link || '&x-oss-signature=MARK' || hex(zeroblob(100))",
        "UPDATE downloads SET error = hex(zeroblob(300)) WHERE rowid % 2 = 0",
        "UPDATE downloads SET link = NULL, error = NULL",
    ] {
        sqlx::query(sql).execute(&store.writer).await.unwrap();
    }
    store.close().await;
    let bytes = std::fs::read(dir.path().join("usage.db")).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("MARK"), "a link is left behind");
}

#[tokio::test]
async fn a_transaction_that_sqlite_ends_by_itself_costs_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    // What a full disk does, or one that errs, in the middle of a transaction.
    let ends = "CREATE TRIGGER ends BEFORE INSERT ON tasks BEGIN SELECT RAISE(ROLLBACK, 'full'); END";
    sqlx::query(ends).execute(&store.writer).await.unwrap();
    let rows = [row("1", "success")];
    for _ in 0..3 {
        let full = store.apply_page(&listing(), 1, &rows, &[], None, None, at(0)).await.unwrap_err().to_string();
        assert!(full.contains("full"), "{full}");
    }
    sqlx::query("DROP TRIGGER ends").execute(&store.writer).await.unwrap();
    apply(&store, &rows, at(0)).await;
    assert_eq!(one::<i64>(&store, "SELECT count(*) FROM tasks").await, 1);
}

#[tokio::test]
async fn a_database_that_has_lost_its_name_is_not_writable_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let path = dir.path().join("usage.db");
    let (kept, other) = (dir.path().join("kept.db"), dir.path().join("other.db"));
    std::fs::hard_link(&path, &kept).unwrap();
    std::fs::copy(&path, &other).unwrap();
    for replaced in [true, false] {
        store.is_in_place().await.unwrap();
        store.is_writable().await.unwrap();
        std::fs::remove_file(&path).unwrap();
        if replaced {
            std::fs::hard_link(&other, &path).unwrap();
        }
        for verdict in [store.is_in_place().await, store.is_writable().await] {
            assert!(matches!(verdict, Err(Unwritable::Elsewhere { .. })), "{verdict:?}");
        }
        let _ = std::fs::remove_file(&path);
        std::fs::hard_link(&kept, &path).unwrap();
    }
}
