//! Looks into the database, without ever writing to it.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::World;

pub const TABLES: [&str; 7] = ["listings", "tasks", "transitions", "downloads", "attempts", "files", "rejected_rows"];

impl World {
    async fn connect(&self) -> SqliteConnection {
        let options = SqliteConnectOptions::new().filename(self.database()).read_only(true).disable_statement_logging();
        options.connect().await.unwrap()
    }

    /// One value.
    pub async fn number(&self, sql: &str) -> i64 {
        let mut db = self.connect().await;
        let value = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut db).await.unwrap();
        db.close().await.unwrap();
        value
    }

    /// One column of texts.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let mut db = self.connect().await;
        let values = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut db).await.unwrap();
        db.close().await.unwrap();
        values
    }

    /// The columns of a table, in their order.
    pub async fn columns(&self, table: &str) -> Vec<String> {
        self.texts(&format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid")).await
    }

    /// Every row of a table as an array, in the order in which they were made.
    pub async fn dump(&self, table: &str) -> Vec<String> {
        let columns = self.columns(table).await.join(", ");
        assert!(!columns.is_empty(), "there is no table {table}");
        self.texts(&format!("SELECT json_array({columns}) FROM {table} ORDER BY rowid")).await
    }

    /// Everything that a run without news must leave as it is: all but the times of the polls.
    pub async fn everything(&self) -> BTreeMap<&'static str, Vec<String>> {
        let mut all = BTreeMap::new();
        for table in TABLES.into_iter().filter(|t| *t != "listings") {
            all.insert(table, self.dump(table).await);
        }
        all
    }

    /// The attempts at a task as (result, reason).
    pub async fn attempts(&self, id: &str) -> Vec<(String, String)> {
        let sql =
            format!("SELECT json_array(result, COALESCE(reason, '')) FROM attempts WHERE task_id = '{id}' ORDER BY id");
        let pair = |text: String| {
            let value: Value = serde_json::from_str(&text).unwrap();
            (value[0].as_str().unwrap().to_owned(), value[1].as_str().unwrap().to_owned())
        };
        self.texts(&sql).await.into_iter().map(pair).collect()
    }

    /// The state of a task's download, or nothing.
    pub async fn state(&self, id: &str) -> Option<String> {
        self.texts(&format!("SELECT state FROM downloads WHERE task_id = '{id}'")).await.pop()
    }

    /// Asserts what holds at every end: no attempt under way, one first sight a task, and transitions that, replayed,
    /// give what `tasks` says.
    pub async fn assert_sound(&self) {
        let active = "SELECT count(*) FROM downloads WHERE state = 'active' OR active_since IS NOT NULL";
        assert_eq!(self.number(active).await, 0, "an attempt is stuck");
        let firsts = "SELECT count(*) FROM tasks AS t WHERE 1 <> (SELECT count(*) FROM transitions AS x
            WHERE x.kind = 'first' AND (x.account, x.export, x.task_id) = (t.account, t.export, t.task_id))";
        assert_eq!(self.number(firsts).await, 0, "a task was not first seen exactly once");
        let replayed = "SELECT count(*) FROM tasks AS t WHERE NOT EXISTS (SELECT 1 FROM transitions AS x
            WHERE x.id = (SELECT max(id) FROM transitions AS y
                    WHERE (y.account, y.export, y.task_id) = (t.account, t.export, t.task_id))
                AND x.to_status = t.status AND (x.kind = 'unlisted') = (t.unlisted_at IS NOT NULL))";
        assert_eq!(self.number(replayed).await, 0, "a task is not what its transitions say");
        let twice = "SELECT count(*) - count(DISTINCT path) FROM files";
        assert_eq!(self.number(twice).await, 0, "two revisions share a name");
    }
}
