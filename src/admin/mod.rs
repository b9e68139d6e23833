//! The status page at `/`, `/metrics`, `/livez` and `/healthz`.
//!
//! Nothing here runs by itself: what is asked for is found out then, and kept for a while, so that many who ask cost no
//! more than one. A connection answers one request and is closed; its number and its time are bounded.

mod counts;
mod guard;
mod health;
mod page;
mod probe;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Extension, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use self::page::at as page_at;
use self::{counts::Counts, guard::Asked, page::Page, probe::Probe};
pub use self::{
    health::{Health, ListingHealth, ListingHealthConfig, Polled},
    page::Sight,
};
use crate::{
    metrics::{self, Metrics},
    store::Store,
    text::json_visible,
};

/// Connections at a time; more wait to be accepted. A scraper, a prober and a person with a browser are three.
const CONNECTIONS_MAX: usize = 32;
/// A whole connection: request, work (2 s at most) and answer. Many times what any of them takes.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Of that, until the last header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Accepting fails for as long as the process has no descriptor left: it is tried again after this, not at once.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// What is being answered at the stop is finished within this, or cut off.
const GRACE: Duration = Duration::from_secs(1);

/// What is served. Clones share it.
#[derive(Debug, Clone)]
pub struct AdminState {
    /// Is counted and probed.
    pub store: Store,
    /// What the daemon counts.
    pub metrics: Metrics,
    /// What the daemon tells of itself.
    pub health: Arc<Health>,
    /// What the page shows besides, and the configuration in force.
    pub sight: Arc<Sight>,
}

struct Shared {
    state: AdminState,
    counts: Counts,
    probe: Probe,
    page: Page,
}

/// Serves until cancelled, and then for a second at most. What it starts ends with it.
pub async fn serve(listener: TcpListener, state: AdminState, cancel: CancellationToken) {
    let shared = Arc::new(Shared { state, counts: Counts::default(), probe: Probe::default(), page: Page::default() });
    let mut counting = JoinSet::new();
    counting.spawn({
        let shared = Arc::clone(&shared);
        async move { shared.counts.run(&shared.state.store, &shared.state.metrics).await }
    });
    let router = router(shared);
    let mut connections = JoinSet::new();
    // Ends when cancelled.
    loop {
        let accepted = tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Where nobody is at home the answer is 421 to whatever name.
                let local = stream.local_addr().unwrap_or(NOWHERE);
                connections.spawn(answer(stream, router.clone().layer(Extension(At(local)))));
            }
            Err(error) => {
                tracing::debug!(target: "cdn_usaged::admin", %error, "cannot accept a connection");
                sleep(ACCEPT_AGAIN).await;
            }
        }
    }
    drop(listener);
    let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        // An open connection that nobody uses would be one of the few, and have a timer.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    if let Ok(Err(error)) = timeout(CONNECTION_TIMEOUT, connection).await {
        tracing::debug!(target: "cdn_usaged::admin", %error, "a connection ended early");
    }
}

/// The address at which a connection came in.
#[derive(Debug, Clone, Copy)]
struct At(SocketAddr);

const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn router(shared: Arc<Shared>) -> Router {
    // `get` answers HEAD as well, and anything else with 405.
    Router::new()
        .route("/", get(show_page))
        .route("/style.css", get(page::style))
        .route("/page.js", get(page::script))
        .route("/icon.svg", get(page::icon))
        .route("/metrics", get(show_metrics))
        .route("/livez", get(show_livez))
        .route("/healthz", get(show_healthz))
        .layer(from_fn_with_state(Arc::clone(&shared), guarded))
        .with_state(shared)
}

/// Turns away who asks for another host, and gives every answer its headers.
async fn guarded(
    State(shared): State<Arc<Shared>>,
    Extension(At(local)): Extension<At>,
    request: Request,
    next: Next,
) -> Response {
    let config = shared.state.sight.config();
    let hosts = config.http.as_ref().map_or(&[][..], |http| &http.hosts);
    let asked = guard::judge(request.version(), request.uri(), request.headers(), local, hosts);
    let mut response = match asked {
        Asked::Here => next.run(request).await,
        Asked::Unclear => (StatusCode::BAD_REQUEST, "a request names one Host\n").into_response(),
        Asked::Elsewhere => (
            StatusCode::MISDIRECTED_REQUEST,
            "this is served to the address that it listens on and to localhost; http.hosts in the configuration adds names\n",
        )
            .into_response(),
    };
    response.headers_mut().extend(guard::HEADERS);
    response
}

async fn show_page(State(shared): State<Arc<Shared>>) -> Response {
    shared.page.show(&shared.state).await
}

async fn show_metrics(State(shared): State<Arc<Shared>>) -> Response {
    shared.counts.refresh().await;
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shared.state.metrics.render()).into_response()
}

async fn show_livez(State(shared): State<Arc<Shared>>) -> Response {
    match shared.ill().await {
        None => (StatusCode::OK, "ok".to_owned()).into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

/// The answer of `/healthz`.
#[derive(Debug, Serialize)]
struct Report {
    healthy: bool,
    /// Why the daemon itself is not well, when it is not.
    error: Option<String>,
    listings: Vec<ListingHealth>,
}

async fn show_healthz(State(shared): State<Arc<Shared>>) -> Response {
    let error = shared.ill().await;
    let listings = shared.state.health.listings();
    let healthy = error.is_none() && listings.iter().all(|l| l.healthy);
    let status = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&Report { healthy, error, listings }) {
        // Whoever asks by hand has a terminal.
        Ok(body) => {
            let body = json_visible(&body).into_owned();
            (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

impl Shared {
    /// Why the daemon should be restarted.
    async fn ill(&self) -> Option<String> {
        match self.state.health.hanging() {
            Some(overdue) => Some(overdue.to_string()),
            None => self.probe.unwritable(&self.state.store).await,
        }
    }
}
