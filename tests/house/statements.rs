//! Every statement of the store, read off the source, and how SQLite goes about it: nothing that grows is gone through from end
//! to end, or all of a listing, or sorted, but where `WHOLE` says why.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use cdn_usaged::store::Store;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::source::{Kind, Source, read};

/// The plans as they are to be, of every statement: written anew by `GOLDEN=write cargo test --test house plan`.
const PLANS: &str = "tests/fixtures/plans.txt";

/// Part of a statement, a step of it that goes through a whole table or sorts, and why that is right.
const WHOLE: [(&str, &str, &str); 23] = [
    ("count(*) FROM tasks NOT INDEXED", "SCAN tasks", COUNTED),
    ("count(*) FROM tasks NOT INDEXED", "USE TEMP B-TREE FOR GROUP BY", COUNTED),
    ("count(*) FROM downloads NOT INDEXED", "SCAN downloads", COUNTED),
    ("count(*) FROM downloads NOT INDEXED", "USE TEMP B-TREE FOR GROUP BY", COUNTED),
    ("sum(bytes) AS bytes FROM downloads NOT INDEXED", "SCAN downloads", COUNTED),
    ("sum(bytes) AS bytes FROM downloads NOT INDEXED", "USE TEMP B-TREE FOR GROUP BY", COUNTED),
    ("FROM tasks AS t LEFT JOIN downloads AS d", "SCAN t", "the command `tasks` shows all of them"),
    ("ORDER BY x.id DESC LIMIT ?1", "SCAN x", "from the newest on, and no further than the limit"),
    (
        "FROM downloads WHERE state = 'pending' OR recheck = 1 UNION",
        "SCAN downloads USING INDEX downloads_waiting",
        WAITS,
    ),
    ("ORDER BY d.not_before LIMIT ?4", "USE TEMP B-TREE FOR ORDER BY", WAITS),
    ("ORDER BY d.queued_for, d.task_id", "USE TEMP B-TREE FOR ORDER BY", WAITS),
    ("INDEXED BY downloads_undelivered", "USE TEMP B-TREE FOR GROUP BY", WAITS),
    ("WITH late AS MATERIALIZED", "SCAN late", WAITS),
    ("SELECT t.account, t.export, t.task_id, 'unlisted'", "USE TEMP B-TREE FOR ORDER BY", GIVEN),
    ("SELECT ?2, ?3, value ->> 0, value ->> 1", "USE TEMP B-TREE FOR ORDER BY", GIVEN),
    ("WITH j AS MATERIALIZED", "SCAN j", GIVEN),
    ("FROM listings ORDER BY", "SCAN listings USING COVERING INDEX sqlite_autoindex_listings_1", "a row a listing"),
    (
        "FROM windows",
        "SCAN windows",
        "a row a window of which something was said: dozens a year, and all are asked for",
    ),
    ("WITH RECURSIVE pages", "SCAN pages", "a step a page of a listing that is read whole"),
    (
        "WITH RECURSIVE pages",
        "SEARCH tasks USING COVERING INDEX sqlite_autoindex_tasks_1 (account=? AND export=?)",
        "as far as the page's end",
    ),
    (
        "SELECT (SELECT count(*) FROM tasks",
        "SEARCH tasks USING COVERING INDEX sqlite_autoindex_tasks_1 (account=? AND export=?)",
        "once a consistent sweep, which has just read all of the listing; it reads nothing but the index",
    ),
    (
        "SELECT task_id, name, status, updated_at, missed_at FROM tasks",
        "SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (account=? AND export=?)",
        "when a sweep lacks a task",
    ),
    ("FROM files AS g", "SCAN (subquery-2)", "what the search inside found, which is in order already"),
];

const COUNTED: &str = "counting all is what it is for, and in the order of the table that is cheapest; never at a start, a poll or a look of the queue";
const WAITS: &str = "its index holds what is not done, and nothing else";
const GIVEN: &str = "what was handed over with the statement";

/// A statement as it stands in the source.
struct Statement {
    file: String,
    /// On one line.
    text: String,
}

