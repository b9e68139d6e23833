//! The signed API: the only place that knows its HTTP, its JSON and its XML.
//!
//! ```text
//!  listing ──> transport ──> permits       (when a call may go)
//!     │            ├───────> rpc           (a signed request, shared with STS)
//!     │            ├───────> error, hint   (what a refusal means, and how long to wait)
//!     └──> wire <──┘                       (lenient rows -> model)
//! ```

pub mod error;
mod hint;
pub mod listing;
pub mod permits;
pub mod transport;
pub mod wire;

pub use self::{
    error::{CallError, Disposition, describe_skew},
    listing::Client,
    permits::Permits,
    transport::{Attempt, Told},
    wire::Page,
};
