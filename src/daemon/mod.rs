//! The daemon: wires the parts, keeps them running, and ends them.
//!
//! ```text
//! signals ─┐                ┌─> a loop for each listing ─┐
//! watchdog ├─> Daemon::turn ┤                            ├─> store
//! reload ──┘                └─> the queue ───────────────┘
//! ```
//!
//! Long-lived tasks start only here, and a task that ends by itself takes the process down: the service manager starts
//! it again, and the database says where to go on.

mod reload;
mod watch;
mod windows;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, mpsc, watch::Sender},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    assembly::{Account, Assembly, AssemblyError, World},
    cdn::Permits,
    clock,
    config::{self, Config, Environment},
    egress::{Network, Surroundings},
    events,
    fetch::{Area, Mode, Queue, QueueError},
    logging,
    model::task::AccountName,
    notify::Notifier,
    observer::Observer,
    poll::{AccountGate, ListingLoop},
    store::{Store, Unwritable},
    text::count,
};

pub use self::watch::Watch;
use self::windows::Windows;

/// The daemon looks after itself at least this often, and feeds the watchdog then.
const TURN_EVERY: Duration = Duration::from_secs(5);
/// The queue looks for work every few seconds. When it has not for this long it hangs, and the watchdog may bite.
const QUEUE_HANGS_AFTER: Duration = Duration::from_secs(60);
/// The sentence for the service manager is worth waiting for its numbers so long: a reader of the database that hangs
/// must not keep a signal waiting.
const COUNT_WITHIN: Duration = Duration::from_secs(2);
/// What is stopped has this long to finish the transaction or the publication in hand. With the closing of the database,
/// which may wait for a reader for some seconds, a stop stays below 20 s.
const STOP_WITHIN: Duration = Duration::from_secs(12);

