//! A simulated cloud, a folder with a configuration, and the real binary run against them.

mod daemon;
mod process;
mod state;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use cloudsim::{AccountSpec, CloudSim, Export, Generated, Object, OssFault, OssMatch, TaskSpec};
pub use daemon::get;
pub use process::{Run, Running, command, finish};
pub use state::TABLES;
use tempfile::TempDir;

/// Nothing in these tests takes this long: who waits longer waits for something that will not come.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The account that every world has.
pub const MAIN: &str = "LTAImain";
pub const DETAIL: Export = Export::UsageDetail;
pub const USAGE: Export = Export::Usage;

/// The range of [`TaskSpec::default`], as file names have it.
pub const RANGE: &str = "20180731T160000Z_20180831T155959Z";

/// Waits until a condition holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("it never came about that {what}"));
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An account as the configuration has it.
#[derive(Debug)]
struct Account {
    name: String,
    exports: Vec<Export>,
    has_token: bool,
    /// Where this one is asked, if not where all are.
    endpoint: Option<String>,
    /// The lines of each `[[account.expect]]`.
    expect: Vec<String>,
    /// What stands in `[account.credentials]` instead of the files.
    credentials: Option<String>,
}

/// Everything that a test needs; gone when it is dropped.
#[derive(Debug)]
pub struct World {
    pub cloud: CloudSim,
    dir: TempDir,
    accounts: Vec<Account>,
    settings: BTreeMap<(String, String), String>,
    endpoint: String,
}

impl World {
    /// One account, `main`, with the export usage-detail; delays so short that nobody waits for them.
    pub async fn start() -> Self {
        Self::start_in(&std::env::temp_dir()).await
    }

    /// As [`World::start`], below a folder.
    pub async fn start_in(folder: &Path) -> Self {
        let cloud = CloudSim::start().await.unwrap();
        let endpoint = cloud.endpoint();
        let mut world = Self {
            cloud,
            dir: tempfile::tempdir_in(folder).unwrap(),
            accounts: Vec::new(),
            settings: BTreeMap::new(),
            endpoint,
        };
        fs::set_permissions(world.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (key, value) in [
            ("storage.state_dir", format!("{:?}", world.state_dir())),
            ("storage.min_free", "\"1KiB\"".to_owned()),
            ("poll.interval", "\"20ms\"".to_owned()),
            ("poll.idle_interval", "\"20ms\"".to_owned()),
            ("rate_limit.calls_per_second", "10000".to_owned()),
            ("rate_limit.burst", "1000".to_owned()),
            ("retry.base", "\"10ms\"".to_owned()),
            ("retry.max", "\"50ms\"".to_owned()),
            ("retry.call_attempts", "4".to_owned()),
            ("download.max_attempts", "3".to_owned()),
            ("download.allowed_networks", "[\"127.0.0.0/8\"]".to_owned()),
            ("download.allow_http", "true".to_owned()),
            ("log.format", "\"json\"".to_owned()),
        ] {
            world.set(key, &value);
        }
        world.add_account("main", AccountSpec::new(MAIN, "secret-of-main"), &[DETAIL]);
        world
    }

    /// Adds an account to the cloud and to the configuration.
    pub fn add_account(&mut self, name: &str, keys: AccountSpec, exports: &[Export]) {
        self.write_keys(name, &keys);
        self.accounts.push(Account {
            name: name.to_owned(),
            exports: exports.to_vec(),
            has_token: keys.security_token.is_some(),
            endpoint: None,
            expect: Vec::new(),
            credentials: None,
        });
        self.cloud.add_account(keys);
    }

    /// Puts other keys into an account's files; the cloud does not learn of them.
    pub fn write_keys(&self, name: &str, keys: &AccountSpec) {
        let parts = [
            ("id", Some(&keys.access_key_id)),
            ("secret", Some(&keys.access_key_secret)),
            ("token", keys.security_token.as_ref()),
        ];
        for (part, text) in parts {
            let Some(text) = text else { continue };
            let path = self.key_file(name, part);
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).unwrap();
            writeln!(file, "{text}").unwrap();
        }
    }

    /// Where a part of an account's keys is: `id`, `secret` or `token`.
    pub fn key_file(&self, name: &str, part: &str) -> PathBuf {
        self.path().join(format!("{name}.{part}"))
    }

    /// Takes an account out of the configuration.
    pub fn forget_account(&mut self, name: &str) {
        self.accounts.retain(|a| a.name != name);
    }

    /// Which exports of an account are collected.
    pub fn set_exports(&mut self, name: &str, exports: &[Export]) {
        self.accounts.iter_mut().filter(|a| a.name == name).for_each(|a| a.exports = exports.to_vec());
    }

    /// Adds an `[[account.expect]]` to an account, in TOML.
    pub fn expect(&mut self, name: &str, lines: &str) {
        self.accounts.iter_mut().filter(|a| a.name == name).for_each(|a| a.expect.push(lines.to_owned()));
    }

