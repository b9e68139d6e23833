//! The only place that knows SQL: one documented method per statement or transaction.
//!
//! `tasks` is a projection of the append-only `transitions`, written in the same transaction; `downloads` is the
//! queue; `attempts` and `files` are append-only. Every transaction that reads and then writes begins IMMEDIATE,
//! does no network wait, and applied twice changes nothing.

mod counts;
mod downloads;
mod inspect;
mod listings;
mod lock;
mod look;
mod observe;
mod open;
mod outstanding;
mod probe;
mod publish;
mod said;
mod together;
mod unhurried;
mod waiting;
mod windows;

use std::{path::PathBuf, sync::Arc};

use jiff::Timestamp;
use sqlx::SqlitePool;

pub use self::{
    downloads::{Charged, Claim, Ended, Failure, Job},
    inspect::{AttemptRow, FileRow, RecentRow, TaskFilter, TaskRow, TransitionRow},
    listings::{Listing, SweepEnd, Watched},
    lock::{Holder, Lock, LockError},
    look::{Attempting, Given, Retrying, TaskFacts},
    observe::{Applied, PageRead, RawRow, Recorded},
    open::OpenError,
    probe::{FileId, Unwritable},
    publish::{CutOff, Intent, Published},
    said::{Said, WindowKey},
    waiting::Waiting,
};
use self::{together::Steps, unhurried::Unhurried};
use crate::{
    clock,
    model::task::{ListingKey, ParseError},
};

/// The database, open. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    /// One connection: SQLite has one writer, and waiting here is fairer than at its lock.
    writer: SqlitePool,
    /// What waits for it, to be done in one transaction.
    steps: Steps,
    /// Whether it waits for the disk.
    unhurried: Unhurried,
    readers: SqlitePool,
    path: PathBuf,
    /// Which file that was when it was opened.
    file: FileId,
}

/// A statement that failed, or a database that holds what it must not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite's own word.
    #[error("cannot {doing} in the database {path}: {source}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// The database file.
        path: PathBuf,
        /// Why not: one failure may concern several.
        source: Arc<sqlx::Error>,
    },
    /// A column holds what this program never writes there.
    #[error("the database {path} holds in {column} what cannot be read: {error}")]
    Inconsistent {
        /// The database file.
        path: PathBuf,
        /// Table and column.
        column: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// Of the tasks of a listing one or more cannot be read.
    #[error("the tasks of {listing} cannot be read: {source}")]
    Tasks {
        /// Which listing.
        listing: ListingKey,
        /// Why not.
        source: Box<StoreError>,
    },
    /// Our own state machine was asked for a step that it does not have: a bug.
    #[error("the download of task {task} cannot {step} now")]
    Illegal {
        /// Which task.
        task: String,
        /// Which step.
        step: &'static str,
    },
}

impl Store {
    fn sql(&self, doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Sql { doing, path, source: Arc::new(source) }
    }

    fn inconsistent(&self, column: &'static str, error: impl std::fmt::Display) -> StoreError {
        StoreError::Inconsistent { path: self.path.clone(), column, error: error.to_string() }
    }

    fn word<T>(&self, column: &'static str, parsed: Result<T, ParseError>) -> Result<T, StoreError> {
        parsed.map_err(|e| self.inconsistent(column, e))
    }

    fn time(&self, column: &'static str, text: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
        text.map(|t| t.parse::<Timestamp>().map_err(|e| self.inconsistent(column, e))).transpose()
    }

    /// Where the database is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }
}

fn text(at: Option<Timestamp>) -> Option<String> {
    at.map(clock::rfc3339)
}

/// SQLite integers are signed; a size beyond 2^63 does not exist.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests;
