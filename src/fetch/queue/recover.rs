//! What a stop or a crash left: attempts that were under way, and files that nobody will finish.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use super::{Queue, QueueError};
use crate::{
    clock,
    fetch::{blocking, publish::Area},
    store::{CutOff, Ended, Intent},
};

impl Queue {
    /// Brings the queue into order before it runs: an attempt that had published its file is recorded as stored, any
    /// other as interrupted; unfinished files that belong to no waiting download are removed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn recover(self: &Arc<Self>) -> Result<(), QueueError> {
        for CutOff { job, intent } in self.store.cut_off().await? {
            let finished = match intent {
                None => None,
                Some(intent) => {
                    let (area, partial, wanted) = (self.area.clone(), self.area.partial(&job.key), intent.clone());
                    blocking(move || finish(&area, partial, &wanted)).await.then_some(intent)
                }
            };
            match finished {
                Some(intent) => self.store.stored(&job, &intent, clock::now()).await?,
                None => self.store.attempt_interrupted(&job, &Ended::default(), clock::now()).await?,
            }
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
        Ok(())
    }
}

/// Whether the file of an intent is in its place, or can be put there from what is left. Anything in doubt is fetched
/// again.
fn finish(area: &Area, partial: PathBuf, intent: &Intent) -> bool {
    let same = |bytes, sha256: [u8; 32]| bytes == intent.bytes && hex::encode(sha256) == intent.sha256;
    if let Ok(Some(there)) = area.hash(&intent.path) {
        return same(there.bytes, there.sha256) && area.adopt(&intent.path, &partial).is_ok();
    }
    let whole = crate::fetch::verify::rehash(&partial).is_ok_and(|d| same(d.length(), d.sha256()));
    whole && area.seal(&partial).is_ok() && area.place(&partial, &intent.path).is_ok()
}
