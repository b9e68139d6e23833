//! The schema for editors against the reader.

use boon::{Compiler, SchemaIndex, Schemas};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// The shipped schema, compiled by a validator that knows nothing of this program.
struct Schema(Schemas, SchemaIndex);

impl Schema {
    fn shipped() -> Self {
        let text = fs::read_to_string(folder("config/schema.json")).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("file:///schema.json", serde_json::from_str(&text).unwrap()).unwrap();
        let index = compiler.compile("file:///schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    /// Whether an editor would be content with a file.
    fn takes(&self, text: &str) -> Result<(), String> {
        let value: toml::Table = toml::from_str(text).unwrap();
        let value = serde_json::to_value(value).unwrap();
        self.0.validate(&value, self.1).map_err(|e| e.to_string())
    }
}

#[test]
fn the_shipped_schema_is_the_one_that_the_program_writes() {
    let shipped = fs::read_to_string(folder("config/schema.json")).unwrap_or_default();
    assert!(
        shipped == schema::schema(),
        "config/schema.json is not what the reader reads; mend it with: cargo run -- config schema >config/schema.json"
    );
}

/// Every key of the schema with what is said of it.
fn properties(schema: &Json, path: &str, found: &mut Vec<(String, Json)>) {
    let Some(properties) = schema["properties"].as_object() else {
        return found.push((path.to_owned(), schema.clone()));
    };
    for (name, inner) in properties {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let inner = if inner["items"]["properties"].is_object() { &inner["items"] } else { inner };
        self::properties(inner, &path, found);
    }
}

#[test]
fn the_schema_has_every_key_of_the_default_file_with_its_type_and_what_it_is_for_and_no_other() {
    let schema: Json = serde_json::from_str(&schema::schema()).unwrap();
    let mut found = Vec::new();
    properties(&schema, "", &mut found);
    let in_schema: BTreeSet<_> = found.iter().map(|(path, _)| path.as_str()).collect();
    // Lines that show a key, with a default or without.
    let (text, mut section, mut in_file) = (default_toml(), String::new(), BTreeSet::new());
    for line in text.lines() {
        let bare = line.trim_start_matches('#');
        let is_shown = !bare.starts_with(' ') || bare.starts_with("   ");
        if bare.starts_with('[') {
            bare.trim_matches(['[', ']']).clone_into(&mut section);
        } else if let Some((key, _)) = bare.trim_start().split_once(" = ").filter(|_| is_shown)
            && key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        {
            in_file.insert(format!("{section}.{key}"));
        }
    }
    assert_eq!(in_schema, in_file.iter().map(String::as_str).collect());
    assert!(found.len() >= 40, "{}", found.len());
    let shown = Config::parse(&uncommented(&text), Path::new("c"), &Environment::empty());
    assert!(shown.is_ok());
    for (path, property) in &found {
        assert!(property["type"].is_string() || property["type"].is_array(), "{path} has no type");
        assert!(property["description"].as_str().is_some_and(|d| d.len() > 10), "{path} is not explained: {property}");
    }
    let of = |path: &str| &found.iter().find(|(p, _)| p == path).unwrap_or_else(|| panic!("no {path}")).1;
    assert_eq!((&of("poll.page_size")["minimum"], &of("poll.page_size")["maximum"]), (&1.into(), &50.into()));
    assert_eq!(of("poll.interval")["default"], "1m");
    assert_eq!(of("download.max_size")["default"], "4GiB");
    assert_eq!(of("log.format")["enum"], serde_json::json!(["auto", "text", "json", "journald"]));
    assert_eq!(of("storage.state_dir")["default"], "/var/lib/cdn-usaged");
    assert!(of("download.proxy")["default"].is_null());
    assert!(of("poll.page_size")["description"].as_str().unwrap().starts_with("Tasks asked for in one call."));
}

#[test]
fn the_schema_takes_what_the_reader_takes() {
    let schema = Schema::shipped();
    let mut texts = vec![default_toml(), uncommented(&default_toml()), String::new()];
    for entry in walk(&folder("config/examples")) {
        texts.push(fs::read_to_string(entry).unwrap());
    }
    assert!(texts.len() >= 6, "{}", texts.len());
    for limits in [
        "[poll]\ninterval = '10ms'\nidle_interval = '24h'\nfull_sweep_interval = '30d'\nrequest_timeout = '1ms'",
        "[poll]\ninterval = ' 01h30m '\nidle_interval = '1h 30m'\nfull_sweep_interval = '720h'\nrequest_timeout = '600 s'",
        "[download]\nmin_rate = 0\nmax_size = 1\nallowed_hosts = []",
        "[download]\nmin_rate = '0'\nmax_size = '1.5 KiB'\nproxy = 'none'",
        "[storage]\nmin_free = '500MB'\n[download]\nmax_size = '1pib'\nmin_rate = '7 B'",
        "[[account]]\n[account.credentials]\nsource = 'files'\naccess_key_id_file = '/i'\naccess_key_secret_file = '/s'",
        "[[account]]\nname = 'x'\n[account.credentials]\nsource = 'profile'\nprofile = 'p'",
        "[[account]]\n[account.credentials]\nsource = 'ram-role'\nrole_arn = 'acs:ram::1:role/x'\nbase_source = 'files'\n\
         access_key_id_file = '/i'\naccess_key_secret_file = '/s'\nsession_duration = '12h'",
        "[[account]]\n[account.credentials]\nsource = 'ecs-ram-role'\ndisable_imds_v1 = true",
    ] {
        let whole = if limits.contains("[[account]]") { limits.to_owned() } else { format!("{limits}\n{MINIMAL}") };
        parse(&whole).unwrap();
        texts.push(whole);
    }
    // A part of a whole that another file completes.
    texts.push("[[account]]\nname = 'x'\n[account.credentials]\naccess_key_id_file = '/i'".to_owned());
    for text in texts {
        schema.takes(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
}

#[test]
fn the_schema_refuses_unknown_keys_wrong_types_words_and_ranges_as_the_reader_does() {
    let schema = Schema::shipped();
    for text in [
        "pol = 1",
        "[poll]\nintervall = '1m'",
        "[poll]\ninterval = 5",
        "[poll]\ninterval = '5 years'",
        "[poll]\ninterval = '1ms'",
        "[poll]\ninterval = '25h'",
        "[poll]\nfull_sweep_interval = '31d'",
        "[poll]\npage_size = 51",
        "[poll]\npage_size = -1",
        "[poll]\npage_size = '5'",
        "[poll]\nconcurrency = 1.5",
        "[rate_limit]\ncalls_per_second = 0",
        "[rate_limit]\nburst = 1001",
        "[retry]\nbase = '0s'",
        "[download]\nmax_size = 0",
        "[download]\nmax_size = -5",
        "[download]\nmin_rate = '1 apple'",
        "[download]\nmin_rate = true",
        "[download]\nallow_http = 'yes'",
        "[download]\nallowed_hosts = 'a.com'",
        "[download]\nallowed_hosts = [5]",
        "[log]\nformat = 'syslog'",
        "[gateway]\nproxi = 'none'",
        "[tls]\nca_file = 5",
        "[http]\nport = 1",
        "poll = 1",
        "[account]\nname = 'a'",
        "[[account]]\nnam = 'a'",
        "[[account]]\nexports = []",
        "[[account]]\nexports = ['usage', 'usage']",
        "[[account]]\nexports = ['usage-detial']",
        "[[account]]\nexports = 'usage'",
        "[[account]]\n[account.credentials]\nsource = 'evn'",
        "[[account]]\n[account.credentials]\nsorce = 'env'",
        "[[account]]\n[account.credentials]\nsource = 'env'\nprofile = 'x'",
        "[[account]]\n[account.credentials]\naccess_key_secret = 'x'",
        "[[account]]\n[account.credentials]\nsource = 'oidc-role'\nexternal_id = 'x'",
        "[[account]]\n[account.credentials]\nsource = 'ram-role'\nsession_duration = '13h'",
        "[[account]]\n[account.credentials]\nsource = 'ram-role'\nbase_source = 'oidc-role'",
    ] {
        let whole = if text.contains("account") { text.to_owned() } else { format!("{text}\n{MINIMAL}") };
        assert!(parse(&whole).is_err(), "{text}");
        assert!(schema.takes(text).is_err(), "the schema takes {text}");
    }
}

thread_local! {
    /// Compiled once, and not for every case.
    static SHIPPED: Schema = Schema::shipped();
}

proptest! {
    #[test]
    fn the_schema_judges_a_duration_as_the_reader_does(
        n in prop_oneof![0_u64..200, 0_u64..100_000, 0_u64..100_000_000],
        unit in prop::sample::select(vec!["ms", "s", "m", "h", "d"]),
        key in prop::sample::select(vec!["poll.interval", "poll.full_sweep_interval", "poll.request_timeout", "retry.max"]),
    ) {
        let text = format!("retry.base = '1ms'\n{key} = '{n}{unit}'\n{MINIMAL}");
        prop_assert_eq!(SHIPPED.with(|s| s.takes(&text).is_ok()), parse(&text).is_ok(), "{}", text);
    }
}