    /// Sets a key, `section.key`, to a TOML value.
    pub fn set(&mut self, key: &str, value: &str) {
        let (section, key) = key.split_once('.').unwrap();
        self.settings.insert((section.to_owned(), key.to_owned()), value.to_owned());
    }

    /// Leaves a key, `section.key`, to its default.
    pub fn unset(&mut self, key: &str) {
        let (section, key) = key.split_once('.').unwrap();
        self.settings.remove(&(section.to_owned(), key.to_owned()));
    }

    pub fn set_endpoint(&mut self, endpoint: &str) {
        endpoint.clone_into(&mut self.endpoint);
    }

    /// The same for one account.
    pub fn set_endpoint_of(&mut self, name: &str, endpoint: &str) {
        self.accounts.iter_mut().filter(|a| a.name == name).for_each(|a| a.endpoint = Some(endpoint.to_owned()));
    }

    /// Has the keys of an account come from elsewhere: the lines of its `[account.credentials]`.
    pub fn set_credentials(&mut self, name: &str, lines: &str) {
        self.accounts.iter_mut().filter(|a| a.name == name).for_each(|a| a.credentials = Some(lines.to_owned()));
    }

    /// The folder of the test.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn state_dir(&self) -> PathBuf {
        self.path().join("state")
    }

    pub fn downloads(&self) -> PathBuf {
        self.state_dir().join("exports")
    }

    pub fn database(&self) -> PathBuf {
        self.state_dir().join("usage.db")
    }

    /// A published file, by its path relative to the download folder.
    pub fn file(&self, path: &str) -> PathBuf {
        self.downloads().join(path)
    }

    /// Writes the configuration and says where it is.
    pub fn write_config(&self) -> PathBuf {
        let mut text = String::new();
        let mut section = "";
        for ((in_section, key), value) in &self.settings {
            if in_section != section {
                section = in_section;
                let _ = writeln!(text, "[{section}]");
            }
            let _ = writeln!(text, "{key} = {value}");
        }
        for account in &self.accounts {
            let file = |part| self.key_file(&account.name, part);
            let exports: Vec<_> = account.exports.iter().map(|e| export_word(*e)).collect();
            let _ = writeln!(
                text,
                "[[account]]\nname = {:?}\nendpoint = {:?}\nexports = {exports:?}\n[account.credentials]",
                account.name,
                account.endpoint.as_ref().unwrap_or(&self.endpoint)
            );
            if let Some(lines) = &account.credentials {
                let _ = writeln!(text, "{lines}");
                continue;
            }
            let _ = writeln!(
                text,
                "source = \"files\"\naccess_key_id_file = {:?}\naccess_key_secret_file = {:?}",
                file("id"),
                file("secret")
            );
            if account.has_token {
                let _ = writeln!(text, "security_token_file = {:?}", file("token"));
            }
            for lines in &account.expect {
                let _ = writeln!(text, "[[account.expect]]\n{lines}");
            }
        }
        let path = self.path().join("config.toml");
        fs::write(&path, text).unwrap();
        path
    }

    /// A small success of `main`, with an id and this file.
    pub fn add(&self, id: &str, object: Object) {
        self.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(id).with_object(object));
    }

    /// A task whose file's connection stands still in the middle, once, so that a transfer can be met under way.
    pub fn add_stalling(&self, id: &str) -> Object {
        let object = Object::generated(7, 1 << 20, Generated::Csv);
        self.add(id, object.clone());
        self.cloud.script_oss(OssMatch::Task(id.to_owned()), OssFault::StallAt(700_000), 1);
        object
    }

    /// Waits until an unfinished file has bytes, and says which file it is.
    pub async fn partial_with_bytes(&self) -> PathBuf {
        let mut found = None;
        until("an unfinished file has bytes", async || {
            found = self.partials().into_iter().find(|p| fs::metadata(p).is_ok_and(|m| m.len() > 0));
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// The unfinished files.
    pub fn partials(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.downloads().join(".incoming")) else { return Vec::new() };
        entries.map(|e| e.unwrap().path()).collect()
    }

    /// Every published file, relative to the download folder, sorted.
    pub fn published(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.downloads()];
        while let Some(folder) = folders.pop() {
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry.unwrap().path();
                let relative = path.strip_prefix(self.downloads()).unwrap().to_str().unwrap().to_owned();
                if relative.starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(relative);
                }
            }
        }
        found.sort();
        found
    }
}

/// An export as configuration and tables spell it.
pub fn export_word(export: Export) -> &'static str {
    match export {
        Export::UsageDetail => "usage-detail",
        Export::Usage => "usage",
    }
}

/// Where the file of a default task of `main` is published.
pub fn csv_path(id: &str) -> String {
    format!("main/usage-detail/{RANGE}_{id}.csv")
}
