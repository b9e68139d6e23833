//! The configuration: valid by construction. A [`Config`] that exists has been checked whole.
//!
//! [`Config::load`] walks the parsed TOML of the file and of those in `conf.d` beside it, key by key, so that everything that
//! is wrong is found in one run and named with file, line, key and what is allowed. What comes out is what the rest of the program uses: absolute paths,
//! durations, bounded numbers.

mod account;
mod effective;
mod environment;
mod error;
mod expect;
mod load;
mod network;
mod parts;
mod reader;
mod schema;
mod sections;
mod show;
mod units;

#[cfg(test)]
mod tests;

use std::{num::NonZeroU32, path::PathBuf, time::Duration};

use ipnet::IpNet;
use url::Url;

pub use self::{
    effective::{Entry, Origin},
    environment::Environment,
    error::{ConfigError, Place, Problem},
    load::Loaded,
    schema::schema,
    units::{parse_duration, parse_size, show_duration, show_size},
};
use crate::model::{
    task::{AccountName, Export},
    window::Expectation,
};

/// Where STS answers when nothing else is configured.
pub const STS_ENDPOINT: &str = "https://sts.aliyuncs.com";

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where things are kept.
    pub storage: Storage,
    /// When listings are read.
    pub poll: Poll,
    /// How fast an account may be called.
    pub rate_limit: RateLimit,
    /// How calls and downloads are tried again.
    pub retry: Retry,
    /// How files are fetched.
    pub download: Download,
    /// What is logged, and how.
    pub log: Log,
    /// Where the status page, metrics and health are served; absent: nowhere.
    pub http: Option<Http>,
    /// How the gateway is reached.
    pub gateway: Gateway,
    /// Whose certificates are trusted.
    pub tls: Tls,
    /// At least one, each name once.
    pub accounts: Vec<Account>,
}

/// `[storage]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Storage {
    /// Holds `usage.db` and the lock.
    pub state_dir: PathBuf,
    /// Holds the published files.
    pub download_dir: PathBuf,
    /// Bytes that downloads leave free on both file systems.
    pub min_free_bytes: u64,
}

/// `[poll]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Pause between polls while a task of the listing is unfinished.
    pub interval: Duration,
    /// Pause otherwise.
    pub idle_interval: Duration,
    /// At least this often every page is read.
    pub full_sweep_interval: Duration,
    /// Rows asked for in a page, 1 to 50.
    pub page_size: u32,
    /// Pages of one listing in flight.
    pub concurrency: usize,
    /// One call, from sending to its last byte.
    pub request_timeout: Duration,
}

/// `[rate_limit]`, for one account over all of its calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Sustained rate.
    pub calls_per_second: NonZeroU32,
    /// Calls that may go at once after a pause.
    pub burst: NonZeroU32,
}

/// `[retry]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Shortest delay.
    pub base: Duration,
    /// Longest delay.
    pub max: Duration,
    /// Attempts for one call.
    pub call_attempts: u32,
}

/// `[download]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Transfers at a time, over all accounts.
    pub concurrency: usize,
    /// Failed attempts in a row before a download is abandoned.
    pub max_attempts: u32,
    /// No byte for this long fails an attempt.
    pub idle_timeout: Duration,
    /// Bytes a second, over 60 s; slower fails an attempt.
    pub min_rate_bytes: u64,
    /// The largest file that is fetched.
    pub max_size_bytes: u64,
    /// Empty: any public host.
    pub allowed_hosts: Vec<HostRule>,
    /// Networks outside public address space that may be reached.
    pub allowed_networks: Vec<IpNet>,
    /// Whether plain http links are followed.
    pub allow_http: bool,
    /// The proxy for files.
    pub proxy: Proxy,
    /// Whether links to the object store are taken from its internal endpoints.
    pub internal_endpoint: bool,
}

/// `[gateway]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// The proxy for signed calls.
    pub proxy: Proxy,
}

/// `[tls]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
}

