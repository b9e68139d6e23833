//! cdn-usaged

pub mod cdn;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod egress;
pub mod events;
pub mod fetch;
pub mod logging;
pub mod model;
pub mod store;
pub mod text;
