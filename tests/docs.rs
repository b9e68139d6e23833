//! README.md, ARCHITECTURE.md and the runbook stay true: the commands that they name exist, and so do the paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    process::Command,
};

const README: &str = include_str!("../README.md");
const ARCHITECTURE: &str = include_str!("../ARCHITECTURE.md");
const RUNBOOK: &str = include_str!("../docs/runbook.md");
const PROGRAM: &str = "cdn-usaged";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the program says of itself.
fn help(arguments: &[&str]) -> io::Result<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_cdn-usaged")).args(arguments).arg("--help").output()?;
    assert!(output.status.success(), "{arguments:?} --help fails");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn subcommands() -> io::Result<BTreeSet<String>> {
    let help = help(&[])?;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A long description goes on in lines that are indented further.
    let names = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    Ok(names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

/// Everything that a document shows as code: the lines of its blocks, and its spans. A span may go over a line's end.
fn code(document: &str) -> Vec<String> {
    let (mut shown, mut prose, mut in_block) = (Vec::new(), String::new(), false);
    for line in document.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            shown.push(line.to_owned());
        } else {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    shown.extend(prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " ")));
    shown
}

/// The subcommand and the long options of every use of the program in a line of code.
fn uses(line: &str) -> Vec<(String, Vec<String>)> {
    let words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('`')).collect();
    let mut found = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if word.rsplit('/').next() != Some(PROGRAM) {
            continue;
        }
        let mut rest = words.iter().skip(at + 1).copied().peekable();
        if rest.next_if_eq(&"--config").is_some() {
            rest.next();
        }
        let Some(command) = rest.next().filter(|word| word.bytes().all(|b| b.is_ascii_lowercase())) else { continue };
        // A command of commands, and which of them.
        let nested = rest.next_if(|word| command == "config" && word.bytes().all(|b| b.is_ascii_lowercase()));
        let command = nested.map_or_else(|| command.to_owned(), |nested| format!("{command} {nested}"));
        let arguments = rest.take_while(|word| !["|", ">", "2>", "&&", ";"].contains(word));
        let options = arguments.filter(|word| word.starts_with("--")).map(str::to_owned).collect();
        found.push((command, options));
    }
    found
}

#[test]
fn every_command_and_option_that_the_documents_name_exists() {
    let known = subcommands().unwrap();
    assert!(known.contains("once") && known.contains("demo"), "the help lists {known:?}");
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in [README, ARCHITECTURE, RUNBOOK].into_iter().flat_map(code) {
        for (command, options) in uses(&line) {
            let first = command.split(' ').next().unwrap_or_default();
            assert!(known.contains(first), "there is no command {command:?}: {line}");
            named.entry(command).or_default().extend(options);
        }
    }
    assert!(named.len() >= 6, "the documents name {named:?}");
    for (command, options) in &named {
        let help = help(&command.split(' ').collect::<Vec<_>>()).unwrap();
        for option in options {
            let known = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == option);
            assert!(known, "{command} has no option {option}");
        }
    }
    assert!(named.values().any(|options| !options.is_empty()), "no option was checked");
}

#[test]
fn every_command_is_in_the_readme() {
    let shown = code(README);
    for command in subcommands().unwrap().iter().filter(|command| *command != "help") {
        let is_named = |line: &String| line.split_whitespace().any(|word| word.trim_matches('`') == command);
        assert!(shown.iter().any(is_named), "the README does not name {command}");
    }
}

#[test]
fn every_path_that_the_documents_name_exists() {
    let top: BTreeSet<String> =
        fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    let is_path = |span: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
        let first = span.split('/').next().unwrap_or_default();
        let below_a_folder_of_ours = span.contains('/') && top.contains(first);
        let document = ["README.md", "ARCHITECTURE.md", ".clippy.toml", "Cargo.toml"].contains(&span.as_str());
        span.chars().all(plain) && (below_a_folder_of_ours || document) && first != "target"
    };
    let mut checked = 0;
    for path in [README, ARCHITECTURE, RUNBOOK].into_iter().flat_map(code).filter(is_path) {
        assert!(root().join(&path).exists(), "there is no {path}");
        checked += 1;
    }
    assert!(checked >= 20, "only {checked} paths were found");
    let mut linked = 0;
    for target in README.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        if !target.contains("://") {
            assert!(root().join(target).exists(), "there is no {target}");
            linked += 1;
        }
    }
    assert!(linked >= 3, "only {linked} links were found");
}

/// A paragraph may begin with a folder, and name the files in it by their names alone.
#[test]
fn every_module_and_every_bare_file_name_is_on_the_map() {
    let modules: Vec<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| Path::new(name).extension().is_some_and(|e| e == "rs") && name != "lib.rs")
        .map(|name| name.trim_end_matches(".rs").to_owned())
        .collect();
    let folders: Vec<String> = fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    assert!(modules.len() > 5 && folders.len() > 5, "{modules:?} {folders:?}");
    for name in modules.iter().chain(&folders) {
        assert!(ARCHITECTURE.contains(&format!("`src/{name}")), "the map lacks {name}");
    }
    let mut checked = 0;
    for span in code(ARCHITECTURE) {
        let is_source = Path::new(&span).extension().is_some_and(|e| e == "rs") && !span.contains('/');
        if is_source && !span.contains(' ') {
            let there = folders.iter().any(|folder| root().join("src").join(folder).join(&span).exists());
            assert!(there, "there is no {span} in a folder of src");
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} names were found");
}

#[test]
fn the_readme_holds_the_two_commands_of_a_newcomer_each_on_a_line_of_its_own() {
    let mut shell = Vec::new();
    let mut in_shell = false;
    for line in README.lines() {
        match line {
            "```sh" => in_shell = true,
            "```" => in_shell = false,
            _ if in_shell => shell.push(line),
            _ => {}
        }
    }
    for command in ["cargo run --release -- demo", "cargo test --workspace"] {
        assert_eq!(shell.iter().filter(|line| **line == command).count(), 1, "{command}");
    }
    let at = |text: &str| README.find(text).unwrap_or(usize::MAX);
    assert!(at("apt-get install") < at("cargo run --release -- demo"), "what is needed comes first");
}
