//! Everything that the page shows, read at one time.

use std::{
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use jiff::Timestamp;

use crate::{
    admin::AdminState,
    clock,
    completeness::{self, Expected, overdue},
    config::Config,
    fetch::{Board, Space, space},
    model::{
        age::age,
        backoff,
        overview::{Concern, concerns},
        task::ListingKey,
    },
    store::{Given, Listing, RecentRow, Retrying, Store, StoreError},
};

/// Transitions that are shown.
const RECENT: u64 = 20;
/// Downloads that are named: no more can be under way, and of those that wait more is no help.
const UNDER_WAY_MAX: u64 = 64;
const RETRYING_MAX: u64 = 8;

/// What the page shows and no table has: the configuration that is in force, and what is being transferred.
#[derive(Debug)]
pub struct Sight {
    since: Timestamp,
    config: RwLock<Arc<Config>>,
    board: OnceLock<Board>,
}

impl Sight {
    /// From now on, nothing is being transferred yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self { since: clock::now(), config: RwLock::new(Arc::new(config.clone())), board: OnceLock::new() }
    }

    /// Another configuration is in force.
    pub fn set_config(&self, config: &Config) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config.clone());
    }

    /// Where transfers are shown from now on. There is one queue, so only the first time counts.
    pub fn set_board(&self, board: Board) {
        let _ = self.board.set(board);
    }

    /// What is in force.
    pub(in crate::admin) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A configured listing.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) key: ListingKey,
    pub(super) known: Listing,
}

/// A file under way.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    /// The task, as `account/export/id`.
    pub(super) task: String,
    pub(super) attempt: Option<u64>,
    pub(super) since: Option<Timestamp>,
    pub(super) done_bytes: u64,
    /// Of this attempt.
    pub(super) received_bytes: u64,
    pub(super) total_bytes: Option<u64>,
}

/// One of the two folders.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    /// `state` or `download`.
    pub(super) folder: &'static str,
    pub(super) path: PathBuf,
    /// None when that cannot be told.
    pub(super) space: Option<Space>,
}

/// Everything.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    /// Since when this process runs.
    pub(super) since: Timestamp,
    pub(super) rows: Vec<Row>,
    pub(super) concerns: Vec<Concern>,
    pub(super) expected: Vec<Expected>,
    /// Downloads that are not stored, by state and reason.
    pub(super) undone: Vec<Given>,
    pub(super) transfers: Vec<Transfer>,
    pub(super) retrying: Vec<Retrying>,
    pub(super) recent: Vec<RecentRow>,
    pub(super) disks: Vec<Disk>,
    pub(super) min_free_bytes: u64,
}

impl Facts {
    /// How many downloads of a listing, or of all, are in a state.
    pub(super) fn undone(&self, state: &str, of: Option<&ListingKey>) -> u64 {
        let counted = self.undone.iter().filter(|c| c.state == state && of.is_none_or(|key| c.listing == *key));
        counted.map(|c| c.count).sum()
    }

    pub(super) fn is_low(&self, disk: &Disk) -> bool {
        disk.space.is_some_and(|space| space.free_bytes < self.min_free_bytes)
    }
}

/// Reads everything. What grows with the years is read through indexes that hold what is not done, by its newest rows, or, for
/// the windows, as far back as something is expected.
pub(super) async fn gather(state: &AdminState, now: Timestamp) -> Result<Facts, StoreError> {
    let (store, config) = (&state.store, state.sight.config());
    let watched = state.health.watched();
    let keys: Vec<ListingKey> = watched.iter().map(|(key, _)| key.clone()).collect();
    let (mut rows, mut listings) = (Vec::new(), Vec::new());
    for (key, beat) in watched {
        let known = store.listing(&key).await?.unwrap_or_default();
        listings.push(known.overview(&key, beat));
        rows.push(Row { key, known });
    }
    let horizon = now.saturating_add(backoff::horizon(config.retry.max)).unwrap_or(now);
    let disks = [("state", &config.storage.state_dir), ("download", &config.storage.download_dir)];
    let disks = disks.map(|(folder, path)| Disk { folder, path: path.clone(), space: space(path).ok() });
    let mut facts = Facts {
        now,
        since: state.sight.since,
        rows,
        concerns: Vec::new(),
        expected: completeness::read(store, &config, now).await?,
        undone: store.undone(&keys).await?,
        transfers: transfers(store, &state.sight).await?,
        retrying: store.retrying(&keys, now, horizon, RETRYING_MAX).await?,
        recent: store.transitions_recent(RECENT).await?,
        disks: disks.into(),
        min_free_bytes: config.storage.min_free_bytes,
    };
    let low: Vec<&'static str> = facts.disks.iter().filter(|disk| facts.is_low(disk)).map(|disk| disk.folder).collect();
    let running_for = age(facts.since, now).unsigned_abs();
    let counts = Given::counts(&facts.undone, overdue(&facts.expected));
    facts.concerns = concerns(&listings, &low, counts, Some(running_for), now);
    Ok(facts)
}

/// What is under way, by the board; the table says which attempt it is, and since when.
async fn transfers(store: &Store, sight: &Sight) -> Result<Vec<Transfer>, StoreError> {
    let attempting = store.attempting(UNDER_WAY_MAX).await?;
    let on_board = sight.board.get().map(Board::transfers).unwrap_or_default();
    let shown = on_board.into_iter().map(|(key, progress)| {
        let task = key.to_string();
        let row = attempting.iter().find(|row| format!("{}/{}/{}", row.account, row.export, row.task_id) == task);
        Transfer {
            attempt: row.and_then(|row| u64::try_from(row.attempt).ok()),
            since: row.and_then(|row| row.active_since.parse().ok()),
            task,
            done_bytes: progress.done_bytes(),
            received_bytes: progress.received_bytes(),
            total_bytes: progress.total_bytes(),
        }
    });
    Ok(shown.collect())
}
