//! `check`: the configuration, and with `--online` everything that a call needs.

use std::{path::PathBuf, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Failure, args::CheckArgs, output::Out};
use crate::{
    assembly,
    cdn::{self, CallError, Client, Permits},
    clock,
    config::{Account, Config, Environment},
    credentials::{Asked, Caller, Provider, refuse_open},
    egress::Surroundings,
    observer::{Nobody, Observer},
    text::count,
};

/// A clock that is off by no more than this is said to be right: the service writes whole seconds.
const SKEW_SAID: SignedDuration = SignedDuration::from_secs(2);

/// A policy that is enough for an account, with its members in the customary order.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    effect: &'static str,
    action: Vec<String>,
    resource: &'static str,
}

#[derive(Serialize)]
struct AccountJson<'a> {
    r#type: &'static str,
    account: &'a str,
    ok: bool,
    credentials: Option<&'a str>,
    expires_at: Option<String>,
    account_id: Option<&'a str>,
    arn: Option<&'a str>,
    identity_type: Option<&'a str>,
    clock_skew_ms: Option<i128>,
    missing_actions: &'a [String],
    policy: Policy,
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct ListingJson<'a> {
    r#type: &'static str,
    account: &'a str,
    export: &'a str,
    ok: bool,
    credentials: Option<&'a str>,
    total: Option<u64>,
    missing_action: Option<&'a str>,
    error: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    files: &[PathBuf],
    config: &Config,
    environment: Environment,
    args: &CheckArgs,
) -> Result<(), Failure> {
    refuse_open(&config.accounts, &environment).map_err(Failure::config)?;
    let network = assembly::network(config, &environment).map_err(Failure::config)?;
    let surroundings = Surroundings::System(Box::new(network));
    let mut out = Out::new();
    let listings: usize = config.accounts.iter().map(|a| a.exports.len()).sum();
    if !args.json {
        out.line(&format!(
            "{} valid: {}, {}",
            named(files),
            count(config.accounts.len() as u64, "account"),
            count(listings as u64, "listing")
        ))?;
        out.line(&format!(
            "state in {}, files in {}",
            config.storage.state_dir.display(),
            config.storage.download_dir.display()
        ))?;
    }
    let mut complete = true;
    if args.online {
        for account in &config.accounts {
            let found = Found::of(config, account, &environment, &surroundings).await?;
            complete &= found.is_ok();
            if args.json { found.write_json(&mut out)? } else { found.write_text(&mut out)? }
        }
    }
    out.finish()?;
    if complete { Ok(()) } else { Err(Failure::silent()) }
}

/// The file, and how many were laid over it.
fn named(files: &[PathBuf]) -> String {
    let main = files.first().map_or_else(String::new, |path| path.display().to_string());
    match files.len().saturating_sub(1) {
        0 => format!("{main} is"),
        more => format!("{main} and {} of conf.d are", count(more as u64, "file")),
    }
}

/// What the calls for one account found.
struct Found<'a> {
    account: &'a Account,
    /// Where the keys come from and when they end, or why there are none.
    keys: Result<(String, Option<Timestamp>), String>,
    /// Who they are, or why that is not known.
    caller: Result<Caller, String>,
    skew: Option<SignedDuration>,
    /// For each listing, in the order of the configuration: what it counts, or why it cannot be read.
    listings: Vec<Result<Option<u64>, CallError>>,
    /// What the user of the keys may not do and must.
    missing: Vec<String>,
}

impl<'a> Found<'a> {
    /// Asks whose the keys are, and makes one signed call for each listing.
    async fn of(
        config: &Config,
        account: &'a Account,
        environment: &Environment,
        surroundings: &Surroundings,
    ) -> Result<Self, Failure> {
        let permits = Arc::new(Permits::new(&config.rate_limit));
        let observer = Arc::new(Nobody) as Arc<dyn Observer>;
        let (client, keys) = assembly::client(config, account, environment, surroundings, &observer, permits)?;
        let (keys, caller, skew) = ask(&keys).await;
        let listings = pages(&client, account).await;
        let mut missing: Vec<String> =
            listings.iter().filter_map(|page| page.as_ref().err()?.missing_action.clone()).collect();
        missing.dedup();
        Ok(Self { account, keys, caller, skew, listings, missing })
    }

