//! The status page: what there is to see, written as HTML here, so that it is whole without any script.
//!
//! It shows and does nothing else. It is made anew when somebody looks, at most once a second and with a fiftieth of a core; whoever
//! comes in between gets the same.

mod calendar;
mod facts;
mod html;
#[cfg(test)]
mod tests;
mod view;

use std::time::Duration;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use tokio::{sync::Mutex, time::Instant};

pub use self::facts::Sight;
use super::AdminState;
use crate::clock;

/// A page is kept for at least this long.
const KEPT_MIN: Duration = Duration::from_secs(1);
/// It is kept for so many times as long as it took.
const KEPT_FOR_COST: u32 = 50;
/// But not for longer than this: longer is not what "now" means to somebody who looks.
const KEPT_MAX: Duration = Duration::from_secs(10);

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");
const ICON: &str = include_str!("icon.svg");

/// The last page.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Held while it is made: others wait for it.
    last: Mutex<Option<(Instant, Bytes)>>,
    #[cfg(test)]
    pub(super) made: std::sync::atomic::AtomicU64,
}

impl Page {
    /// The page as it is now, or was a moment ago.
    pub(super) async fn show(&self, state: &AdminState) -> Response {
        let mut last = self.last.lock().await;
        let began = clock::instant();
        if let Some((until, body)) = last.as_ref()
            && began < *until
        {
            return answer(StatusCode::OK, body.clone());
        }
        #[cfg(test)]
        self.made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        match facts::gather(state, clock::now()).await {
            Ok(facts) => {
                let body = Bytes::from(view::page(&facts));
                let now = clock::instant();
                let cost = now.saturating_duration_since(began).saturating_mul(KEPT_FOR_COST);
                *last = now.checked_add(cost.clamp(KEPT_MIN, KEPT_MAX)).map(|until| (until, body.clone()));
                answer(StatusCode::OK, body)
            }
            Err(error) => {
                state.metrics.store_error();
                tracing::debug!(target: "cdn_usaged::admin", %error, "cannot read for the status page");
                answer(StatusCode::SERVICE_UNAVAILABLE, Bytes::from(view::unreadable(&error.to_string())))
            }
        }
    }
}

/// The page as it would be at another time than now.
#[cfg(test)]
pub(crate) async fn at(state: &AdminState, now: jiff::Timestamp) -> String {
    view::page(&facts::gather(state, now).await.unwrap())
}

fn answer(status: StatusCode, body: Bytes) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], body).into_response()
}

pub(super) async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

pub(super) async fn script() -> Response {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT).into_response()
}

pub(super) async fn icon() -> Response {
    ([(header::CONTENT_TYPE, "image/svg+xml")], ICON).into_response()
}
