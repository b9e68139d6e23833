//! `once`: the whole job, one time.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::{Failure, args::OnceArgs, output::Out, owner, progress::Bars};
use crate::{
    assembly::{self, Assembly, World},
    clock,
    completeness::{self, MaySay},
    config::{self, Config, Environment},
    credentials::refuse_open,
    egress::Surroundings,
    events,
    fetch::{Area, Mode},
    model::task::ListingKey,
    observer::{Nobody, Observer},
    once::{self, ListingOutcome, Outcome},
    store::{Lock, Store, StoreError},
    text::count,
};

/// A listing as `--json` prints it.
#[derive(Serialize)]
struct ListingJson<'a> {
    account: &'a str,
    export: &'a str,
    tasks: Option<u64>,
    total: Option<u64>,
    consistent: bool,
    undelivered: u64,
    error: Option<&'a str>,
}

/// Runs the command.
pub(crate) async fn run(
    config_path: &Path,
    config: Config,
    environment: Environment,
    args: &OnceArgs,
    bars: &Bars,
) -> Result<(), Failure> {
    // First of all: a signal in the first moments is a request to stop, too.
    let cancel = CancellationToken::new();
    let mut signals = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    refuse_open(&config.accounts, &environment).map_err(Failure::config)?;
    let network = assembly::network(&config, &environment).map_err(Failure::config)?;
    owner::refuse_root(config_path, &config.storage.state_dir, "once", args.as_root)?;
    make_state_dir(&config.storage.state_dir)?;
    let _lock = Lock::take(&config.storage.state_dir)?;
    let area = open_area(&config.storage)?;
    let store = Store::open(&config.storage.state_dir).await?;
    let world = World {
        config: &config,
        environment: &environment,
        surroundings: Surroundings::System(Box::new(network)),
        store: &store,
        observer: &(Arc::new(Nobody) as Arc<dyn Observer>),
    };
    let assembly = Assembly::new(&world, area, Mode::Once).await?;
    let limit = async {
        match args.timeout {
            Some(limit) => tokio::time::sleep(limit).await,
            None => std::future::pending().await,
        }
    };
    let outcome = {
        let work = once::run(&assembly, &cancel);
        tokio::pin!(work, limit);
        let mut drawn = std::pin::pin!(bars.follow(&assembly.queue.board));
        let mut stopping = false;
        loop {
            tokio::select! {
                outcome = &mut work => break outcome,
                () = &mut drawn => {}
                () = &mut limit, if !stopping => { stopping = true; cancel.cancel(); }
                _ = signals.0.recv(), if !stopping => { stopping = true; cancel.cancel(); }
                _ = signals.1.recv(), if !stopping => { stopping = true; cancel.cancel(); }
            }
        }
    };
    bars.clear();
    drop(assembly);
    let outcome = match outcome {
        Ok(outcome) => tell(&store, &config, &outcome).await.map(|()| outcome).map_err(Into::into),
        Err(e) => Err(e),
    };
    store.close().await;
    let outcome = outcome.inspect_err(|e| events::store_failed(&e.to_string())).map_err(Failure::other)?;
    report(&outcome, args)
}

/// Says what is new of the windows that are expected, as the daemon does. What lacks of a listing that could not be read, or
/// after a run that was cut off, may only not have been fetched yet.
async fn tell(store: &Store, config: &Config, outcome: &Outcome) -> Result<(), StoreError> {
    let now = clock::now();
    let expected = completeness::read(store, config, now).await?;
    let mut settled = outcome.swept();
    let in_hand = store.in_hand(&settled).await?;
    settled.retain(|listing| !outcome.cut_off && !in_hand.contains(listing));
    let may = |listing: &ListingKey| if settled.contains(listing) { MaySay::Everything } else { MaySay::Archived };
    // The rest is said by the next run.
    completeness::tell(store, &expected, may, now).await.map(drop)
}

pub(crate) fn make_state_dir(path: &Path) -> Result<(), Failure> {
    if path.is_dir() {
        return Ok(());
    }
    // The mode is set again, whatever the umask took from it.
    let mode = || fs::set_permissions(path, fs::Permissions::from_mode(0o750));
    fs::DirBuilder::new().recursive(true).mode(0o750).create(path).and_then(|()| mode()).map_err(|e| {
        let path = path.display();
        Failure::other(format!("cannot make the folder {path} (storage.state_dir): {e}; make it, or name another that this user may write to"))
    })
}

pub(crate) fn open_area(storage: &config::Storage) -> Result<Area, Failure> {
    Area::open(&storage.download_dir).map_err(|e| {
        let path = storage.download_dir.display();
        Failure::other(format!(
            "cannot use the folder {path} (storage.download_dir): {e}; make it writable for this user, or name another"
        ))
    })
}

fn report(outcome: &Outcome, args: &OnceArgs) -> Result<(), Failure> {
    let mut out = Out::new();
    for once::Ended { listing, sweep, undelivered } in &outcome.listings {
        let (account, export) = (listing.account.as_str(), listing.export.as_str());
        let (tasks, total, consistent, error) = match sweep {
            ListingOutcome::Swept(r) => (Some(r.tasks), r.total, r.consistent, None),
            ListingOutcome::Failed(error) => (None, None, false, Some(error.as_str())),
            ListingOutcome::CutOff => (None, None, false, Some("the run was cut off")),
        };
        if args.json {
            let undelivered = *undelivered;
            out.json(&ListingJson { account, export, tasks, total, consistent, undelivered, error })?;
        } else if let Some(error) = error {
            out.line(&format!("{listing}: {error}"))?;
        } else {
            let moved = if consistent { "" } else { "; it moved while it was read, run it again" };
            out.line(&format!("{listing}: {}{moved}", count(tasks.unwrap_or(0), "task")))?;
        }
    }
    if !args.json {
        let is_read = outcome.swept().len() == outcome.listings.len();
        out.line(&match (outcome.undelivered(), is_read) {
            (0, true) => "every task that is listed as success is stored".to_owned(),
            (0, false) => {
                "not every listing could be read: what else is listed as success there is not known".to_owned()
            }
            (n, _) => format!(
                "{} listed as success and not stored; `cdn-usaged tasks --state abandoned` or `--state pending` says why",
                if n == 1 { "1 task is".to_owned() } else { format!("{n} tasks are") }
            ),
        })?;
    }
    out.finish()?;
    if outcome.is_complete() {
        return Ok(());
    }
    if outcome.low_space {
        return Err(Failure::other("too little space is free (storage.min_free); free some and run it again"));
    }
    Err(if outcome.cut_off { Failure::other("stopped before everything was done") } else { Failure::silent() })
}