/// What ends the daemon early.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The parts do not fit together.
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    /// The queue failed, and not for want of the database.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The database is not where it was opened.
    #[error(transparent)]
    Moved(#[from] Unwritable),
    /// A task ended that never should.
    #[error("{0} ended by itself")]
    Ended(&'static str),
    /// A task panicked.
    #[error("a task died: {0}")]
    Died(#[from] tokio::task::JoinError),
    /// Something did not stop in time.
    #[error("not everything stopped within {} s", STOP_WITHIN.as_secs())]
    Late,
}

/// Where the daemon's configuration comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// The environment.
    pub environment: Environment,
}

/// What the signals ask for.
#[derive(Debug)]
pub struct Requests {
    /// Take the configuration anew. Several requests at once are one.
    pub reload: Arc<Notify>,
    /// End, for this reason. There is room for one, and no second is sent.
    pub stop: mpsc::Receiver<&'static str>,
}

/// An account whose loops run.
struct Running {
    config: config::Account,
    permits: Arc<Permits>,
    stop: CancellationToken,
}

/// The daemon.
pub struct Daemon {
    origin: Origin,
    config: Config,
    network: Network,
    log: logging::Handle,
    notifier: Notifier,
    watch: Arc<Watch>,
    observer: Arc<dyn Observer>,
    store: Store,
    queue: Arc<Queue>,
    due: Arc<Notify>,
    accounts: BTreeMap<AccountName, Running>,
    loops: JoinSet<()>,
    /// Looks at the windows that are expected; never ends by itself.
    looks: JoinSet<()>,
    /// The configuration in force, for whoever looks.
    in_force: Sender<Arc<Config>>,
    stop: CancellationToken,
}

/// What the daemon is put together from.
pub struct Parts {
    /// Where the configuration comes from.
    pub origin: Origin,
    /// The configuration that was read there.
    pub config: Config,
    /// Proxies and authorities, as that configuration has them.
    pub network: Network,
    /// Changes the level of the log.
    pub log: logging::Handle,
    /// Tells the service manager.
    pub notifier: Notifier,
    /// Counts and judges.
    pub watch: Arc<Watch>,
    /// Open; the daemon does not close it.
    pub store: Store,
    /// The download folder.
    pub area: Area,
}

impl Daemon {
    /// Wires everything; nothing runs yet.
    ///
    /// # Errors
    /// When the parts do not fit together.
    pub async fn new(parts: Parts) -> Result<Self, DaemonError> {
        let Parts { origin, config, network, log, notifier, watch, store, area } = parts;
        let observer: Arc<dyn Observer> = Arc::clone(&watch) as Arc<dyn Observer>;
        watch.begin(&config, &store).await.map_err(AssemblyError::from)?;
        let world = World {
            config: &config,
            environment: &origin.environment,
            surroundings: Surroundings::System(Box::new(network.clone())),
            store: &store,
            observer: &observer,
        };
        let assembly = Assembly::new(&world, area, Mode::Daemon).await?;
        watch.sight().set_board(assembly.queue.board.clone());
        let due = assembly.due;
        let mut daemon = Self {
            accounts: BTreeMap::new(),
            loops: JoinSet::new(),
            looks: JoinSet::new(),
            in_force: Sender::new(Arc::new(config.clone())),
            stop: CancellationToken::new(),
            queue: assembly.queue,
            origin,
            config,
            network,
            log,
            notifier,
            watch,
            observer,
            store,
            due,
        };
        for account in assembly.accounts {
            daemon.start(account);
        }
        Ok(daemon)
    }

    /// Starts the loops of an account.
    fn start(&mut self, account: Account) {
        let stop = self.stop.child_token();
        let gate = Arc::new(AccountGate::default());
        let keys = account.keys.watched_paths();
        for poller in account.pollers {
            let run = ListingLoop {
                poller,
                gate: Arc::clone(&gate),
                keys: keys.clone(),
                wanted: Arc::clone(&self.queue.ended),
                failures_max: self.config.download.max_attempts,
            };
            let stop = stop.clone();
            self.loops.spawn(async move { run.run(&stop).await });
        }
        let running = Running { config: account.config, permits: account.permits, stop };
        self.accounts.insert(running.config.name.clone(), running);
    }

    /// Runs until it is asked to stop, and then ends everything.
    ///
    /// # Errors
    /// When a task ended that never should, or not everything stopped in time.
    pub async fn run(mut self, requests: &mut Requests) -> Result<(), DaemonError> {
        let queue_stop = self.stop.child_token();
        let mut transfers = JoinSet::new();
        transfers.spawn({
            let queue = Arc::clone(&self.queue);
            async move { queue.run(&queue_stop).await }
        });
        let windows =
            Windows { store: self.store.clone(), watch: Arc::clone(&self.watch), config: self.in_force.subscribe() };
        let windows_stop = self.stop.child_token();
        self.looks.spawn(async move { windows.run(&windows_stop).await });
        self.notifier.ready();
        events::daemon_ready();
        let outcome = self.turn(requests, &mut transfers).await;
        self.notifier.stopping();
        if let Ok(reason) = &outcome {
            events::daemon_stopping(reason);
        }
        self.stop.cancel();
        let all = async {
            while let Some(ended) = self.loops.join_next().await {
                ended?;
            }
            while let Some(ended) = self.looks.join_next().await {
                ended?;
            }
            while let Some(ended) = transfers.join_next().await {
                ended??;
            }
            Ok::<(), DaemonError>(())
        };
        let stopped = timeout(STOP_WITHIN, all).await.unwrap_or(Err(DaemonError::Late));
        outcome.map(drop).and(stopped)
    }

    /// Turns until something ends it; says what.
    async fn turn(
        &mut self,
        requests: &mut Requests,
        transfers: &mut JoinSet<Result<(), QueueError>>,
    ) -> Result<&'static str, DaemonError> {
        let every = self.notifier.watchdog_interval().map_or(TURN_EVERY, |w| w.min(TURN_EVERY));
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                reason = requests.stop.recv() => return reason.ok_or(DaemonError::Ended("the signal handler")),
                () = requests.reload.notified() => self.reload().await,
                Some(ended) = transfers.join_next() => {
                    ended??;
                    return Err(DaemonError::Ended("the queue"));
                }
                Some(ended) = self.loops.join_next() => {
                    ended?;
                    // Those of a removed account end as they were told.
                    if !self.accounts.is_empty() && self.loops.len() < self.expected_loops() {
                        return Err(DaemonError::Ended("the loop of a listing"));
                    }
                }
                Some(ended) = self.looks.join_next() => {
                    ended?;
                    return Err(DaemonError::Ended("the look at the windows"));
                }
                _ = tick.tick() => self.look_after().await?,
            }
        }
    }

    /// The loops that should be running; those that were told to stop may still be ending.
    fn expected_loops(&self) -> usize {
        self.accounts.values().map(|a| a.config.exports.len()).sum()
    }

    /// Feeds the watchdog while everything turns, and says how things are. A database that has lost its name ends the
    /// daemon: the next start opens what has the name then, and finds the files again; to go on would be to forget.
    async fn look_after(&self) -> Result<(), DaemonError> {
        if let Err(e @ Unwritable::Elsewhere { .. }) = self.store.is_in_place().await {
            return Err(e.into());
        }
        let since_beat = clock::instant().saturating_duration_since(self.queue.last_beat());
        if since_beat < QUEUE_HANGS_AFTER {
            self.notifier.watchdog();
            self.watch.beat();
        }
        self.watch.measure(&self.queue);
        let settings = self.queue.settings();
        let counted = timeout(COUNT_WITHIN, self.store.waiting(&settings.listings, clock::now())).await;
        if let Ok(Ok(waiting)) = counted {
            let running = self.queue.board.transfers().len() as u64;
            let low = if self.queue.low.load(std::sync::atomic::Ordering::Relaxed) { "; too little space" } else { "" };
            self.notifier.status(&format!(
                "{} of {}; {} under way, {} waiting, {} of them for a link{low}",
                count(self.expected_loops() as u64, "listing"),
                count(self.accounts.len() as u64, "account"),
                count(running, "transfer"),
                count((waiting.with_link + waiting.wanted).saturating_sub(running), "download"),
                waiting.wanted,
            ));
        }
        Ok(())
    }
}
