//! See `checks::listing_xml`.

#![no_main]

// Each target calls one of them.
#[allow(dead_code)]
#[path = "../checks.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::listing_xml(data));
