//! One test for each row of the tables of faults in `docs/reliability.md`.

mod gateway;
pub mod machine;
mod objects;
