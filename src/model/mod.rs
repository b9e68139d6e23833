//! The rules, pure: no async, no I/O, no ambient time or randomness, no logging.
//!
//! Two independent facts are two types: [`task::Status`] is what the service says (an open set), and
//! [`download::DownloadState`] is what this program did (a closed set).

pub mod age;
pub mod backoff;
pub mod download;
pub mod filename;
pub mod health;
pub mod link;
pub mod observe;
pub mod outstanding;
pub mod overview;
pub mod schedule;
pub mod sweep;
pub mod task;
pub mod why;
pub mod window;
