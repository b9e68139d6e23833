//! The signed API: the only place that knows its HTTP, its JSON, its XML and its signatures.
//!
//! ```text
//!  listing ──> transport ──> permits       (when a call may go)
//!     │            ├───────> signature     (pure)
//!     │            ├───────> error, hint   (what a refusal means, and how long to wait)
//!     └──> wire <──┘                       (lenient rows -> model)
//! ```

pub mod error;
mod hint;
pub mod listing;
pub mod permits;
pub mod signature;
pub mod transport;
pub mod wire;

pub use self::{
    error::{CallError, Disposition},
    listing::Client,
    permits::Permits,
    transport::{Attempt, Told},
    wire::Page,
};
