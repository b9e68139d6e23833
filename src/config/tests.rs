use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use super::*;

mod accounts;
mod expect;
mod parts;
mod schema;
mod show;

const MINIMAL: &str = "[[account]]\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/c.toml"), &Environment::empty())
}

/// A text with a minimal account behind it, which keeps the lines before it.
fn with_account(text: &str) -> Result<Config, ConfigError> {
    parse(&format!("{text}\n{MINIMAL}"))
}

fn error(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

fn default_toml() -> String {
    fs::read_to_string(folder("config/default.toml")).unwrap()
}

/// Takes the `#` off every line that shows a default: `#key = value` and `#[section]`.
fn uncommented(text: &str) -> String {
    let shows = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[');
    text.lines().map(|l| l.strip_prefix('#').filter(|r| shows(r)).unwrap_or(l)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_default_file_says_what_is_built_in() {
    let built_in = parse(MINIMAL).unwrap();
    assert_eq!(parse(&default_toml()).unwrap(), built_in);
    let mut shown = parse(&uncommented(&default_toml())).unwrap();
    assert_eq!(
        shown.http.take(),
        Some(Http { listen: "127.0.0.1:9469".parse().unwrap(), hosts: Vec::new(), public: false })
    );
    let expected = shown.accounts[0].expect.pop().unwrap();
    assert_eq!(expected, parse("[[account]]\n[[account.expect]]\nfrom = '2026-01'\n").unwrap().accounts[0].expect[0]);
    assert_eq!(shown, built_in);
}

#[test]
fn the_shipped_default_file_mentions_every_key() {
    let text = uncommented(&default_toml());
    let mut found = 0;
    for (table, section) in [
        ("", ""),
        ("[storage]", "[storage]"),
        ("[poll]", "[poll]"),
        ("[rate_limit]", "[rate_limit]"),
        ("[retry]", "[retry]"),
        ("[download]", "[download]"),
        ("[log]", "[log]"),
        ("[http]", "[http]"),
        ("[gateway]", "[gateway]"),
        ("[tls]", "[tls]"),
        ("[[account]]", "[[account]]"),
        ("[[account]]\n[account.credentials]", "[account.credentials]"),
        ("[[account]]\n[[account.expect]]", "[[account.expect]]"),
        ("[[account]]\n[account.credentials]\nsource='files'", "[account.credentials]"),
        ("[[account]]\n[account.credentials]\nsource='profile'", "[account.credentials]"),
        ("[[account]]\n[account.credentials]\nsource='ecs-ram-role'", "[account.credentials]"),
        ("[[account]]\n[account.credentials]\nsource='oidc-role'", "[account.credentials]"),
        ("[[account]]\n[account.credentials]\nsource='ram-role'", "[account.credentials]"),
        ("[[account]]\n[account.credentials]\nsource='uri'", "[account.credentials]"),
    ] {
        let error = error(&format!("{table}\nzzzzzzzz = 1\n"));
        let allowed = error.split("(allowed: ").nth(1).unwrap().split(')').next().unwrap();
        let part = text.split(&format!("\n{section}\n")).nth(1).unwrap_or(&text);
        for key in allowed.split(", ") {
            let keys: BTreeSet<_> =
                part.lines().map(|l| l.trim_start_matches(['#', ' ']).split([' ', ']']).next().unwrap()).collect();
            let table = text.contains(&format!("[{key}]")) || text.contains(&format!(".{key}]"));
            assert!(keys.contains(key) || table, "{section} {key}");
            found += 1;
        }
    }
    assert!(found > 50, "{found}");
}

#[test]
fn the_defaults_are_those_that_are_promised() {
    let config = parse(MINIMAL).unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(config.storage.state_dir, Path::new("/var/lib/cdn-usaged"));
    assert_eq!(config.storage.download_dir, Path::new("/var/lib/cdn-usaged/exports"));
    assert_eq!(config.storage.min_free_bytes, 1 << 30);
    let poll = &config.poll;
    assert_eq!(
        (poll.interval, poll.idle_interval, poll.full_sweep_interval),
        (seconds(60), seconds(600), seconds(21_600))
    );
    assert_eq!((poll.page_size, poll.concurrency, poll.request_timeout), (50, 4, seconds(15)));
    assert_eq!((config.rate_limit.calls_per_second.get(), config.rate_limit.burst.get()), (20, 5));
    assert_eq!((config.retry.base, config.retry.max), (Duration::from_millis(500), seconds(300)));
    assert_eq!(config.retry.call_attempts, 8);
    let download = &config.download;
    assert_eq!((download.concurrency, download.max_attempts, download.idle_timeout), (4, 20, seconds(30)));
    assert_eq!((download.min_rate_bytes, download.max_size_bytes, download.allow_http), (1024, 4 << 30, false));
    assert!(download.allowed_hosts.is_empty() && download.allowed_networks.is_empty());
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Auto));
    assert_eq!(config.http, None);
    assert_eq!((&config.gateway, &config.tls), (&Gateway::default(), &Tls::default()));
    assert_eq!((&download.proxy, download.internal_endpoint), (&Proxy::default(), false));
    assert_eq!(config.accounts.len(), 1);
    let account = &config.accounts[0];
    assert_eq!((account.name.as_str(), account.endpoint.as_str()), ("main", "https://cdn.aliyuncs.com/"));
    assert_eq!(
        (account.exports.as_slice(), &account.credentials),
        ([Export::UsageDetail].as_slice(), &CredentialSource::Default)
    );
}

#[test]
fn every_shipped_example_is_valid() {
    let examples = walk(&folder("config/examples"));
    for path in &examples {
        assert_eq!(path.extension().and_then(|e| e.to_str()), Some("toml"), "{}", path.display());
        // Parts of a whole are read with it.
        if !path.components().any(|c| c.as_os_str() == "conf.d") {
            Config::load(path, &Environment::empty()).unwrap();
        }
    }
    assert!(examples.len() >= 5, "{examples:?}");
    let fleet = Loaded::load(&folder("config/examples/fleet/config.toml"), &Environment::empty()).unwrap();
    assert_eq!((fleet.files.len(), fleet.config.accounts.len()), (3, 2));
}

#[test]
fn an_unknown_key_is_named_with_file_line_path_and_the_nearest_name() {
    assert_eq!(
        error("# one\n[poll]\npage_size = 10\nintervall = \"1m\"\n[[account]]\n"),
        "/etc/c.toml:4: poll.intervall: unknown key, did you mean \"interval\"? (allowed: interval, idle_interval, \
         full_sweep_interval, page_size, concurrency, request_timeout)"
    );
    let error = error("[pol]\n[[account]]\nnam = 1\n[[account]]\nname='b'\n[account.credentials]\nsorce = 'env'\n");
    for part in [
        "/etc/c.toml:1: pol: unknown key, did you mean \"poll\"?",
        "/etc/c.toml:3: account[0].nam: unknown key, did you mean \"name\"?",
        "/etc/c.toml:7: account[1].credentials.sorce: unknown key, did you mean \"source\"?",
    ] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn a_key_cannot_drive_the_terminal() {
    let error = error("\"\\u001b[31m\\n\" = 1\n[[account]]");
    assert!(error.contains(r#"1: "\u{1b}[31m\n": unknown key (allowed"#), "{error}");
}

#[test]
fn wrong_types_and_values_out_of_range_are_named_with_what_is_allowed() {
    for (text, expected) in [
        (
            "[poll]\ninterval = 5",
            ":2: poll.interval: must be a duration in quotes with a unit, \"10ms\" to \"24h\", but is a whole number",
        ),
        ("[poll]\ninterval = '5 years'", ":2: poll.interval: \"5 years\" is not a duration"),
        ("[poll]\ninterval = '1ms'", ":2: poll.interval: is \"1ms\", which is not within \"10ms\" to \"24h\""),
        ("[poll]\nidle_interval = '-1m'", ":2: poll.idle_interval: \"-1m\" is not a duration"),
        ("[poll]\nfull_sweep_interval = '31d'", "not within \"10ms\" to \"30d\""),
        ("[poll]\n\npage_size = 51", ":3: poll.page_size: is 51, which is not within 1 to 50"),
        ("[poll]\npage_size = -1", "is -1, which is not within 1 to 50"),
        ("[poll]\npage_size = 99999999999", "is 99999999999, which is not within 1 to 50"),
        ("[poll]\npage_size = '5'", "must be a whole number from 1 to 50, but is text"),
        ("[poll]\nconcurrency = 1.5", "must be a whole number from 1 to 32, but is a number with a fraction"),
        ("[rate_limit]\ncalls_per_second = 0", "not within 1 to 100000"),
        ("[rate_limit]\nburst = 1001", "not within 1 to 1000"),
        ("[retry]\nbase = '2s'\nmax = '1s'", ":3: retry.max: is shorter than retry.base"),
        ("[retry]\nbase = '0s'", "not within \"1ms\" to \"24h\""),
        ("[retry]\nbase = '10m'", ":1: retry.max: is shorter than retry.base"),
        ("[download]\nmax_size = 0", "is 0, which is not within \"1B\" to \"1PiB\""),
        ("[download]\nmax_size = -5", "is -5, which is not within"),
        ("[download]\nmin_rate = '1 apple'", "is not a size such as \"1GiB\""),
        ("[download]\nmin_rate = true", "must be a size such as \"1GiB\", but is true or false"),
        ("[download]\nallow_http = 'yes'", "must be true or false, but is text"),
        ("[download]\nallowed_hosts = 'a.com'", "must be a list of texts, [\"...\"], but is text"),
        ("[download]\nallowed_hosts = [5]", "must hold texts in quotes, but has a whole number"),
        ("[download]\nallowed_networks = ['10.0.0.0/33']", "\"10.0.0.0/33\" is not a network"),
        ("[storage]\nstate_dir = 'relative'", "must be an absolute path"),
        ("[storage]\ndownload_dir = ''", "must be an absolute path"),
        ("[log]\nlevel = 'loud'", ":2: log.level: \"loud\" is not a level or a filter"),
        ("[log]\nlevel = 'hyper=debug'", "is not a level or a filter"),
        ("[log]\nformat = 'syslog'", "which is no format; allowed: auto, text, json, journald"),
        ("[log]\nformat = 'jsn'", "did you mean \"json\"?"),
        (
            "[gateway]\nproxy = 'proxy:3128'",
            ":2: gateway.proxy: is neither http nor https; allowed: \"http://HOST:PORT\"",
        ),
        ("[gateway]\nproxy = ''", "gateway.proxy: is not a URL"),
        ("[gateway]\nproxy = 'socks5://proxy:1'", "gateway.proxy: is neither http nor https"),
        ("[gateway]\nproxy = 'http://proxy/path'", "gateway.proxy: has a path"),
        ("[gateway]\nproxy = 'http://proxy/?x'", "gateway.proxy: has a query"),
        ("[gateway]\nproxy_credentials_file = '/x'", "is of use only beside gateway.proxy = \"http://HOST:PORT\""),
        (
            "[download]\nproxy = 'none'\nproxy_credentials_file = '/x'",
            ":3: download.proxy_credentials_file: is of use only",
        ),
        ("[download]\ninternal_endpoint = 'yes'", "must be true or false"),
        ("[tls]\nca_file = 'ca.pem'", ":2: tls.ca_file: is \"ca.pem\", but must be an absolute path"),
        ("[http]\nlisten = '9469'", "is not an address with a port"),
        ("[http]\nlisten = '0.0.0.0:9469'", "http.public = true"),
        ("[http]\nlisten = '[::ffff:10.0.0.1]:9469'\npublic = false", "http.public = true"),
        ("[http]\nhosts = ['*.example.com']", "name each host by itself"),
        ("[http]\nhosts = ['example.com:80']", "without scheme, port or path"),
        ("poll = 1", ":1: poll: must be a table, [poll], but is a whole number"),
    ] {
        let error = with_account(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error}");
        assert!(error.starts_with("/etc/c.toml:") && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_proxy_is_none_or_a_url_and_its_password_is_refused_and_never_repeated() {
    let config = with_account(
        "[gateway]\nproxy = 'https://proxy:3128'\nproxy_credentials_file = 'gateway.login'\n[download]\nproxy = 'none'",
    )
    .unwrap();
    let url = Url::parse("https://proxy:3128").unwrap();
    assert_eq!(config.gateway.proxy.choice, Some(ProxyChoice::Url(url)));
    assert_eq!(config.gateway.proxy.credentials_file.as_deref(), Some(Path::new("gateway.login")));
    assert_eq!(config.download.proxy, Proxy { choice: Some(ProxyChoice::Direct), credentials_file: None });
    for section in ["gateway", "download"] {
        for url in ["http://user:MARK@proxy:3128", "http://MARK@proxy", "user:MARK@proxy:3128", "http://u:MARK word@p"]
        {
            let error = with_account(&format!("[{section}]\nproxy = '{url}'")).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("MARK"), "{error}");
            let error = error.to_string();
            let said = format!(":2: {section}.proxy: holds a user name or a password; secrets are never written");
            assert!(error.contains(&said) && error.contains(&format!("{section}.proxy_credentials_file")), "{error}");
        }
    }
}

#[test]
fn text_that_is_no_toml_is_refused_with_its_line() {
    let error = error("[poll]\ninterval = \"1m\"\npage_size =\n");
    assert!(error.starts_with("/etc/c.toml:3: not valid TOML: "), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("config.toml");
    let error = Config::load(&missing, &Environment::empty()).unwrap_err().to_string();
    for part in [missing.to_str().unwrap(), "No such file", "create it", "--config PATH", "CDN_USAGED_CONFIG"] {
        assert!(error.contains(part), "{error}");
    }
    fs::write(&missing, b"\xff").unwrap();
    let error = Config::load(&missing, &Environment::empty()).unwrap_err().to_string();
    assert!(error.contains("not UTF-8"), "{error}");
    assert!(Config::load(dir.path(), &Environment::empty()).is_err());
}

#[test]
fn the_state_directory_of_systemd_is_the_default() {
    let parse = |text: &str, env| Config::parse(text, Path::new("c"), &Environment::of([("STATE_DIRECTORY", env)]));
    let config = parse(MINIMAL, "/run/one:/run/two").unwrap();
    assert_eq!(config.storage.state_dir, Path::new("/run/one"));
    assert_eq!(config.storage.download_dir, Path::new("/run/one/exports"));
    let config = parse("[storage]\nstate_dir = '/srv'\n[[account]]", "relative").unwrap();
    assert_eq!(config.storage.download_dir, Path::new("/srv/exports"));
    let error = parse(MINIMAL, "relative").unwrap_err().to_string();
    assert!(error.starts_with("environment: STATE_DIRECTORY: ") && error.contains("absolute"), "{error}");
}

#[test]
fn the_environment_overrides_the_level_and_is_checked_too() {
    let parse = |level| {
        let env = Environment::of([("CDN_USAGED_LOG", level)]);
        Config::parse("[log]\nlevel = 'warn'\n[[account]]", Path::new("c"), &env)
    };
    assert_eq!(parse("info,cdn_usaged::poll=debug").unwrap().log.level, "info,cdn_usaged::poll=debug");
    assert_eq!(parse("").unwrap().log.level, "warn");
    let error = parse("loud").unwrap_err().to_string();
    assert!(error.starts_with("environment: CDN_USAGED_LOG: \"loud\" is not a level"), "{error}");
}

#[test]
fn hosts_and_networks_are_kept_in_the_form_in_which_urls_show_them() {
    let config = with_account(
        "[download]\nallowed_hosts = ['Files.Example.COM', '*.Aliyuncs.com', '10.0.0.1', '::1', '[::2]', 'm\u{fc}nchen.de']\n\
         allowed_networks = ['10.1.2.3/8', '127.0.0.1', 'fd00::/8']",
    )
    .unwrap();
    let exact = |s: &str| HostRule::Exact(s.to_owned());
    assert_eq!(
        config.download.allowed_hosts,
        [
            exact("files.example.com"),
            HostRule::Suffix(".aliyuncs.com".to_owned()),
            exact("10.0.0.1"),
            exact("[::1]"),
            exact("[::2]"),
            exact("xn--mnchen-3ya.de")
        ]
    );
    let networks: Vec<_> = config.download.allowed_networks.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "127.0.0.1/32", "fd00::/8"]);
    for host in
        ["", "*", "*.", "a.com:80", "https://a.com", "a.com/x", "a.*.com", "*.1.2.3.4", ".a.com", "u@a.com", "a b"]
    {
        assert!(HostRule::parse(host).is_err(), "{host}");
    }
}

#[test]
fn values_at_their_limits_are_accepted() {
    let config = with_account(
        "[poll]\ninterval = '10ms'\nidle_interval = '24h'\nfull_sweep_interval = '30d'\nrequest_timeout = '1ms'\npage_size = 0x1\n\
         [rate_limit]\ncalls_per_second = 100_000\nburst = 1_000\n[retry]\nbase = '1ms'\nmax = '1ms'\n\
         [download]\nmin_rate = 0\nmax_size = 1\nidle_timeout = '50ms'\n[http]",
    )
    .unwrap();
    assert_eq!(config.poll.interval, Duration::from_millis(10));
    assert_eq!(config.poll.full_sweep_interval, Duration::from_secs(30 * 86_400));
    assert_eq!((config.poll.page_size, config.rate_limit.calls_per_second.get()), (1, 100_000));
    assert_eq!((config.download.min_rate_bytes, config.download.max_size_bytes), (0, 1));
    assert!(config.http.is_some());
}
