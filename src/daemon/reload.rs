//! A reload: the new configuration is taken whole, or not at all.

use std::{collections::BTreeSet, sync::Arc};

use super::{Daemon, Mode, Running, World};
use crate::{
    assembly::{self, Account},
    cdn::Permits,
    config::{self, Config},
    credentials::refuse_open,
    egress::{Network, Surroundings, Via},
    events::{self, Reloaded},
    model::task::AccountName,
};

impl Daemon {
    /// Takes the configuration anew; keeps the old one when the new one is wrong, and says which.
    pub(super) async fn reload(&mut self) {
        self.notifier.reloading();
        match self.try_reload().await {
            Ok(changes) => events::config_reloaded(&changes),
            Err(error) => {
                self.watch.config_rejected();
                events::config_rejected(&error);
            }
        }
        self.notifier.ready();
    }

    async fn try_reload(&mut self) -> Result<Reloaded, String> {
        let new = Config::load(&self.origin.path, &self.origin.environment).map_err(|e| e.to_string())?;
        refuse_open(&new.accounts, &self.origin.environment)?;
        refuse_fixed(&self.config, &new)?;
        let network = assembly::network(&new, &self.origin.environment)?;
        let (changes, restarted) = compare((&self.config, &self.network), (&new, &network));
        let surroundings = Surroundings::System(Box::new(network.clone()));
        // Everything that can fail is done before anything is changed.
        let settings = assembly::settings(&new, &surroundings, Mode::Daemon).map_err(|e| e.to_string())?;
        let world = World {
            config: &new,
            environment: &self.origin.environment,
            surroundings,
            store: &self.store,
            observer: &self.observer,
        };
        let mut started = Vec::new();
        for account in new.accounts.iter().filter(|a| restarted.contains(&a.name)) {
            // The rate of an account goes on over a reload, unless it is what changed.
            let kept = self.accounts.get(&account.name).filter(|_| new.rate_limit == self.config.rate_limit);
            let permits = kept.map_or_else(|| Permits::new(&new.rate_limit).into(), |running| running.permits.clone());
            started.push(Account::new(&world, account, permits, &self.due).await.map_err(|e| e.to_string())?);
        }
        self.log.set_level(&new.log.level).map_err(|e| e.to_string())?;
        let gone = |name: &AccountName| restarted.contains(name) || !new.accounts.iter().any(|a| a.name == *name);
        let ended: Vec<AccountName> = self.accounts.keys().filter(|name| gone(name)).cloned().collect();
        for name in ended {
            if let Some(Running { stop, .. }) = self.accounts.remove(&name) {
                stop.cancel();
            }
        }
        self.queue.set_settings(settings);
        self.watch.set_config(&new);
        self.in_force.send_replace(Arc::new(new.clone()));
        self.config = new;
        self.network = network;
        for account in started {
            self.start(account);
        }
        Ok(changes)
    }
}

/// What only a restart can change.
fn refuse_fixed(old: &Config, new: &Config) -> Result<(), String> {
    let listen = |config: &Config| config.http.as_ref().map(|http| http.listen);
    let fixed = [
        ("storage.state_dir", old.storage.state_dir != new.storage.state_dir),
        ("storage.download_dir", old.storage.download_dir != new.storage.download_dir),
        ("storage.min_free", old.storage.min_free_bytes != new.storage.min_free_bytes),
        ("http.listen", listen(old) != listen(new)),
        ("http.hosts or http.public", old.http != new.http),
        ("log.format", old.log.format != new.log.format),
    ];
    match fixed.into_iter().find(|(_, differs)| *differs) {
        Some((key, _)) => Err(format!("{key} changed, which only a restart can take")),
        None => Ok(()),
    }
}

