//! One function per section. Defaults and limits are repeated for people in `config/default.toml`, and a test holds
//! the two together.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use url::Host;

use super::{
    Download, Environment, HostRule, Http, Log, LogFormat, Poll, RateLimit, Retry, Storage, network,
    reader::{Section, did_you_mean},
};

const KIB: u64 = 1 << 10;
const GIB: u64 = 1 << 30;
/// The largest size that can be written: far above any disk, far below what an `i64` column holds.
const SIZE_MAX: u64 = 1 << 50;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3600)
}

pub(super) fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if path.is_absolute() && !text.contains('\0') {
        Ok(path.to_owned())
    } else {
        Err(format!(
            "is {text:?}, but must be an absolute path: what a relative one means depends on who starts the program"
        ))
    }
}

pub(super) fn storage(mut s: Section<'_>, env: &Environment) -> Storage {
    // systemd lists several folders with colons when a unit has several; the first is ours.
    let listed = env.text("STATE_DIRECTORY");
    let from_env = listed.as_deref().and_then(|v| v.split(':').next()).map(absolute);
    let state_dir = match from_env {
        Some(Err(what)) if !s.has("state_dir") => {
            s.wrong_variable("STATE_DIRECTORY", what);
            None
        }
        from_env => from_env.and_then(Result::ok),
    };
    let is_given = s.has("state_dir");
    let mut dir = s.text("state_dir", PathBuf::from("/var/lib/cdn-usaged"), absolute);
    if let Some(from_env) = state_dir.filter(|_| !is_given) {
        s.overridden("state_dir", &from_env, "STATE_DIRECTORY");
        dir = from_env;
    }
    let state_dir = dir;
    let download_dir = s.text("download_dir", state_dir.join("exports"), absolute);
    let min_free_bytes = s.size("min_free", GIB, 0..=SIZE_MAX);
    s.finish();
    Storage { state_dir, download_dir, min_free_bytes }
}

pub(super) fn poll(mut s: Section<'_>) -> Poll {
    let poll = Poll {
        interval: s.duration("interval", ms(60_000), ms(10)..=hours(24)),
        idle_interval: s.duration("idle_interval", ms(600_000), ms(10)..=hours(24)),
        full_sweep_interval: s.duration("full_sweep_interval", hours(6), ms(10)..=hours(24 * 30)),
        page_size: s.integer("page_size", 50, 1..=50),
        concurrency: usize::from(s.integer::<u16>("concurrency", 4, 1..=32)),
        request_timeout: s.duration("request_timeout", ms(15_000), ms(1)..=ms(600_000)),
    };
    s.finish();
    poll
}

pub(super) fn rate_limit(mut s: Section<'_>) -> RateLimit {
    let positive = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    let limit = RateLimit {
        calls_per_second: positive(s.integer("calls_per_second", 20, 1..=100_000)),
        burst: positive(s.integer("burst", 5, 1..=1000)),
    };
    s.finish();
    limit
}

pub(super) fn retry(mut s: Section<'_>) -> Retry {
    let retry = Retry {
        base: s.duration("base", ms(500), ms(1)..=hours(24)),
        max: s.duration("max", ms(300_000), ms(1)..=hours(24)),
        call_attempts: s.integer("call_attempts", 8, 1..=100),
    };
    if retry.max < retry.base {
        s.wrong("max", "is shorter than retry.base; allowed: \"1ms\" to \"24h\", not below retry.base");
    }
    s.finish();
    retry
}

pub(super) fn download(mut s: Section<'_>) -> Download {
    let download = Download {
        concurrency: usize::from(s.integer::<u16>("concurrency", 4, 1..=64)),
        max_attempts: s.integer("max_attempts", 20, 1..=1000),
        idle_timeout: s.duration("idle_timeout", ms(30_000), ms(10)..=hours(24)),
        min_rate_bytes: s.size("min_rate", KIB, 0..=SIZE_MAX),
        max_size_bytes: s.size("max_size", 4 * GIB, 1..=SIZE_MAX),
        allowed_hosts: s.texts("allowed_hosts", Vec::new(), HostRule::parse),
        allowed_networks: s.texts("allowed_networks", Vec::new(), network),
        allow_http: s.boolean("allow_http", false),
        proxy: network::proxy(&mut s),
        internal_endpoint: s.boolean("internal_endpoint", false),
    };
    s.finish();
    download
}

