//! The real binary against the simulated cloud. One test binary: linking costs more than running.

#[cfg(test)]
mod common;
#[cfg(test)]
mod costs;
#[cfg(test)]
mod crashes;
#[cfg(test)]
mod credentials;
#[cfg(test)]
mod daemon_http;
#[cfg(test)]
mod daemon_life;
#[cfg(test)]
mod daemon_links;
#[cfg(test)]
mod daemon_notify;
#[cfg(test)]
mod daemon_outages;
#[cfg(test)]
mod daemon_reloads;
#[cfg(test)]
mod daemon_stops;
#[cfg(test)]
mod downloads;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fleet;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod links;
#[cfg(test)]
mod looking;
#[cfg(test)]
mod monitoring;
#[cfg(test)]
mod outside;
#[cfg(test)]
mod page;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod stops;
#[cfg(test)]
mod sweeps;
#[cfg(test)]
mod whole;
#[cfg(test)]
mod windows;
