//! `check`: the configuration, and with `--online` everything that a call needs.

use std::{path::Path, sync::Arc};

use serde::Serialize;

use super::{Failure, args::CheckArgs, output::Out};
use crate::{
    assembly,
    cdn::Permits,
    config::{Config, Environment},
    credentials::refuse_open,
    egress::Surroundings,
    observer::{Nobody, Observer},
    text::count,
};

#[derive(Serialize)]
struct ListingJson<'a> {
    account: &'a str,
    export: &'a str,
    ok: bool,
    credentials: Option<String>,
    total: Option<u64>,
    error: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    path: &Path,
    config: &Config,
    environment: Environment,
    args: &CheckArgs,
) -> Result<(), Failure> {
    refuse_open(&config.accounts, &environment).map_err(Failure::config)?;
    let mut out = Out::new();
    let listings: usize = config.accounts.iter().map(|a| a.exports.len()).sum();
    if !args.json {
        out.line(&format!(
            "{} is valid: {}, {}",
            path.display(),
            count(config.accounts.len() as u64, "account"),
            count(listings as u64, "listing")
        ))?;
        out.line(&format!(
            "state in {}, files in {}",
            config.storage.state_dir.display(),
            config.storage.download_dir.display()
        ))?;
    }
    let complete = !args.online || online(config, &environment, args, &mut out).await?;
    out.finish()?;
    if complete { Ok(()) } else { Err(Failure::silent()) }
}

/// One signed call for each listing.
async fn online(config: &Config, environment: &Environment, args: &CheckArgs, out: &mut Out) -> Result<bool, Failure> {
    let mut complete = true;
    for account in &config.accounts {
        let permits = Arc::new(Permits::new(&config.rate_limit));
        let (client, keys) = assembly::client(
            config,
            account,
            environment,
            Surroundings::System,
            &(Arc::new(Nobody) as Arc<dyn Observer>),
            permits,
        )?;
        let origin = keys.get().await.ok().map(|c| c.origin);
        for &export in &account.exports {
            let answer = client.page(export, 1, 1).await;
            complete &= answer.is_ok();
            let (total, error) = match answer {
                Ok(page) => (page.total, None),
                Err(e) => (None, Some(e.to_string())),
            };
            let name = account.name.as_str();
            if args.json {
                let (export, ok, credentials) = (export.as_str(), error.is_none(), origin.clone());
                out.json(&ListingJson { account: name, export, ok, credentials, total, error })?;
            } else if let Some(error) = error {
                out.line(&format!("{name}/{export}: {error}"))?;
            } else {
                let total = total.map_or_else(|| "a listing without a total".to_owned(), |n| count(n, "task"));
                out.line(&format!("{name}/{export}: {total}, keys from {}", origin.as_deref().unwrap_or("?")))?;
            }
        }
    }
    Ok(complete)
}
