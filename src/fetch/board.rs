//! What is being transferred right now, for whoever wants to show it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::transfer::Progress;
use crate::model::task::TaskKey;

/// The transfers under way. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<TaskKey, Arc<Progress>>>>);

/// A place on the board, given up when dropped.
#[derive(Debug)]
pub struct Place {
    board: Board,
    key: TaskKey,
    /// How far the transfer is.
    pub progress: Arc<Progress>,
}

impl Board {
    /// Puts a transfer on the board.
    #[must_use]
    pub fn begin(&self, key: &TaskKey) -> Place {
        let progress = Arc::new(Progress::default());
        self.lock().insert(key.clone(), Arc::clone(&progress));
        Place { board: self.clone(), key: key.clone(), progress }
    }

    /// The transfers under way, in the order of their keys.
    #[must_use]
    pub fn transfers(&self) -> Vec<(TaskKey, Arc<Progress>)> {
        self.lock().iter().map(|(key, progress)| (key.clone(), Arc::clone(progress))).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TaskKey, Arc<Progress>>> {
        // Nothing panics while it is held; if something did, what is shown is still right.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.board.lock().remove(&self.key);
    }
}
