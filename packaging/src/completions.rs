//! The completions that `clap` can write.

use std::path::PathBuf;

use clap_complete::{Shell, generate};

use crate::Page;

/// One script for each shell, named after it.
pub(crate) fn scripts() -> Vec<Page> {
    let shells = [Shell::Bash, Shell::Zsh, Shell::Fish];
    let pages = shells.map(|shell| {
        let mut script = Vec::new();
        generate(shell, &mut cdn_usaged::cli::command_line(), "cdn-usaged", &mut script);
        Page {
            path: PathBuf::from("completions").join(shell.to_string()),
            text: String::from_utf8_lossy(&script).into_owned(),
        }
    });
    pages.into()
}
