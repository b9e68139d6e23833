//! Looks into the program's database.

use std::path::Path;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::Failed;

/// One number of the database, read while the daemon runs.
pub async fn number(database: &Path, sql: &str) -> Result<i64, Failed> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true).disable_statement_logging();
    let mut connection = options.connect().await?;
    let value = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(value)
}