    /// Whose the keys are is good to know, and no call of the daemon: a firewall that lets nobody reach STS breaks
    /// nothing.
    fn is_ok(&self) -> bool {
        self.listings.iter().all(Result::is_ok)
    }

    fn origin(&self) -> Option<&str> {
        self.keys.as_ref().ok().map(|(origin, _)| origin.as_str())
    }

    fn policy(&self) -> Policy {
        let action = self.account.exports.iter().map(|e| format!("cdn:{}", e.action())).collect();
        Policy { version: "1", statement: [Statement { effect: "Allow", action, resource: "*" }] }
    }

    fn write_text(&self, out: &mut Out) -> Result<(), Failure> {
        let name = self.account.name.as_str();
        match &self.keys {
            // The listings say it, too, each with its own call.
            Err(error) => out.line(&format!("account {name}: there are no credentials: {error}"))?,
            Ok((origin, end)) => {
                let end = end.map(|at| format!(", good until {at:.0}")).unwrap_or_default();
                out.line(&format!("account {name}: keys from {origin}{end}"))?;
            }
        }
        match &self.caller {
            Ok(Caller { arn, account_id, .. }) => {
                out.line(&format!("account {name}: they are those of {arn} in account {account_id}"))?;
            }
            Err(error) if self.keys.is_ok() => {
                out.line(&format!("account {name}: whose they are is not known: {error}"))?;
            }
            Err(_) => {}
        }
        if let Some(skew) = self.skew {
            let said = if skew.abs() > SKEW_SAID {
                format!("{}; mend it with NTP before it is 15 min", cdn::describe_skew(Some(skew)))
            } else {
                "this machine's clock is right".to_owned()
            };
            out.line(&format!("account {name}: {said}"))?;
        }
        for (export, page) in self.account.exports.iter().zip(&self.listings) {
            match page {
                Err(error) => out.line(&format!("{name}/{}: {error}", export.as_str()))?,
                Ok(total) => {
                    let total = total.map_or_else(|| "a listing without a total".to_owned(), |n| count(n, "task"));
                    let origin = self.origin().unwrap_or("?");
                    out.line(&format!("{name}/{}: {total}, keys from {origin}", export.as_str()))?;
                }
            }
        }
        if !self.missing.is_empty() {
            out.line(&format!("account {name}: not allowed: {}; a policy that is enough:", self.missing.join(", ")))?;
            out.json(&self.policy())?;
        }
        Ok(())
    }

    fn write_json(&self, out: &mut Out) -> Result<(), Failure> {
        let account = self.account.name.as_str();
        let caller = self.caller.as_ref().ok();
        out.json(&AccountJson {
            r#type: "account",
            account,
            ok: self.is_ok(),
            credentials: self.origin(),
            expires_at: self.keys.as_ref().ok().and_then(|(_, end)| *end).map(clock::rfc3339),
            account_id: caller.map(|c| c.account_id.as_str()),
            arn: caller.map(|c| c.arn.as_str()),
            identity_type: caller.map(|c| c.identity_type.as_str()),
            clock_skew_ms: self.skew.map(|skew| skew.as_millis()),
            missing_actions: &self.missing,
            policy: self.policy(),
            error: self.keys.as_ref().err().or(self.caller.as_ref().err()).map(String::as_str),
        })?;
        for (export, page) in self.account.exports.iter().zip(&self.listings) {
            let error = page.as_ref().err();
            out.json(&ListingJson {
                r#type: "listing",
                account,
                export: export.as_str(),
                ok: page.is_ok(),
                credentials: self.origin(),
                total: page.as_ref().ok().copied().flatten(),
                missing_action: error.and_then(|e| e.missing_action.as_deref()),
                error: error.map(ToString::to_string),
            })?;
        }
        Ok(())
    }
}

type Asker = (Result<(String, Option<Timestamp>), String>, Result<Caller, String>, Option<SignedDuration>);

async fn ask(keys: &Provider) -> Asker {
    match keys.caller().await {
        Ok((keys, Asked { caller, skew })) => {
            (Ok((keys.origin, keys.expires_at)), caller.map_err(|e| e.to_string()), skew)
        }
        Err(e) => (Err(e.to_string()), Err(e.to_string()), None),
    }
}

async fn pages(client: &Client, account: &Account) -> Vec<Result<Option<u64>, CallError>> {
    let mut all = Vec::new();
    for &export in &account.exports {
        all.push(client.page(export, 1, 1).await.map(|page| page.total));
    }
    all
}