/// What differs, and whose loops have to be started anew for it.
fn compare(
    (old, old_network): (&Config, &Network),
    (new, new_network): (&Config, &Network),
) -> (Reloaded, BTreeSet<AccountName>) {
    let find = |config: &Config, name: &AccountName| config.accounts.iter().find(|a| a.name == *name).cloned();
    let mut changes = Reloaded::default();
    changes.changed.extend(keys(old, new).into_iter().map(str::to_owned));
    for key in contents(old_network, new_network) {
        if !changes.changed.iter().any(|changed| changed == key) {
            changes.changed.push(key.to_owned());
        }
    }
    // These are in the hands of the loops and clients that run.
    let all = old.poll != new.poll
        || old.rate_limit != new.rate_limit
        || old.retry != new.retry
        || old_network.gateway != new_network.gateway
        || old_network.authorities != new_network.authorities
        || old.download.max_attempts != new.download.max_attempts;
    let mut restarted = BTreeSet::new();
    for account in &new.accounts {
        match find(old, &account.name) {
            None => changes.added.push(account.name.to_string()),
            Some(before) if before != *account => {
                changes.changed.push(account.name.to_string());
                // What is expected of it is nothing that its loops know.
                let before = config::Account { expect: account.expect.clone(), ..before };
                if before == *account && !all {
                    continue;
                }
            }
            Some(_) if all => {}
            Some(_) => continue,
        }
        restarted.insert(account.name.clone());
    }
    changes.removed =
        old.accounts.iter().filter(|a| find(new, &a.name).is_none()).map(|a| a.name.to_string()).collect();
    (changes, restarted)
}

