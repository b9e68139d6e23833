//! What a stop or a crash left: attempts that were under way, and files that nobody will finish.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
};

use tokio_util::sync::CancellationToken;

use super::{Queue, QueueError};
use crate::{
    clock,
    fetch::{blocking, publish::Area, verify::rehash},
    model::download::AttemptResult,
    store::{CutOff, Ended, Intent, Job, StoreError},
};

impl Queue {
    /// Brings the queue into order before it makes attempts: one that had published its file is recorded as stored, any
    /// other as interrupted; unfinished files that belong to no waiting download are removed. Does nothing when it is in
    /// order. What is left when it is cancelled is left to the next start.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recover(self: &Arc<Self>, cancel: &CancellationToken) -> Result<(), QueueError> {
        if self.in_order.load(Ordering::Relaxed) {
            return Ok(());
        }
        for CutOff { job, intent } in self.store.cut_off().await? {
            let finished = match &intent {
                None => false,
                Some(intent) => self.finish(&job, intent, cancel).await,
            };
            // Whether the file is there is not known then: the row says what to look for, and stays.
            if !finished && cancel.is_cancelled() {
                return Ok(());
            }
            self.settle(&job, intent.filter(|_| finished)).await?;
        }
        let waiting = self.store.unfinished().await?;
        let kept: BTreeSet<PathBuf> = waiting.iter().map(|key| self.area.partial(key)).collect();
        let area = self.area.clone();
        blocking(move || {
            for partial in area.list_partials().unwrap_or_default() {
                if !kept.contains(&partial) {
                    // One that cannot be removed is in nobody's way.
                    let _ = Area::remove_unfinished(&partial);
                }
            }
        })
        .await;
        self.in_order.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn finish(self: &Arc<Self>, job: &Job, intent: &Intent, cancel: &CancellationToken) -> bool {
        let (queue, cancel) = (Arc::clone(self), cancel.clone());
        let (partial, intent) = (self.area.partial(&job.key), intent.clone());
        blocking(move || {
            // A large file takes minutes: every piece of it shows that nothing hangs.
            let go_on = || {
                queue.beat();
                !cancel.is_cancelled()
            };
            finish(&queue.area, &partial, &intent, go_on)
        })
        .await
    }

    /// Records how an attempt of an earlier process ended, and says so: that process did not.
    async fn settle(&self, job: &Job, published: Option<Intent>) -> Result<(), StoreError> {
        self.beat();
        let now = clock::now();
        let result = match published {
            None => {
                self.store.attempt_interrupted(job, &Ended::default(), now).await?;
                AttemptResult::Interrupted
            }
            Some(intent) => {
                self.store_file(job, &intent, now).await?;
                AttemptResult::Stored
            }
        };
        // What arrived then was counted by nobody, or by a process whose counters are gone.
        self.observer.attempted(&job.key.listing, result, 0);
        Ok(())
    }
}

/// Whether the file of an intent is in its place, or can be put there from what is left. Anything in doubt is fetched
/// again.
fn finish(area: &Area, partial: &Path, intent: &Intent, go_on: impl Fn() -> bool) -> bool {
    let same = |bytes, sha256: [u8; 32]| bytes == intent.bytes && hex::encode(sha256) == intent.sha256;
    if let Ok(Some(there)) = area.hash_while(&intent.path, &go_on) {
        return same(there.bytes, there.sha256) && area.adopt(&intent.path, partial).is_ok();
    }
    let whole = rehash(partial, &go_on).is_ok_and(|d| same(d.length(), d.sha256()));
    whole && area.seal(partial).is_ok() && area.place(partial, &intent.path).is_ok()
}

#[cfg(test)]
mod tests;
