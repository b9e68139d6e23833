//! Commits that do not wait for the disk: of what is of no use after a power cut, and known again with the next poll.
//!
//! The database stays whole whatever happens, and nothing that was committed before is lost. What is committed so may be, until
//! the next commit of the usual kind, which takes it along. A process that is killed loses nothing: the kernel has it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::SqliteConnection;

/// How the writer's connection commits.
#[derive(Debug, Clone, Default)]
pub(super) struct Unhurried(Arc<AtomicBool>);

impl Unhurried {
    /// From here on the connection does not wait, until it is taken anew.
    pub(super) async fn begin(&self, writer: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        // Noted first, so that it is undone even if the caller goes away in the middle.
        self.0.store(true, Ordering::Relaxed);
        set(writer, "PRAGMA synchronous = NORMAL").await
    }

    /// Whoever takes the connection finds it as it was opened. One for which that fails has to be replaced.
    pub(super) async fn end(&self, writer: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        if self.0.load(Ordering::Relaxed) {
            set(writer, "PRAGMA synchronous = FULL").await?;
            self.0.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// SQLite does this one while it compiles it: compiled once and run again, it would do nothing.
async fn set(writer: &mut SqliteConnection, pragma: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(pragma).persistent(false).execute(writer).await.map(drop)
}
