//! What the commands that show windows have in common.

use std::collections::BTreeSet;

use super::{Failure, args::ExportArg};
use crate::{
    completeness::Expected,
    config::{Account, Config},
    model::{
        task::{AccountName, Export},
        window::{Kind, Summary, words},
    },
    text::visible,
};

/// Said where no account has an expectation.
pub(super) const NOTHING_EXPECTED: &str =
    "nothing is expected: say what shall be there in [[account.expect]], as config/default.toml shows";

/// The configuration with the expectations of one account or export alone.
pub(super) fn chosen(whole: &Config, account: Option<&str>, export: Option<ExportArg>) -> Result<Config, Failure> {
    let mut config = whole.clone();
    if let Some(name) = account {
        let names: Vec<_> = config.accounts.iter().map(|a| a.name.to_string()).collect();
        config.accounts.retain(|a| a.name.as_str() == name);
        if config.accounts.is_empty() {
            // A slip of the pen must not look like completeness.
            return Err(Failure::usage(format!(
                "--account {}: no such account is configured; there are: {}",
                visible(name),
                names.join(", ")
            )));
        }
    }
    // Nor must asking for what nobody expects.
    if let Some(name) = account {
        let others = named(whole, |account, _| account.to_string());
        refuse_empty(&config, &format!("--account {}", visible(name)), &others)?;
    }
    if let Some(export) = export {
        let others = named(&config, |account, export| format!("{account}/{export}"));
        for account in &mut config.accounts {
            account.expect.retain(|e| e.export.as_str() == export.as_str());
        }
        refuse_empty(&config, &format!("--export {}", export.as_str()), &others)?;
    }
    Ok(config)
}

/// Refuses what leaves nothing of what is expected. Where nothing is expected at all that is said, and no error.
fn refuse_empty(chosen: &Config, asked: &str, others: &[String]) -> Result<(), Failure> {
    if others.is_empty() || chosen.accounts.iter().any(|a| !a.expect.is_empty()) {
        return Ok(());
    }
    Err(Failure::usage(format!("{asked}: nothing is expected there; there are expectations of: {}", others.join(", "))))
}

/// Of what there are expectations, each once.
fn named(config: &Config, name: impl Fn(&AccountName, Export) -> String) -> Vec<String> {
    let of = |account: &Account| account.expect.iter().map(|e| name(&account.name, e.export)).collect::<Vec<_>>();
    let mut names: Vec<String> = config.accounts.iter().flat_map(of).collect();
    // The expectations of a listing need not stand together.
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// What a row of windows is called: `main/usage-detail "traffic*" `.
pub(super) fn title(expected: &Expected, kind: Option<Kind>) -> String {
    let name = &expected.expectation.name;
    let name = if name.is_any() { String::new() } else { format!("{:?} ", name.as_str()) };
    let kind = kind.map_or_else(String::new, |kind| format!("{} ", kind.as_str()));
    format!("{} {kind}{name}", expected.listing)
}

/// `30 archived, 1 overdue`.
pub(super) fn counts(summary: &Summary) -> String {
    let shown: Vec<_> = summary.counts.iter().map(|(state, n)| format!("{n} {}", words::state(*state))).collect();
    if shown.is_empty() { "none has ended".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod page_tests;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod year_tests;
