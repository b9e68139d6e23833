//! The signed API: the only place that knows its HTTP, its JSON, its XML and its signatures.

pub mod signature;
pub mod wire;
