//! What is shown of a configuration.

use super::*;

/// One file with something of every kind.
const RICH: &str = r#"
[storage]
state_dir = '/srv/with "quotes" \ and	tab'
[poll]
interval = '1h 30m'
[rate_limit]
calls_per_second = 0x10
[download]
min_rate = 0
max_size = '1.5KiB'
allowed_hosts = ['*.Aliyuncs.com', '::1', 'münchen.de']
allowed_networks = ['10.1.2.3/8', 'fd00::/8']
internal_endpoint = true
proxy = 'none'
[gateway]
proxy = 'http://proxy:3128'
proxy_credentials_file = 'gateway.login'
[tls]
ca_file = '/etc/ca.pem'
[log]
level = 'info,cdn_usaged::poll=debug'
format = 'json'
[http]
listen = '[::1]:9469'
[[account]]
name = 'a'
exports = ['usage', 'usage-detail']
endpoint = 'http://127.0.0.1:8080'
[account.credentials]
source = 'files'
access_key_id_file = '/i'
access_key_secret_file = '/s'
allow_open_files = true
[[account]]
name = 'b'
[[account.expect]]
from = '2026-01'
due = '0s'
[[account.expect]]
window = 'day'
from = '2026-01-31'
type = 'vas'
time_zone = 'UTC'
[account.credentials]
source = 'profile'
profile = 'billing'
[[account]]
name = 'c'
endpoint = 'http://[::1]:8080'
[account.credentials]
source = 'ram-role'
role_arn = 'acs:ram::1000000000000001:role/x'
policy = '{"Version": "1"}'
base_source = 'ecs-ram-role'
[[account]]
name = 'd'
[account.credentials]
source = 'ecs-ram-role'
disable_imds_v1 = false
[[account]]
name = 'e'
[account.credentials]
source = 'oidc-role'
session_duration = '1h'
"#;

fn loaded(text: &str, env: &Environment) -> Loaded {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, text).unwrap();
    Loaded::load(&file, env).unwrap()
}

#[test]
fn what_is_shown_is_a_configuration_that_says_the_same() {
    let env = Environment::of([("STATE_DIRECTORY", "/run/state"), ("CDN_USAGED_LOG", "warn")]);
    for text in [MINIMAL, RICH, &default_toml(), &uncommented(&default_toml())] {
        for env in [&Environment::empty(), &env] {
            let before = loaded(text, env);
            for with_origin in [false, true] {
                let shown = before.to_toml(with_origin);
                // Everything is in it: without the variables it says the same.
                let after = parse(&shown).unwrap_or_else(|e| panic!("{e}\n{shown}"));
                assert_eq!(after, before.config, "{shown}");
            }
        }
    }
}

#[test]
fn each_key_is_shown_with_where_it_comes_from() {
    let env = Environment::of([("CDN_USAGED_LOG", "warn")]);
    let loaded = loaded("[poll]\npage_size = 10\n[[account]]\n", &env);
    let (plain, shown) = (loaded.to_toml(false), loaded.to_toml(true));
    let line = |key: &str| shown.lines().find(|l| l.starts_with(key)).unwrap_or_else(|| panic!("no {key} in {shown}"));
    let file = loaded.files[0].display();
    for (key, value, origin) in [
        ("page_size", "10", format!("{file}:2")),
        ("interval", "\"1m\"", "default".to_owned()),
        ("level", "\"warn\"", "$CDN_USAGED_LOG".to_owned()),
        ("endpoint", "\"https://cdn.aliyuncs.com\"", "default".to_owned()),
    ] {
        assert!(line(key).starts_with(&format!("{key} = {value} ")), "{}", line(key));
        assert!(line(key).ends_with(&format!(" # {origin}")), "{}", line(key));
    }
    // What is off or not set is not shown as if it were there.
    for absent in ["[http]", "proxy =", "ca_file", "security_token_file"] {
        assert!(!plain.contains(absent), "{absent} in {plain}");
    }
    assert!(!plain.contains("# ") && plain.contains("[account.credentials]\nsource = \"default\"\n"), "{plain}");
}

#[test]
fn as_json_it_is_one_object_or_a_line_for_each_key() {
    let loaded = loaded(RICH, &Environment::empty());
    let all = loaded.to_json();
    assert_eq!(all["poll"]["interval"], "90m");
    assert_eq!(all["rate_limit"]["calls_per_second"], 16);
    assert_eq!(all["account"][0]["credentials"]["allow_open_files"], true);
    assert_eq!(all["account"][1]["credentials"]["profile"], "billing");
    assert_eq!(all["account"][1]["expect"][1]["from"], "2026-01-31");
    assert_eq!(all["download"]["allowed_networks"], serde_json::json!(["10.0.0.0/8", "fd00::/8"]));
    let lines: Vec<_> = loaded.to_json_lines().collect();
    let line = |key: &str| lines.iter().find(|l| l["key"] == key).unwrap_or_else(|| panic!("no {key}"));
    let profile = line("account[1].credentials.profile");
    assert_eq!((profile["account"].as_str(), profile["origin"].as_str()), (Some("b"), Some("file")));
    assert!(profile["line"].as_u64().unwrap() > 1 && profile["file"].as_str().unwrap().ends_with("config.toml"));
    assert_eq!(line("poll.page_size")["origin"], "default");
    assert!(line("poll.page_size")["account"].is_null());
}