/// The keys whose files hold something else, although they may have kept their names.
fn contents(old: &Network, new: &Network) -> Vec<&'static str> {
    let login = |a: &Via, b: &Via| match (a, b) {
        (Via::Proxy { login: a, .. }, Via::Proxy { login: b, .. }) => a.is_some() && b.is_some() && a != b,
        _ => false,
    };
    let all = [
        ("gateway.proxy_credentials_file", login(&old.gateway, &new.gateway)),
        ("download.proxy_credentials_file", login(&old.download, &new.download)),
        ("tls.ca_file", old.authorities != new.authorities),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

/// The keys that differ and that a reload takes.
fn keys(old: &Config, new: &Config) -> Vec<&'static str> {
    let (p, q): (&config::Poll, &config::Poll) = (&old.poll, &new.poll);
    let (d, e): (&config::Download, &config::Download) = (&old.download, &new.download);
    let all = [
        ("poll.interval", p.interval != q.interval),
        ("poll.idle_interval", p.idle_interval != q.idle_interval),
        ("poll.full_sweep_interval", p.full_sweep_interval != q.full_sweep_interval),
        ("poll.page_size", p.page_size != q.page_size),
        ("poll.concurrency", p.concurrency != q.concurrency),
        ("poll.request_timeout", p.request_timeout != q.request_timeout),
        ("rate_limit.calls_per_second", old.rate_limit.calls_per_second != new.rate_limit.calls_per_second),
        ("rate_limit.burst", old.rate_limit.burst != new.rate_limit.burst),
        ("retry.base", old.retry.base != new.retry.base),
        ("retry.max", old.retry.max != new.retry.max),
        ("retry.call_attempts", old.retry.call_attempts != new.retry.call_attempts),
        ("download.concurrency", d.concurrency != e.concurrency),
        ("download.max_attempts", d.max_attempts != e.max_attempts),
        ("download.idle_timeout", d.idle_timeout != e.idle_timeout),
        ("download.min_rate", d.min_rate_bytes != e.min_rate_bytes),
        ("download.max_size", d.max_size_bytes != e.max_size_bytes),
        ("download.allowed_hosts", d.allowed_hosts != e.allowed_hosts),
        ("download.allowed_networks", d.allowed_networks != e.allowed_networks),
        ("download.allow_http", d.allow_http != e.allow_http),
        ("download.proxy", d.proxy.choice != e.proxy.choice),
        ("download.proxy_credentials_file", d.proxy.credentials_file != e.proxy.credentials_file),
        ("download.internal_endpoint", d.internal_endpoint != e.internal_endpoint),
        ("gateway.proxy", old.gateway.proxy.choice != new.gateway.proxy.choice),
        ("gateway.proxy_credentials_file", old.gateway.proxy.credentials_file != new.gateway.proxy.credentials_file),
        ("tls.ca_file", old.tls != new.tls),
        ("log.level", old.log.level != new.log.level),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("test.toml"), &Environment::empty()).unwrap()
    }

    const TWO: &str = "[[account]]\nname = 'a'\n[[account]]\nname = 'b'\n";

    #[test]
    fn only_what_differs_is_started_anew() {
        let old = config(TWO);
        let none = Network::default();
        let compare = |old: &Config, new: &Config| super::compare((old, &none), (new, &none));
        let (changes, restarted) = compare(&old, &old);
        assert_eq!((changes, restarted.len()), (Reloaded::default(), 0));
        let new = config("[[account]]\nname = 'a'\n[[account]]\nname = 'c'\n");
        let (changes, restarted) = compare(&old, &new);
        assert_eq!((changes.added, changes.removed), (vec!["c".to_owned()], vec!["b".to_owned()]));
        assert_eq!(restarted.iter().map(AccountName::as_str).collect::<Vec<_>>(), ["c"]);
        let new = config("[[account]]\nname = 'a'\nexports = ['usage']\n[[account]]\nname = 'b'\n");
        let (changes, restarted) = compare(&old, &new);
        assert_eq!((changes.changed, restarted.len()), (vec!["a".to_owned()], 1));
        let new = config("[[account]]\nname = 'a'\n[[account.expect]]\nfrom = '2026-01'\n[[account]]\nname = 'b'\n");
        let (changes, restarted) = compare(&old, &new);
        assert_eq!((changes.changed, restarted.len()), (vec!["a".to_owned()], 0), "an expectation is nobody's loop");
    }

    #[test]
    fn every_key_that_a_reload_takes_is_named_when_it_differs() {
        let old = config(TWO);
        let sections = [
            (
                "poll",
                "interval = '2m'\nidle_interval = '11m'\nfull_sweep_interval = '7h'\npage_size = 49\nconcurrency = 3\nrequest_timeout = '14s'",
            ),
            ("rate_limit", "calls_per_second = 19\nburst = 4"),
            ("retry", "base = '501ms'\nmax = '6m'\ncall_attempts = 7"),
            (
                "download",
                "concurrency = 3\nmax_attempts = 19\nidle_timeout = '29s'\nmin_rate = '2KiB'\nmax_size = '3GiB'\nallowed_hosts = ['a.example']\nallowed_networks = ['10.0.0.0/8']\nallow_http = true\nproxy = 'none'\ninternal_endpoint = true",
            ),
            ("gateway", "proxy = 'http://proxy:3128'"),
            ("tls", "ca_file = '/etc/ca.pem'"),
            ("log", "level = 'debug'"),
        ];
        for (section, lines) in sections {
            for line in lines.lines() {
                let new = config(&format!("[{section}]\n{line}\n{TWO}"));
                let key = format!("{section}.{}", line.split(' ').next().unwrap());
                let none = Network::default();
                assert_eq!(compare((&old, &none), (&new, &none)).0.changed, [key]);
                refuse_fixed(&old, &new).unwrap();
            }
        }
    }

    #[test]
    fn what_the_files_of_a_proxy_or_an_authority_hold_is_compared_too() {
        let of = |password: &str| {
            let login = crate::egress::Login { user: "u".to_owned(), password: password.to_owned().into() };
            let via = Via::Proxy { url: url::Url::parse("http://proxy").unwrap(), login: Some(login) };
            Network { gateway: via.clone(), download: via, ..Network::default() }
        };
        let old = config(TWO);
        let (changes, restarted) = compare((&old, &of("a")), (&old, &of("b")));
        assert_eq!(changes.changed, ["gateway.proxy_credentials_file", "download.proxy_credentials_file"]);
        assert_eq!(restarted.len(), 2);
        // Downloads get a new client at every reload; nobody is started anew for them.
        let files = Network { download: Via::Direct, ..of("a") };
        assert_eq!(compare((&old, &of("a")), (&old, &files)).1.len(), 0);
    }

    #[test]
    fn what_only_a_restart_can_take_is_refused_by_name() {
        let old = config(TWO);
        for (key, text) in [
            (
                "storage.state_dir",
                "[storage]\nstate_dir = '/elsewhere'\ndownload_dir = '/var/lib/cdn-usaged/exports'\n",
            ),
            ("storage.download_dir", "[storage]\ndownload_dir = '/elsewhere'\n"),
            ("storage.min_free", "[storage]\nmin_free = '2GiB'\n"),
            ("http.listen", "[http]\n"),
            ("log.format", "[log]\nformat = 'text'\n"),
        ] {
            let error = refuse_fixed(&old, &config(&format!("{text}{TWO}"))).unwrap_err();
            assert!(error.contains(key), "{error}");
        }
        let named = config(&format!("[http]\nhosts = ['status.example.com']\n{TWO}"));
        let error = refuse_fixed(&config(&format!("[http]\n{TWO}")), &named).unwrap_err();
        assert!(error.contains("http.hosts") && !error.contains("http.listen"), "{error}");
    }
}