/// Literals that begin as a statement does. What is pushed to a builder later only narrows it or says in which order.
fn statements() -> Vec<Statement> {
    let mut found = Vec::new();
    for source in Source::below("src/store", false) {
        for token in source.tokens.iter().filter(|token| token.kind == Kind::Str) {
            let text = token.text.replace("\\\"", "\"").replace("\\\n", "\n");
            let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
            let first = text.split(' ').next().unwrap_or_default();
            if ["SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"].contains(&first) {
                found.push(Statement { file: source.file.clone(), text });
            }
        }
    }
    found
}

async fn plan(db: &mut SqliteConnection, statement: &Statement) -> Vec<String> {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", statement.text));
    let rows = sqlx::query(explain).fetch_all(db).await;
    let rows = rows.unwrap_or_else(|e| panic!("{}: {e}: {}", statement.file, statement.text));
    rows.iter().map(|row| row.get("detail")).collect()
}

/// Whether the step takes longer the more there is in the tables, and no index helps.
fn is_whole(step: &str) -> bool {
    let scans = step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE") && !step.contains("CONSTANT ROW");
    // All of a listing: the beginning of a key finds it, and then it is gone through.
    let listings = ["tasks_1", "downloads_1", "transitions_by_task", "attempts_by_task", "files_2"]
        .iter()
        .any(|index| step.ends_with(&format!("{index} (account=? AND export=?)")));
    scans || listings || step.contains("TEMP B-TREE") || step.contains("AUTOMATIC")
}

#[tokio::test]
async fn every_statement_goes_by_an_index_and_its_plan_is_on_record() {
    let dir = tempfile::tempdir().unwrap();
    Store::open(dir.path()).await.unwrap().close().await;
    let options = SqliteConnectOptions::new().filename(dir.path().join("usage.db")).disable_statement_logging();
    let mut db = options.connect().await.unwrap();
    let (mut plans, mut whole, mut used) = (String::new(), String::new(), BTreeSet::new());
    let statements = statements();
    assert!(statements.len() > 40, "{} statements were found", statements.len());
    for statement in &statements {
        let _ = writeln!(plans, "{}: {}", statement.file, statement.text);
        for step in plan(&mut db, statement).await {
            let _ = writeln!(plans, "    {step}");
            if !is_whole(&step) {
                continue;
            }
            let reason = WHOLE.iter().position(|(part, of, _)| *of == step && statement.text.contains(part));
            match reason {
                Some(at) => _ = used.insert(at),
                None => _ = writeln!(whole, "{}: {step}\n    {}", statement.file, statement.text),
            }
        }
    }
    assert!(whole.is_empty(), "these grow with the tables:\n{whole}");
    let unused: Vec<_> = (0..WHOLE.len()).filter(|at| !used.contains(at)).map(|at| WHOLE[at]).collect();
    assert!(unused.is_empty(), "these exceptions are of no use any more: {unused:#?}");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PLANS);
    if std::env::var_os("GOLDEN").is_some_and(|word| word == "write") {
        std::fs::write(&path, &plans).unwrap();
    }
    assert!(
        read(&path) == plans,
        "a statement or its plan is not as in {PLANS}: `GOLDEN=write cargo test --test house plan`, and read the difference"
    );
}

#[test]
fn a_step_that_grows_is_told_from_one_that_does_not() {
    for step in [
        "SCAN t",
        "SCAN downloads USING INDEX x",
        "SEARCH t USING INDEX sqlite_autoindex_tasks_1 (account=? AND export=?)",
        "USE TEMP B-TREE FOR ORDER BY",
        "SEARCH t USING AUTOMATIC COVERING INDEX (a=?)",
    ] {
        assert!(is_whole(step), "{step}");
    }
    for step in [
        "SCAN j VIRTUAL TABLE INDEX 1:",
        "SCAN CONSTANT ROW",
        "SEARCH t USING INDEX sqlite_autoindex_tasks_1 (account=? AND export=? AND task_id=?)",
    ] {
        assert!(!is_whole(step), "{step}");
    }
}
