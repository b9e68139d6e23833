//! `docs/reliability.md` stays true: every row of its tables names tests that exist.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder.
fn sources(folder: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The names of all functions that are tests: an attribute that ends in `test]` stands before them.
fn tests() -> BTreeSet<String> {
    let folders = ["src", "tests", "cloudsim"];
    let mut names = BTreeSet::new();
    for path in folders.iter().flat_map(|folder| sources(root().join(folder))) {
        let text = fs::read_to_string(path).unwrap();
        let mut is_test = false;
        for line in text.lines().map(str::trim) {
            if line.starts_with("#[") {
                is_test |= line.contains("test]") || line.contains("test(");
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                names.extend(rest.split_once('(').map(|(name, _)| name.to_owned()));
                is_test = false;
            } else if !line.starts_with("//") {
                is_test = false;
            }
        }
    }
    assert!(names.len() > 300, "only {} tests were found", names.len());
    names
}

/// The rows of every table whose last column is `test`.
fn rows(page: &str) -> Vec<&str> {
    let (mut found, mut in_table) = (Vec::new(), false);
    for line in page.lines() {
        in_table = line.starts_with('|') && (in_table || line.ends_with("| test |"));
        if in_table && line.starts_with("| ") && !line.ends_with("| test |") {
            found.push(line);
        }
    }
    assert!(found.len() > 80, "only {} rows were found", found.len());
    found
}

#[test]
fn every_row_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let tests = tests();
    let mut wrong = Vec::new();
    for row in rows(&page) {
        let cells: Vec<&str> = row.trim_matches('|').split('|').collect();
        let named: Vec<&str> = cells.last().unwrap().split('`').skip(1).step_by(2).collect();
        if cells.len() != 3 || named.is_empty() || named.iter().any(|name| !tests.contains(*name)) {
            wrong.push(row);
        }
    }
    assert!(wrong.is_empty(), "no such test, or none named, or not three cells:\n{}", wrong.join("\n"));
}
