//! cdn-usaged

pub mod clock;
pub mod config;
pub mod events;
pub mod logging;
pub mod model;
pub mod text;
