//! Collects every Alibaba Cloud CDN usage export: reads the listings of export tasks, records each status change in
//! SQLite, and downloads, verifies and archives the file of every task that succeeded.
//!
//! ```text
//!  main ─> cli ─┬─> once ──────┬──> poll ──┬──> cdn ──> credentials
//!               │              │           └──> store
//!               ├─> assembly ──┤
//!               │              └──> fetch ─┬──> egress
//!               │                          └──> store
//!               ├─> completeness ─> store   (the commands that show windows)
//!               └─> store, fetch            (the commands that inspect, retry and verify)
//!
//!  assembly makes the parts: clients (cdn, credentials, egress), pollers (poll), the queue (fetch); once only runs them
//!  model:   used by everything that decides something; uses nothing of the crate
//!  rpc:     a signed request, for cdn and for what asks STS in credentials
//!  leaves:  clock, text;  config <─> logging ─> events ─> model
//! ```
//!
//! What holds whatever crashes in between:
//!
//! - One transition for each observed change, one download for each task, one file for each revision.
//! - A file under its final name is complete, verified and durable; it is never overwritten or removed.
//! - Neither a key nor the query of a signed link is ever in a log line, an error or a `Debug` text.
//!
//! What keeps it so, and the compiler or a reviewer can check:
//!
//! - [`poll`] and [`fetch`] never import each other, nor do [`cdn`] and [`store`]: a page and a download meet in a table.
//! - [`model`] decides and touches nothing: time and randomness are given to it.
//! - Only [`store`] knows SQL, only [`cdn`] the gateway, only [`fetch::publish`] writes below the download folder, only
//!   [`egress`] builds HTTP clients, only [`clock`] reads the time, only [`events`] logs above debug.
//! - Reading, deciding and writing happen in one transaction, and none of them waits for the network.
//! - Every loop that an answer could prolong has a bound, and no task outlives who started it.
//!
//! The file `ARCHITECTURE.md` tells the life of a task and of a file step by step.

pub mod admin;
pub mod assembly;
pub mod cdn;
pub mod cli;
pub mod clock;
pub mod completeness;
pub mod config;
pub mod credentials;
pub mod daemon;
pub mod egress;
pub mod events;
pub mod fetch;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod notify;
pub mod observer;
pub mod once;
pub mod poll;
pub mod rpc;
pub mod store;
pub mod text;
