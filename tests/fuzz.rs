//! Replays what the fuzzers have found so far.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "../fuzz/checks.rs"]
mod checks;

use std::{fs, panic::catch_unwind, path::Path};

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let (mut replayed, mut broken) = (0, Vec::new());
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        if catch_unwind(|| check(&input)).is_err() {
            broken.push(path);
        }
        replayed += 1;
    }
    assert!(broken.is_empty(), "what must hold does not for {broken:?}");
    assert!(replayed >= 10, "only {replayed} inputs for {target}");
}

#[test]
fn listings_in_json_of_the_corpus_hold_what_is_promised() {
    replay("listing_json", checks::listing_json);
}

#[test]
fn listings_in_xml_of_the_corpus_hold_what_is_promised() {
    replay("listing_xml", checks::listing_xml);
}

#[test]
fn error_bodies_of_the_corpus_hold_what_is_promised() {
    replay("error_body", checks::error_body);
}

#[test]
fn configurations_of_the_corpus_hold_what_is_promised() {
    replay("config", checks::config);
}

#[test]
fn ranges_of_the_corpus_hold_what_is_promised() {
    replay("content_range", checks::content_range);
}
