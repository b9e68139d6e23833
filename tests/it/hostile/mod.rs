//! What somebody else controls: names, certificates, what stands between.

mod front;
mod names;
mod proxies;
mod terminal;
mod tls;
