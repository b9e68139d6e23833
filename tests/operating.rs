//! The manual for operators names every word that they meet.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{collections::BTreeSet, fs, path::Path};

use cdn_usaged::model::{
    download::{AttemptResult, DownloadState, Reason, VerifiedBy},
    why::Verdict,
    window::State,
};

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn assert_named<'w>(words: impl IntoIterator<Item = &'w str>, at_least: usize) {
    let manual = read("docs/operating.md");
    let words: BTreeSet<_> = words.into_iter().collect();
    assert!(words.len() >= at_least, "{words:?}");
    let missing: Vec<_> = words.iter().filter(|word| !manual.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "docs/operating.md does not name {missing:?}");
}

#[test]
fn every_reason_result_and_state_is_explained() {
    let states = [DownloadState::Pending, DownloadState::Active, DownloadState::Stored, DownloadState::Abandoned];
    let results = [
        AttemptResult::Stored,
        AttemptResult::Unchanged,
        AttemptResult::Failed,
        AttemptResult::Abandoned,
        AttemptResult::Interrupted,
    ];
    let verified = [VerifiedBy::Crc64, VerifiedBy::Md5, VerifiedBy::Length];
    assert_named(Reason::ALL.iter().map(|r| r.as_str()), 10);
    assert_named(states.iter().map(|s| s.as_str()), 4);
    assert_named(results.iter().map(|r| r.as_str()), 5);
    assert_named(verified.iter().map(|v| v.as_str()), 3);
    assert_named(Verdict::ALL.iter().map(|v| v.as_str()), 18);
}

#[test]
fn every_state_of_a_window_is_explained() {
    assert_named(State::ALL.iter().map(|s| s.as_str()), 7);
}

#[test]
fn every_event_is_in_the_table() {
    let events = read("src/events.rs");
    let names = events.split("event = \"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert_named(names, 20);
}

#[test]
fn every_metric_is_in_the_table() {
    let families = read("src/metrics/families.rs");
    let names: Vec<_> = families
        .split('"')
        .skip(1)
        .step_by(2)
        .filter(|w| w.ends_with("_total") || w.ends_with("_seconds") || w.ends_with("_bytes") || w.ends_with("_info"))
        .collect();
    assert_named(names, 12);
    assert_named(["tasks", "downloads"], 2);
}

#[test]
fn every_link_within_leads_to_a_heading() {
    let manual = read("docs/operating.md");
    let heading = |line: &str| {
        let text = line.strip_prefix("##")?.trim_start_matches('#').trim().to_lowercase();
        Some(text.chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect::<String>().replace(' ', "-"))
    };
    let headings: BTreeSet<_> = manual.lines().filter_map(heading).collect();
    let links: Vec<_> = manual.split("](#").skip(1).map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() >= 10, "{links:?}");
    for link in links {
        assert!(headings.contains(link), "#{link} is none of {headings:?}");
    }
}
