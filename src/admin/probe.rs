//! Whether the store can be written, asked for by probers.

use std::time::Duration;

use tokio::{sync::Mutex, time::Instant};

use crate::{clock, store::Store};

/// A verdict is kept for this long, so that probes take the write lock once a second at most.
const KEPT: Duration = Duration::from_secs(1);

/// The last verdict.
#[derive(Debug, Default)]
pub(super) struct Probe {
    /// Held while the store is probed: others wait for that verdict. A probe is bounded in time.
    last: Mutex<Option<(Instant, Option<String>)>>,
}

impl Probe {
    /// Why the store cannot be written; none when it can.
    pub(super) async fn unwritable(&self, store: &Store) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((at, verdict)) = last.as_ref()
            && clock::instant().saturating_duration_since(*at) < KEPT
        {
            return verdict.clone();
        }
        let verdict = store.is_writable().await.err().map(|e| e.to_string());
        *last = Some((clock::instant(), verdict.clone()));
        verdict
    }
}
