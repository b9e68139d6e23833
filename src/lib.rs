//! cdn-usaged

pub mod admin;
pub mod assembly;
pub mod cdn;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod egress;
pub mod events;
pub mod fetch;
pub mod logging;
pub mod metrics;
pub mod model;
pub mod once;
pub mod poll;
pub mod store;
pub mod text;
