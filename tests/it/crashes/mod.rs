//! The process ends at every moment that there is.
//!
//! Registers are read as x86-64 has them; elsewhere these tests are left out.

#[cfg(target_arch = "x86_64")]
mod daemon;
#[cfg(target_arch = "x86_64")]
mod end;
#[cfg(target_arch = "x86_64")]
mod matrix;
#[cfg(target_arch = "x86_64")]
mod moments;
#[cfg(target_arch = "x86_64")]
mod order;
#[cfg(target_arch = "x86_64")]
mod random;
#[cfg(target_arch = "x86_64")]
pub mod tracer;
