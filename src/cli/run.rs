//! `run`: the daemon, in the foreground.

use std::{path::Path, sync::Arc};

use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, mpsc},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{Failure, once};
use crate::{
    admin::{self, AdminState},
    assembly,
    config::{Config, Environment},
    credentials::refuse_open,
    daemon::{Daemon, Origin, Parts, Requests, Watch},
    events, logging,
    notify::Notifier,
    store::{Lock, Store},
};

/// The signals, with their handlers installed: from here on none of them ends the process by itself.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Installs the handlers. Before anything else: a reload in the first moments must not be an end.
    pub(crate) fn install() -> Result<Self, Failure> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Passes them on. The second request to stop ends this, and with it the process.
    async fn forward(mut self, reload: Arc<Notify>, stop: mpsc::Sender<&'static str>) {
        let mut stopping = false;
        loop {
            let reason = tokio::select! {
                biased;
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hangup.recv() => {
                    reload.notify_one();
                    continue;
                }
            };
            if stopping {
                return;
            }
            stopping = true;
            let _ = stop.try_send(reason);
        }
    }
}

/// Runs the command.
pub(crate) async fn run(
    path: &Path,
    config: Config,
    environment: Environment,
    log: logging::Handle,
    signals: Signals,
) -> Result<(), Failure> {
    let (sender, receiver) = mpsc::channel(1);
    let mut requests = Requests { reload: Arc::new(Notify::new()), stop: receiver };
    let reload = Arc::clone(&requests.reload);
    let work = work(path, config, environment, log, &mut requests);
    tokio::select! {
        done = work => done,
        () = signals.forward(reload, sender) => Err(Failure::other("stopped at once by a second signal")),
    }
}

async fn work(
    path: &Path,
    config: Config,
    environment: Environment,
    log: logging::Handle,
    requests: &mut Requests,
) -> Result<(), Failure> {
    events::daemon_started();
    let outcome = serve(path, config, environment, log, requests).await;
    if let Err(failure) = &outcome {
        events::daemon_failed(failure.text());
        events::daemon_stopping(failure.text());
    }
    events::daemon_stopped();
    outcome
}

async fn serve(
    path: &Path,
    config: Config,
    environment: Environment,
    log: logging::Handle,
    requests: &mut Requests,
) -> Result<(), Failure> {
    refuse_open(&config.accounts, &environment).map_err(Failure::config)?;
    let network = assembly::network(&config, &environment).map_err(Failure::config)?;
    once::make_state_dir(&config.storage.state_dir)?;
    let _lock = Lock::take(&config.storage.state_dir)?;
    let area = once::open_area(&config.storage)?;
    let store = Store::open(&config.storage.state_dir).await?;
    let listener = match &config.http {
        Some(http) => Some(TcpListener::bind(http.listen).await.map_err(|e| {
            Failure::other(format!("cannot listen on {} (http.listen): {e}; name another address or port", http.listen))
        })?),
        None => None,
    };
    let watch = Arc::new(Watch::new(&config).map_err(Failure::other)?);
    let notifier = Notifier::from_environment(&environment);
    let origin = Origin { path: path.to_owned(), environment };
    let parts = Parts { origin, config, network, log, notifier, watch: Arc::clone(&watch), store: store.clone(), area };
    let admin_stop = CancellationToken::new();
    let mut admin = JoinSet::new();
    if let Some(listener) = listener {
        let state = AdminState {
            store: store.clone(),
            metrics: watch.metrics().clone(),
            health: Arc::clone(watch.health()),
            sight: Arc::clone(watch.sight()),
        };
        admin.spawn(admin::serve(listener, state, admin_stop.clone()));
    }
    let outcome = run_daemon(parts, requests).await;
    admin_stop.cancel();
    while admin.join_next().await.is_some() {}
    store.close().await;
    outcome
}

async fn run_daemon(parts: Parts, requests: &mut Requests) -> Result<(), Failure> {
    let daemon = Daemon::new(parts).await.map_err(Failure::other)?;
    daemon.run(requests).await.map_err(Failure::other)
}
