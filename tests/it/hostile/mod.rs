//! What somebody else controls: names, addresses, certificates, what stands between.

mod addresses;
mod front;
mod names;
mod proxies;
mod terminal;
mod tls;
