//! cdn-usaged

pub mod assembly;
pub mod cdn;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod daemon;
pub mod egress;
pub mod events;
pub mod fetch;
pub mod logging;
pub mod model;
pub mod notify;
pub mod once;
pub mod poll;
pub mod store;
pub mod text;
