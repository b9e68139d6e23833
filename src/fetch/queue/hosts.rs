//! Hosts that cannot be reached. One that is down pauses all of its downloads, and costs an attempt to one of them: the
//! one that tries it next.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Hosts that are remembered as down. The files of an account come from one or two; a listing full of names that lead
/// nowhere must not fill the memory, so beyond this the one that comes up soonest is forgotten.
const HOSTS_MAX: usize = 100;

/// The hosts that are down, by host and port.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashMap<String, Down>>);

#[derive(Debug, Clone, Copy)]
struct Down {
    failures: u32,
    until: Instant,
    /// Somebody tries it right now.
    is_tried: bool,
}

/// What a failure to reach a host means for the download that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// It is the one that tried: an attempt.
    Attempt,
    /// Another has paid already.
    Nothing,
}

impl Hosts {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Down>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hosts that nothing may be claimed for now, and those that one download may try.
    pub(super) fn judge(&self, now: Instant) -> (Vec<String>, Vec<String>) {
        let hosts = self.lock();
        let (down, tried): (Vec<_>, Vec<_>) = hosts.iter().partition(|(_, d)| d.is_tried || d.until > now);
        let names = |hosts: Vec<(&String, &Down)>| hosts.into_iter().map(|(host, _)| host.clone()).collect();
        (names(down), names(tried))
    }

    /// How long until a host may be tried again.
    pub(super) fn next_up(&self, now: Instant) -> Option<Duration> {
        self.lock().values().filter(|d| !d.is_tried && d.until > now).map(|d| d.until - now).min()
    }

    /// An attempt begins: if the host was down, it is the one that tries.
    pub(super) fn begin(&self, host: &str) {
        if let Some(down) = self.lock().get_mut(host) {
            down.is_tried = true;
        }
    }

    /// An attempt ended in some other way: the host answers, or was not asked.
    pub(super) fn reached(&self, host: &str) {
        self.lock().remove(host);
    }

    /// An attempt was cut off before it could tell.
    pub(super) fn undecided(&self, host: &str) {
        if let Some(down) = self.lock().get_mut(host) {
            down.is_tried = false;
        }
    }

    /// No connection could be made. `pause` gives the pause after so many failures in a row.
    pub(super) fn unreachable(&self, host: &str, now: Instant, pause: impl Fn(u32) -> Duration) -> Cost {
        let mut hosts = self.lock();
        let before = hosts.get(host).copied();
        if before.is_some_and(|d| !d.is_tried && d.until > now) {
            return Cost::Nothing;
        }
        if hosts.len() >= HOSTS_MAX && before.is_none() {
            let soonest = hosts.iter().min_by_key(|(_, d)| d.until).map(|(host, _)| host.clone());
            soonest.map(|host| hosts.remove(&host));
        }
        let failures = before.map_or(1, |d| d.failures.saturating_add(1));
        hosts.insert(host.to_owned(), Down { failures, until: now + pause(failures), is_tried: false });
        Cost::Attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const HOST: &str = "files.example.com:443";

    fn down(hosts: &Hosts, now: Instant) -> Vec<String> {
        hosts.judge(now).0
    }

    fn pause(failures: u32) -> Duration {
        Duration::from_secs(10) * failures
    }

    #[test]
    fn a_host_that_is_down_pauses_its_downloads_and_costs_one_of_them_an_attempt() {
        let (hosts, now) = (Hosts::default(), clock::instant());
        hosts.begin(HOST);
        assert!(down(&hosts, now).is_empty());
        assert_eq!(hosts.unreachable(HOST, now, pause), Cost::Attempt);
        assert_eq!(hosts.unreachable(HOST, now, pause), Cost::Nothing, "the others that were under way");
        assert_eq!(down(&hosts, now), [HOST]);
        assert_eq!(hosts.next_up(now), Some(Duration::from_secs(10)));

        let later = now + Duration::from_secs(10);
        assert!(down(&hosts, later).is_empty());
        assert_eq!(hosts.judge(later).1, [HOST], "one may try");
        hosts.begin(HOST);
        assert_eq!(down(&hosts, later), [HOST], "one tries, the others wait for what it finds");
        assert_eq!(hosts.unreachable(HOST, later, pause), Cost::Attempt);
        assert_eq!(hosts.next_up(later), Some(Duration::from_secs(20)));
        let again = later + Duration::from_secs(20);
        hosts.begin(HOST);
        hosts.undecided(HOST);
        assert!(down(&hosts, again).is_empty(), "cut off: the next one tries");
        hosts.begin(HOST);
        hosts.reached(HOST);
        assert!(down(&hosts, now).is_empty());
    }

    #[test]
    fn a_listing_full_of_dead_names_does_not_fill_the_memory() {
        let (hosts, now) = (Hosts::default(), clock::instant());
        for n in 0..1_000 {
            hosts.unreachable(&format!("host-{n}:443"), now, pause);
        }
        assert_eq!(down(&hosts, now).len(), HOSTS_MAX);
    }
}
