//! Fetching files: from a link to a verified, durable file.
//!
//! [`queue`] claims what is due and records how it ended; [`transfer`] makes one attempt at one link and leaves a whole,
//! verified unfinished file; [`publish`] seals it and puts it in its place, and is the only writer below the download
//! folder.

pub mod board;
pub mod content_range;
pub mod publish;
pub mod queue;
pub mod sniff;
pub mod transfer;
pub mod verify;
mod zip;

pub use self::{
    board::Board,
    publish::{Area, Condition, Space, free_bytes, space},
    queue::{Mode, Queue, QueueError, Settings},
};

/// Runs work that waits for the disk or burns the processor off the runtime's threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // Nothing cancels these; what panicked there panics here.
        Err(e) => std::panic::resume_unwind(e.into_panic()),
    }
}
