//! The man pages and completions of `cdn-usaged`.
//!
//! None of them is kept in the repository: what a command takes is asked of the program's own definition, and what a key
//! means of the commented `config/default.toml`, so that neither can be told twice. What only a manual says, such as files,
//! signals and examples, is prose in `packaging/man/`.

use std::path::PathBuf;

use clap_mangen::roff::Roff;

mod commands;
mod completions;
mod keys;

/// The page of the configuration; `@KEYS@` stands for every section and key.
const CONFIGURATION: &str = include_str!("../man/cdn-usaged.toml.5");
/// The page of the daemon.
const DAEMON: &str = include_str!("../man/cdn-usaged.8");
/// The configuration that is shipped, with every key, its default and what it is for.
const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// A file that a package installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where, below the folder that is written to: `man/man1/cdn-usaged.1`, `completions/zsh`.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// When and of what the pages are.
#[derive(Debug, Clone, Copy)]
pub struct Edition<'a> {
    /// The date in their footers, `2026-01-31`.
    pub date: &'a str,
    /// The version of the program.
    pub version: &'a str,
}

/// Every man page: section 1 one for the program and one for each command, 5 the configuration, 8 the daemon.
#[must_use]
pub fn man_pages(edition: Edition<'_>) -> Vec<Page> {
    let mut pages = commands::pages(edition);
    let configuration = CONFIGURATION.replace("@KEYS@\n", &keys::sections(DEFAULT_TOML));
    for (name, text) in [("man5/cdn-usaged.toml.5", configuration.as_str()), ("man8/cdn-usaged.8", DAEMON)] {
        let text =
            format!("{}{text}", definitions()).replace("@DATE@", edition.date).replace("@VERSION@", edition.version);
        pages.push(Page { path: PathBuf::from("man").join(name), text });
    }
    pages
}

/// The completions for bash, zsh and fish.
#[must_use]
pub fn completions() -> Vec<Page> {
    completions::scripts()
}

/// What every page begins with, so that an apostrophe is one.
fn definitions() -> String {
    Roff::new().render()
}

/// A part of a page, which has the definitions already.
fn body(roff: &Roff) -> String {
    roff.render().replacen(&definitions(), "", 1)
}