impl HostRule {
    /// Reads an exact name, an address, or `*.` and the names below it; what is kept is in the form in which a parsed
    /// URL shows its host (lower case, punycode, IPv6 in brackets).
    ///
    /// # Errors
    /// A lower-case fragment that says what is allowed.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refused = || {
            format!(
                "{text:?} is not a host: allowed are exact names (\"files.example.com\") and every name below one \
                 (\"*.example.com\"), without scheme, port or path"
            )
        };
        let (name, is_suffix) = text.strip_prefix("*.").map_or((text, false), |rest| (rest, true));
        if name.is_empty() || name.starts_with('.') || name.contains(['*', '/', '@', '?', '#', ' ', '%']) {
            return Err(refused());
        }
        if let Ok(address) = name.parse::<IpAddr>() {
            return match address {
                _ if is_suffix => Err(refused()),
                IpAddr::V4(a) => Ok(Self::Exact(a.to_string())),
                IpAddr::V6(a) => Ok(Self::Exact(format!("[{a}]"))),
            };
        }
        match Host::parse(name.trim_end_matches('.')) {
            Ok(Host::Domain(domain)) if is_suffix => Ok(Self::Suffix(format!(".{domain}"))),
            Ok(host) if !is_suffix => Ok(Self::Exact(host.to_string())),
            _ => Err(refused()),
        }
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    parsed.map(|net| net.trunc()).ok_or_else(|| {
        format!("{text:?} is not a network: allowed are CIDRs such as \"10.0.0.0/8\" or \"fd00::/8\", and addresses")
    })
}

pub(super) fn log(mut s: Section<'_>, env: &Environment) -> Log {
    let checked = |text: &str| crate::logging::filter(text).map(|_| text.to_owned()).map_err(|e| e.to_string());
    let mut level = s.text("level", "info".to_owned(), checked);
    if let Some(over) = env.text("CDN_USAGED_LOG") {
        match checked(&over) {
            Ok(over) => {
                s.overridden("level", &over, "CDN_USAGED_LOG");
                level = over;
            }
            Err(what) => s.wrong_variable("CDN_USAGED_LOG", what),
        }
    }
    let format = s.word("format", LogFormat::Auto, &FORMATS, log_format);
    s.finish();
    Log { level, format }
}

const FORMATS: [&str; 4] =
    [LogFormat::Auto.as_str(), LogFormat::Text.as_str(), LogFormat::Json.as_str(), LogFormat::Journald.as_str()];

fn log_format(text: &str) -> Result<LogFormat, String> {
    let all = [LogFormat::Auto, LogFormat::Text, LogFormat::Json, LogFormat::Journald];
    all.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
        format!("is {text:?}{}, which is no format; allowed: {}", did_you_mean(text, &FORMATS), FORMATS.join(", "))
    })
}

impl LogFormat {
    /// As the configuration spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
            Self::Journald => "journald",
        }
    }
}

/// As the configuration spells it.
impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => f.write_str(host),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
        }
    }
}

pub(super) fn http(mut s: Section<'_>) -> Option<Http> {
    if !s.is_present() {
        return None;
    }
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, 9469));
    let listen = s.text("listen", default, |text| {
        text.parse().map_err(|_| {
            format!("{text:?} is not an address with a port, such as \"127.0.0.1:9469\" or \"[::1]:9469\"")
        })
    });
    let hosts = s.texts("hosts", Vec::new(), |text| match HostRule::parse(text)? {
        HostRule::Exact(name) => Ok(name),
        HostRule::Suffix(_) => Err(format!("{text:?} stands for any number of names: name each host by itself")),
    });
    let public = s.boolean("public", false);
    if !public && !listen.ip().to_canonical().is_loopback() {
        s.wrong(
            "listen",
            format!(
                "is \"{listen}\", which others than this machine can reach, and nobody is asked for a password there; allowed: \
                 an address of this machine alone, such as \"127.0.0.1:9469\", or any with http.public = true"
            ),
        );
    }
    s.finish();
    Some(Http { listen, hosts, public })
}
