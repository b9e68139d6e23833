//! The blocking side: one thread that writes and hashes what the network side hands it. Measured with 1 GiB: hashed and written where
//! the network is read, a file takes 1.3 times as long as with curl; so, while one waits for the other, as long as with curl.

use std::time::Duration;

use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{Failure, SpaceCheck, died};
use crate::{clock, fetch::publish::Partial, model::download::Reason};

/// Bytes that travel together. Measured: from here on, larger blocks are hardly faster.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks on their way. Enough to keep both sides busy; more would only hide which one is slow.
const BLOCKS_MAX: usize = 4;

/// A slow stream is handed over at least this often, so that little is lost in a crash.
const HAND_OVER: Duration = Duration::from_secs(1);

/// Space is asked for again after this many bytes: often beside a `min_free` of a gibibyte.
const SPACE_CHECK_BYTES: u64 = 16 * 1024 * 1024;

/// What became of it.
#[derive(Debug)]
pub(super) struct Written {
    /// The file; absent when the thread died.
    pub(super) partial: Option<Partial>,
    /// Why writing ended early.
    pub(super) failure: Option<Failure>,
}

/// The network side's end. Dropped, it hands over what it still has, and the thread finishes that in the background.
#[derive(Debug)]
pub(super) struct Writer {
    blocks: Option<mpsc::Sender<Vec<u8>>>,
    thread: Option<JoinHandle<Written>>,
    block: Vec<u8>,
    handed_over_at: Instant,
}

impl Writer {
    /// Starts the thread. `remaining` is how many bytes are to come, as far as that is known.
    pub(super) fn start(partial: Partial, remaining: u64, space: SpaceCheck) -> Self {
        let (blocks, arriving) = mpsc::channel(BLOCKS_MAX);
        let thread = tokio::task::spawn_blocking(move || write(partial, remaining, &space, arriving));
        Self { blocks: Some(blocks), thread: Some(thread), block: Vec::new(), handed_over_at: clock::instant() }
    }

    /// Takes bytes in; waits while the disk is behind. `false` when the thread has given up.
    pub(super) async fn take(&mut self, mut bytes: &[u8]) -> bool {
        // Every turn but the last fills a block.
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block.reserve_exact(BLOCK_BYTES);
            }
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.block.len()));
            self.block.extend_from_slice(now);
            bytes = later;
            let is_due = self.block.len() == BLOCK_BYTES
                || clock::instant().saturating_duration_since(self.handed_over_at) >= HAND_OVER;
            if is_due && !self.hand_over().await {
                return false;
            }
        }
        true
    }

    async fn hand_over(&mut self) -> bool {
        self.handed_over_at = clock::instant();
        let Some(blocks) = &self.blocks else { return false };
        // A slot first: if this is dropped while it waits, the block is still here for the last hand-over.
        let Ok(slot) = blocks.reserve().await else { return false };
        slot.send(std::mem::take(&mut self.block));
        true
    }

    /// Hands the rest over and waits for the thread.
    pub(super) async fn finish(mut self) -> Written {
        if !self.block.is_empty() {
            // Refused only by a thread that has failed, which it says itself.
            let _ = self.hand_over().await;
        }
        self.blocks = None;
        let Some(thread) = self.thread.take() else { return Written { partial: None, failure: None } };
        thread.await.unwrap_or_else(|e| Written { partial: None, failure: Some(died(&e)) })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(blocks) = self.blocks.take()
            && !self.block.is_empty()
        {
            // Without room the block is lost, which costs fetching it again.
            let _ = blocks.try_send(std::mem::take(&mut self.block));
        }
    }
}

fn write(
    mut partial: Partial,
    mut remaining: u64,
    space: &SpaceCheck,
    mut arriving: mpsc::Receiver<Vec<u8>>,
) -> Written {
    if let Err(text) = space(remaining) {
        return Written { partial: Some(partial), failure: Some(no_space(text)) };
    }
    let mut unchecked = 0;
    // Ends when the network side lets go.
    while let Some(block) = arriving.blocking_recv() {
        if let Err(e) = partial.append(&block) {
            let failure = Some(Failure::disk("write", partial.path(), &e));
            return Written { partial: Some(partial), failure };
        }
        let written = block.len() as u64;
        (unchecked, remaining) = (unchecked + written, remaining.saturating_sub(written));
        if unchecked >= SPACE_CHECK_BYTES {
            unchecked = 0;
            if let Err(text) = space(remaining) {
                return Written { partial: Some(partial), failure: Some(no_space(text)) };
            }
        }
    }
    Written { partial: Some(partial), failure: None }
}

fn no_space(text: String) -> Failure {
    Failure { is_out_of_space: true, ..Failure::new(Reason::Disk, text) }
}