/// `proxy` and `proxy_credentials_file`, in two sections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxy {
    /// Absent: as the environment says.
    pub choice: Option<ProxyChoice>,
    /// Holds `USER:PASSWORD`. A relative path is looked up in `$CREDENTIALS_DIRECTORY`.
    pub credentials_file: Option<PathBuf>,
}

/// A proxy that the configuration names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// None, whatever the environment says.
    Direct,
    /// This one, http or https, without user name and password.
    Url(Url),
}

/// One entry of `download.allowed_hosts`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostRule {
    /// This host alone.
    Exact(String),
    /// Every name below it: `*.example.com` is kept as `.example.com`.
    Suffix(String),
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// A level, or a filter for this program's targets, as spelled in the file or in `CDN_USAGED_LOG`.
    pub level: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// `log.format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// journald under systemd, text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
    /// The journal's own protocol.
    Journald,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Address and port. One that others can reach only together with `public`.
    pub listen: std::net::SocketAddr,
    /// Hosts by whose names it may be asked, beside the address itself and `localhost`: as a parsed URL shows them.
    pub hosts: Vec<String>,
    /// Whether others than this machine may reach it.
    pub public: bool,
}

/// One `[[account]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The identity of its rows.
    pub name: AccountName,
    /// Scheme, host and port of the gateway; plain http only to a loopback address.
    pub endpoint: Url,
    /// Where STS is called; absent: the one of the source's region, else the central one.
    pub sts_endpoint: Option<Url>,
    /// Its listings, each once, at least one.
    pub exports: Vec<Export>,
    /// Where its keys come from.
    pub credentials: CredentialSource,
    /// The windows that there shall be; no two have the same export, kind and name.
    pub expect: Vec<Expectation>,
}

/// `[account.credentials]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CredentialSource {
    /// The official order: environment, identity provider, profiles, metadata service, credentials URI.
    Default,
    /// `ALIBABA_CLOUD_ACCESS_KEY_ID` and its companions.
    Env,
    /// Three files, read again at every use.
    Files(KeyFiles),
    /// `~/.aliyun/config.json`, then the ini file.
    Profile {
        /// The profile's name; absent: the one that the environment or the file names.
        profile: Option<String>,
    },
    /// The RAM role of the ECS instance that this is.
    EcsRamRole {
        /// The role's name; absent: the one that the environment or the metadata service names.
        role_name: Option<String>,
        /// Whether IMDSv1 is never used; absent: as the environment says.
        disable_imds_v1: Option<bool>,
    },
    /// A role for the token of an identity provider.
    OidcRole {
        /// The role.
        role: Role,
        /// The identity provider as RAM knows it; absent: the one of the environment.
        oidc_provider_arn: Option<String>,
        /// Holds the provider's token; absent: the one of the environment.
        oidc_token_file: Option<PathBuf>,
    },
    /// A role that is assumed with other keys.
    RamRole {
        /// The role.
        role: Role,
        /// Where those keys come from: never a role of the configuration itself.
        base: Box<CredentialSource>,
    },
    /// An address that answers with keys.
    Uri {
        /// Without user name and query; absent: that of the environment.
        uri: Option<Url>,
    },
}

/// The files of `source = "files"`. Relative paths are looked up in `$CREDENTIALS_DIRECTORY`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFiles {
    /// Holds the id.
    pub access_key_id_file: PathBuf,
    /// Holds the secret.
    pub access_key_secret_file: PathBuf,
    /// Holds the STS token, for temporary keys.
    pub security_token_file: Option<PathBuf>,
    /// Accepts files that others may read.
    pub allow_open_files: bool,
}

/// A role to assume. What is absent is taken from the environment, or left to the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Role {
    /// `acs:ram::ACCOUNT:role/NAME`
    pub role_arn: Option<String>,
    /// Who it is, in the account's audit log.
    pub role_session_name: Option<String>,
    /// How long its keys last.
    pub session_duration: Option<Duration>,
    /// Narrows what the role may do.
    pub policy: Option<String>,
    /// What the trust policy of another account's role may ask for.
    pub external_id: Option<String>,
}
