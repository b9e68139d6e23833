//! The rules of the house that no type can keep: who may import whom, and which files are the doors.
//!
//! Every rule reads the sources as text, without their tests, and says file, line and why. A rule that can no longer find
//! anything would hold for ever: so each first has to find what is planted for it and pass what is innocent, and every
//! door, where a rule is lifted, has to be in use.

#[path = "house/source.rs"]
mod source;
#[path = "house/statements.rs"]
mod statements;

use std::{collections::BTreeSet, path::Path};

use source::{Kind, Source};

/// What a rule found: the line, and what is there.
type Findings = Vec<(usize, String)>;

struct Rule {
    why: &'static str,
    find: fn(&Source) -> Findings,
    /// Where the rule is lifted, and why: a file, or a folder if it ends with a slash.
    doors: &'static [(&'static str, &'static str)],
    /// File and text in which the rule must find something.
    planted: &'static [(&'static str, &'static str)],
    /// File and text in which it must find nothing.
    innocent: &'static [(&'static str, &'static str)],
}

/// Every file of the product, without tests.
fn product() -> Vec<Source> {
    let sources = Source::below("src", false);
    assert!(sources.len() > 50, "only {} files of the product were found", sources.len());
    assert!(sources.iter().all(|s| !s.tokens.is_empty()), "a file was read as empty");
    sources
}

/// Holds the rule against its plantings and then against the sources.
fn keep(rule: &Rule, sources: &[Source]) {
    assert!(!sources.is_empty() && !rule.planted.is_empty() && !rule.innocent.is_empty());
    for (file, text) in rule.planted {
        assert!(!(rule.find)(&Source::parse(file, text)).is_empty(), "the rule is blind to this in {file}:\n{text}");
    }
    for (file, text) in rule.innocent {
        let found = (rule.find)(&Source::parse(file, text));
        assert!(found.is_empty(), "the rule is wrong about this in {file}: {found:?}\n{text}");
    }
    let (mut broken, mut used) = (Vec::new(), BTreeSet::new());
    for source in sources {
        let found = (rule.find)(source);
        let is_door =
            |door: &&(&str, &str)| source.file == door.0 || (door.0.ends_with('/') && source.file.starts_with(door.0));
        match rule.doors.iter().find(is_door) {
            Some((door, _)) if !found.is_empty() => {
                used.insert(*door);
            }
            Some(_) => {}
            None => broken.extend(found.iter().map(|(line, what)| format!("  {}:{line}: {what}", source.file))),
        }
    }
    assert!(broken.is_empty(), "\n{}\n{}\n{}", rule.why, broken.join("\n"), doors(rule));
    let idle: Vec<_> = rule.doors.iter().filter(|(door, _)| !used.contains(door)).collect();
    assert!(idle.is_empty(), "these doors are used no more, so they must go: {idle:?}");
}

fn doors(rule: &Rule) -> String {
    let doors: Vec<_> = rule.doors.iter().map(|(door, reason)| format!("  allowed in {door}: {reason}")).collect();
    doors.join("\n")
}

/// Paths that end with one of these.
fn ending(source: &Source, ends: &[&[&str]]) -> Findings {
    let found = source.paths.iter().filter(|p| ends.iter().any(|end| p.ends_with(end)));
    found.map(|p| (p.line, p.text())).collect()
}

/// Uses of a type or module under another name, behind which the rule would not see it.
fn hidden(source: &Source, names: &[&str]) -> Findings {
    let is_hidden = |p: &&source::Named| {
        let last = p.path.last().map_or("", String::as_str);
        let beneath = p.path.len() > 1 && names.contains(&p.path[p.path.len() - 2].as_str());
        (p.alias.as_deref().is_some_and(|a| a != "_") && names.contains(&last)) || (last == "*" && beneath)
    };
    let found = source.paths.iter().filter(is_hidden);
    found.map(|p| (p.line, format!("{} hides behind another name", p.text()))).collect()
}

/// Who may import whom: each module of `src` with what it may name of the crate besides itself.
///
/// `clock`, `config`, `events` and `text` are leaves that all but the rules may use.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("lib", &[]),
    ("main", &["cli"]),
    (
        "cli",
        &[
            "admin",
            "assembly",
            "cdn",
            "clock",
            "completeness",
            "config",
            "credentials",
            "daemon",
            "egress",
            "events",
            "fetch",
            "logging",
            "model",
            "notify",
            "observer",
            "once",
            "store",
            "text",
        ],
    ),
    (
        "daemon",
        &[
            "admin",
            "assembly",
            "cdn",
            "clock",
            "completeness",
            "config",
            "credentials",
            "egress",
            "events",
            "fetch",
            "logging",
            "metrics",
            "model",
            "notify",
            "observer",
            "poll",
            "store",
            "text",
        ],
    ),
    ("completeness", &["clock", "config", "events", "model", "store"]),
    ("once", &["assembly", "cdn", "clock", "config", "events", "fetch", "model", "poll", "store", "text"]),
    ("assembly", &["cdn", "config", "credentials", "egress", "events", "fetch", "model", "observer", "poll", "store"]),
    ("poll", &["cdn", "clock", "config", "events", "model", "observer", "store", "text"]),
    ("fetch", &["clock", "config", "egress", "events", "model", "observer", "store", "text"]),
    ("admin", &["clock", "completeness", "config", "fetch", "metrics", "model", "store", "text"]),
    ("metrics", &["clock", "model"]),
    ("notify", &["clock", "config", "text"]),
    ("observer", &["model"]),
    ("cdn", &["clock", "config", "credentials", "egress", "events", "model", "rpc", "text"]),
    ("credentials", &["clock", "config", "egress", "events", "model", "rpc", "text"]),
    ("rpc", &["clock"]),
    ("egress", &["clock", "config", "events", "model", "text"]),
    ("store", &["clock", "config", "events", "model", "text"]),
    ("logging", &["clock", "config", "events", "text"]),
    ("config", &["logging", "model", "text"]),
    ("events", &["model", "text"]),
    ("clock", &[]),
    ("text", &[]),
    ("model", &[]),
];

fn row(module: &str) -> Option<&'static [&'static str]> {
    MAY_IMPORT.iter().find(|(name, _)| *name == module).map(|(_, may)| *may)
}

fn forbidden_imports(source: &Source) -> Findings {
    let home = source.home();
    let Some(may) = row(home) else {
        return vec![(1, format!("`{home}` has no row in MAY_IMPORT: give it one, and say what it may import"))];
    };
    let named = source.paths.iter().filter_map(|p| {
        let inside = p.path.first().is_some_and(|first| first == "crate" || first == "cdn_usaged");
        let other = p.path.get(1).filter(|_| inside)?;
        let allowed = other == home || may.contains(&other.as_str());
        (!allowed).then(|| (p.line, format!("{home} names {}", p.text())))
    });
    named.collect()
}

#[test]
fn a_module_imports_only_what_stands_below_it() {
    let rule = Rule {
        why: "the parts stay apart only while imports go one way; MAY_IMPORT in tests/house.rs is the picture",
        find: forbidden_imports,
        doors: &[],
        planted: &[
            ("src/model/task.rs", "use crate::clock;"),
            ("src/poll/walk.rs", "use crate::{\n    clock,\n    fetch::{Board, queue::Queue},\n};"),
            ("src/poll/mod.rs", "fn f() { crate::fetch::run() }"),
            ("src/fetch/queue/attempt.rs", "use super::super::super::poll::Wanted;"),
            ("src/fetch/zip.rs", "mod inner { use super::super::super::poll; }"),
            ("src/cdn/wire/mod.rs", "type S = super::super::store::Store;"),
            ("src/store/open.rs", "use crate::cdn as other;"),
            ("src/once.rs", "use super::*;"),
            ("src/model/mod.rs", "macro_rules! m { () => { $crate::events::started() } }"),
            ("src/main.rs", "use cdn_usaged::store::Store;"),
            ("src/nowhere.rs", "fn f() {}"),
        ],
        innocent: &[
            ("src/model/task.rs", "//! See crate::store.\nuse crate::model::link::SignedUrl; /* crate::cdn */"),
            ("src/poll/mod.rs", "use super::store::Store;\nconst S: &str = \"use crate::fetch;\";"),
            ("src/poll/mod.rs", "#[cfg(test)]\nmod tests { use crate::fetch::Board; }"),
            ("src/cdn/wire/mod.rs", "use super::{error::Refusal, super::model::task};"),
            ("src/fetch/zip.rs", "use self::inner::x; mod inner {} use super::verify;"),
        ],
    };
    keep(&rule, &product());
}

#[test]
fn every_row_of_the_picture_is_a_module() {
    let homes: BTreeSet<_> = product().iter().map(|source| source.home().to_owned()).collect();
    let modules: BTreeSet<_> = MAY_IMPORT.iter().map(|(module, _)| *module).collect();
    assert_eq!(modules.len(), MAY_IMPORT.len(), "a module has two rows, of which only the first counts");
    for (module, may) in MAY_IMPORT {
        assert!(homes.contains(*module), "`{module}` has a row but no file: the row must go");
        assert!(may.iter().all(|other| homes.contains(*other)), "`{module}` may import what is not there: {may:?}");
    }
}

/// All that a module reaches through others.
fn reach(module: &str) -> BTreeSet<&'static str> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<_> = row(module).unwrap_or_else(|| panic!("no module {module}")).to_vec();
    while let Some(module) = next.pop() {
        if reached.insert(module) {
            next.extend(row(module).unwrap_or_default());
        }
    }
    reached
}

#[test]
fn the_model_imports_nothing_of_the_crate() {
    assert_eq!(row("model"), Some(&[][..]), "a rule that can be tested without a runtime names nothing that needs one");
}

#[test]
fn poll_and_fetch_meet_only_in_the_store() {
    assert!(
        !reach("poll").contains("fetch"),
        "what is polled must not wait for what is fetched: the table is the queue"
    );
    assert!(
        !reach("fetch").contains("poll"),
        "a download asks for a link in the store, and the listing's own loop reads it"
    );
    assert!(reach("poll").contains("store") && reach("fetch").contains("store"));
}

#[test]
fn the_client_and_the_store_do_not_know_each_other() {
    assert!(!reach("cdn").contains("store"), "no network wait inside a transaction");
    assert!(!reach("store").contains("cdn"), "what the cloud calls things ends at cdn/wire");
    assert!(reach("cdn").contains("credentials") && reach("store").contains("model"));
}

#[test]
fn credentials_know_no_more_than_where_to_look() {
    for above in ["cdn", "poll", "fetch", "store", "cli"] {
        assert!(
            !reach("credentials").contains(above),
            "secrets come from one door, and nothing goes in through it: {above}"
        );
    }
    assert!(reach("credentials").contains("config"));
}

#[test]
fn no_module_is_below_itself() {
    // The two that lean on each other do it in small: the configuration names a log format, the log its settings.
    let in_a_circle: Vec<_> = MAY_IMPORT.iter().filter(|(m, _)| reach(m).contains(m)).map(|(m, _)| *m).collect();
    assert_eq!(in_a_circle, ["logging", "config"], "imports go one way");
}

#[test]
fn the_library_root_only_declares() {
    let rule = Rule {
        why: "what lib.rs named again would be imported from there, past the picture of who may import whom",
        find: |source| {
            let found =
                source.tokens.iter().filter(|t| ["use", "fn", "struct", "enum", "type"].contains(&t.text.as_str()));
            found.map(|t| (t.line, t.text.clone())).collect()
        },
        doors: &[],
        planted: &[("src/lib.rs", "pub mod poll;\npub use fetch::Board;")],
        innocent: &[("src/lib.rs", "//! use this\npub mod poll;")],
    };
    let sources = product();
    let root: Vec<_> = sources.into_iter().filter(|s| s.file == "src/lib.rs").collect();
    keep(&rule, &root);
}

#[test]
fn the_model_is_pure() {
    let rule = Rule {
        why: "model/ decides: no I/O, no runtime, no ambient time or randomness, no logging; give it what it needs to know",
        find: |source| {
            if source.home() != "model" {
                return Vec::new();
            }
            let mut found: Findings = Vec::new();
            for p in &source.paths {
                let first = p.path.first().map_or("", String::as_str);
                let outside = ["tokio", "futures", "tracing", "reqwest", "sqlx", "rand", "rustix"].contains(&first);
                let modules = ["fs", "net", "env", "process", "thread", "os"];
                if outside || modules.iter().any(|m| p.starts_with(&["std", m])) {
                    found.push((p.line, p.text()));
                }
            }
            let words = source.tokens.iter().filter(|t| t.kind == Kind::Word && ["async", "await"].contains(&&*t.text));
            found.extend(words.map(|t| (t.line, t.text.clone())));
            found.extend(source.macro_calls(&["println", "eprintln"]));
            found
        },
        doors: &[],
        planted: &[
            ("src/model/a.rs", "async fn f() {}"),
            ("src/model/a.rs", "use std::{fmt, fs};"),
            ("src/model/a.rs", "fn f() -> f64 { rand::random() }"),
            ("src/model/a.rs", "fn f() { tracing::debug!(\"x\") }"),
        ],
        innocent: &[
            ("src/model/a.rs", "use std::{fmt, time::Duration}; // no async"),
            ("src/poll/a.rs", "async fn f() { std::fs::read(\"x\"); }"),
        ],
    };
    keep(&rule, &product());
}

#[test]
fn only_the_clock_reads_the_time() {
    let rule = Rule {
        why: "time is an argument, so that a rule can be tested at any time; use clock::now or clock::instant",
        find: |source| {
            let kinds = ["Timestamp", "SystemTime", "Instant", "Zoned", "Utc", "Local"];
            let read = source.paths.iter().filter(|p| kinds.iter().any(|kind| p.ends_with(&[kind, "now"])));
            let mut found: Findings = read.map(|p| (p.line, p.text())).collect();
            found.extend(hidden(source, &kinds));
            found
        },
        doors: &[("src/clock.rs", "the one door")],
        planted: &[
            ("src/a.rs", "fn f() { let t = jiff::Timestamp::now(); }"),
            ("src/a.rs", "fn f() { started.get_or_insert_with(Instant::now); }"),
            ("src/a.rs", "use std::time::SystemTime as Clock;"),
        ],
        innocent: &[("src/a.rs", "// Instant::now()\nfn f() { clock::now(); let s = \"Instant::now()\"; }")],
    };
    keep(&rule, &product());
}

#[test]
fn only_events_logs_above_debug() {
    let rule = Rule {
        why: "operators alert on names and fields: every line above debug is a function in events.rs",
        find: |source| {
            let macros = ["info", "warn", "error", "event", "info_span", "warn_span", "error_span", "span"];
            let mut found = source.macro_calls(&macros);
            found.extend(
                source.paths.iter().filter(|p| p.path[0] == "log" && p.path.len() > 1).map(|p| (p.line, p.text())),
            );
            let named = ["info", "warn", "error", "event", "*"];
            let used =
                source.paths.iter().filter(|p| p.path[0] == "tracing" && named.iter().any(|n| p.ends_with(&[n])));
            found.extend(used.map(|p| (p.line, p.text())));
            found.extend(source.paths.iter().filter(|p| p.ends_with(&["instrument"])).map(|p| (p.line, p.text())));
            found
        },
        doors: &[("src/events.rs", "the one door")],
        planted: &[
            ("src/a.rs", "fn f() { tracing::info!(\"x\"); }"),
            ("src/a.rs", "use tracing::{debug, warn};"),
            ("src/a.rs", "fn f() { error!(target: \"x\", \"y\"); }"),
            ("src/a.rs", "use tracing::error as complain;"),
            ("src/a.rs", "use tracing::*;"),
            ("src/a.rs", "#[tracing::instrument]\nfn f() {}"),
        ],
        innocent: &[
            ("src/a.rs", "use tracing::{Event, Level, debug};\nfn f() { debug!(%error, \"x\"); if error != b {} }"),
            ("src/a.rs", "use super::{error, event};"),
        ],
    };
    keep(&rule, &product());
}

#[test]
fn only_main_ends_the_process() {
    let rule = Rule {
        why: "a process that ends in the middle runs no destructor: return, up to main, which returns the exit status",
        find: |source| {
            let mut found = ending(source, &[&["process", "exit"], &["process", "abort"], &["process", "*"]]);
            found.extend(hidden(source, &["process"]));
            found
        },
        doors: &[],
        planted: &[
            ("src/a.rs", "fn f() { std::process::exit(1) }"),
            ("src/a.rs", "use std::process::{Command, exit};"),
            ("src/a.rs", "use std::{fmt, process::abort};"),
        ],
        innocent: &[(
            "src/main.rs",
            "use std::process::ExitCode; fn main() -> ExitCode { exit_code() } // process::exit",
        )],
    };
    keep(&rule, &product());
}

#[test]
fn only_the_publisher_writes_files() {
    let rule = Rule {
        why: "below download_dir a file appears whole, durable and never over another: that is fetch/publish's work alone",
        find: |source| {
            let calls = [
                "write",
                "rename",
                "copy",
                "hard_link",
                "remove_file",
                "remove_dir",
                "remove_dir_all",
                "create_dir",
                "create_dir_all",
                "set_permissions",
                "symlink",
                "soft_link",
                "open",
                "openat",
                "renameat",
                "renameat_with",
                "linkat",
                "unlink",
                "unlinkat",
                "mkdirat",
                "mkdir",
                "truncate",
                "ftruncate",
                "chmod",
                "fchmod",
            ];
            let makers = ["create", "create_new", "create_buffered", "options"];
            let writes = source.paths.iter().filter(|p| {
                calls.iter().any(|call| p.ends_with(&["fs", call]))
                    || makers.iter().any(|maker| p.ends_with(&["File", maker]))
                    || p.ends_with(&["OpenOptions", "new"])
                    || p.ends_with(&["DirBuilder", "new"])
            });
            let mut found: Findings = writes.map(|p| (p.line, p.text())).collect();
            found.extend(hidden(source, &["fs", "File", "OpenOptions", "DirBuilder"]));
            found
        },
        doors: &[
            ("src/fetch/publish.rs", "the one door to published files"),
            ("src/fetch/publish/", "the unfinished files below .incoming, which it owns"),
            ("src/store/lock.rs", "the lock in state_dir"),
            ("src/store/open.rs", "the database in state_dir"),
            ("src/cli/once.rs", "state_dir, made at the first run"),
            ("src/cli/demo.rs", "the demonstration's own folder, keys and configuration"),
        ],
        planted: &[
            ("src/a.rs", "fn f() { std::fs::write(path, b\"x\"); }"),
            ("src/a.rs", "use std::fs::{self, rename};"),
            ("src/a.rs", "fn f() { tokio::fs::remove_file(p).await; }"),
            ("src/a.rs", "use std::fs::File; fn f() { File::create(p); }"),
            ("src/a.rs", "fn f() { fs::OpenOptions::new().append(true); }"),
            ("src/a.rs", "use std::fs as files;"),
            ("src/a.rs", "use std::fs::*;"),
            ("src/a.rs", "fn f() { rustix::fs::unlinkat(a, b, c); }"),
        ],
        innocent: &[
            (
                "src/a.rs",
                "fn f() { std::fs::read(p); File::open(p); fs::metadata(p); out.write(b); fmt::write(a, b); }",
            ),
            ("src/a.rs", "#[cfg(test)]\nmod tests { fn f() { std::fs::write(a, b); } }"),
            ("src/a.rs", "#[serde(rename = \"x\")]\nstruct S; use std::os::unix::fs::OpenOptionsExt as _;"),
        ],
    };
    keep(&rule, &product());
}

#[test]
fn a_signed_link_is_exposed_only_where_it_is_used() {
    let rule = Rule {
        why: "whoever reads a signed link can fetch the file: it is shown to the request and to its own column, nowhere else",
        find: |source| {
            let calls = source.method_calls("expose").into_iter().map(|line| (line, ".expose()".to_owned()));
            calls.chain(ending(source, &[&["SignedUrl", "expose"]])).collect()
        },
        doors: &[
            ("src/fetch/transfer/ask.rs", "the request itself"),
            ("src/store/downloads.rs", "the column of a pending link"),
            ("src/store/observe.rs", "the column of a pending link"),
        ],
        planted: &[
            ("src/a.rs", "fn f() { println!(\"{}\", link.expose()); }"),
            ("src/a.rs", "fn f() { link.map(SignedUrl::expose); }"),
        ],
        innocent: &[(
            "src/a.rs",
            "/// See [`SignedUrl::expose`] and link.expose().\nfn expose(s: S) { s.expose_secret(); }",
        )],
    };
    keep(&rule, &product());
}

#[test]
fn every_client_comes_from_egress() {
    let rule = Rule {
        why: "egress alone knows which hosts and addresses may be reached: no other place builds a client or looks up a name",
        find: |source| {
            let ends: [&[&str]; 8] = [
                &["Client", "builder"],
                &["ClientBuilder", "new"],
                &["ClientBuilder", "default"],
                &["reqwest", "get"],
                &["reqwest", "ClientBuilder"],
                &["reqwest", "*"],
                &["net", "lookup_host"],
                &["TcpStream", "connect"],
            ];
            let mut found = ending(source, &ends);
            let made = ending(source, &[&["reqwest", "Client", "new"], &["reqwest", "Client", "default"]]);
            found.extend(made);
            let hides = |p: &&source::Named| {
                p.alias.is_some() && (p.ends_with(&["reqwest"]) || p.starts_with(&["reqwest", "Client"]))
            };
            found.extend(
                source.paths.iter().filter(hides).map(|p| (p.line, format!("{} under another name", p.text()))),
            );
            // `Client` may be the signed client of cdn; where it is the library's, making one is egress's.
            if source.paths.iter().any(|p| p.imported && p.path == ["reqwest", "Client"]) {
                found.extend(ending(source, &[&["Client", "new"], &["Client", "default"]]));
            }
            found.extend(
                source.method_calls("to_socket_addrs").into_iter().map(|line| (line, ".to_socket_addrs()".to_owned())),
            );
            found
        },
        doors: &[
            ("src/egress/mod.rs", "the one door"),
            ("src/egress/resolver.rs", "it looks names up, and judges every address"),
        ],
        planted: &[
            ("src/a.rs", "fn f() { reqwest::Client::builder(); }"),
            ("src/a.rs", "use reqwest::Client; fn f() { Client::new(); }"),
            ("src/a.rs", "fn f() { reqwest::ClientBuilder::new(); }"),
            ("src/a.rs", "use reqwest::Client as Http;"),
            ("src/a.rs", "use tokio::net::TcpStream; fn f() { TcpStream::connect(a); }"),
        ],
        innocent: &[("src/a.rs", "use crate::cdn::Client; fn f(http: &reqwest::Client) { Client::new(http); }")],
    };
    keep(&rule, &product());
}

#[test]
fn only_the_store_knows_sql() {
    let rule = Rule {
        why: "one documented method for each statement, each run by a test: SQL elsewhere would be seen by neither",
        find: |source| {
            let named = source.paths.iter().filter(|p| ["sqlx", "libsqlite3_sys"].contains(&p.path[0].as_str()));
            let mut found: Findings = named.map(|p| (p.line, p.text())).collect();
            let heads = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "PRAGMA "];
            let texts = source
                .tokens
                .iter()
                .filter(|t| t.kind == Kind::Str && heads.iter().any(|h| t.text.trim_start().starts_with(h)));
            found.extend(texts.map(|t| (t.line, t.text.clone())));
            found
        },
        doors: &[("src/store/", "the one door")],
        planted: &[
            ("src/a.rs", "fn f() { sqlx::query(\"x\"); }"),
            ("src/a.rs", "use sqlx::SqlitePool;"),
            ("src/a.rs", "const Q: &str = r#\"\n    SELECT 1\"#;"),
        ],
        innocent: &[("src/a.rs", "// sqlx::query(\"SELECT 1\")\nconst Q: &str = \"select one of them\";")],
    };
    keep(&rule, &product());
}

#[test]
fn the_environment_is_read_in_few_places() {
    let rule = Rule {
        why: "a setting that comes from nowhere cannot be tested or explained: take a config::Environment",
        find: |source| {
            let mut found =
                ending(source, &[&["env", "var"], &["env", "var_os"], &["env", "vars"], &["env", "vars_os"]]);
            found.extend(hidden(source, &["env"]));
            found
        },
        doors: &[
            ("src/config/environment.rs", "the one door for settings"),
            ("src/logging.rs", "whether a terminal wants colours"),
            ("src/egress/proxy.rs", "whether they name proxies that the HTTP library can use"),
            ("src/egress/resolver.rs", "the customary names of proxies, which the HTTP library reads too"),
        ],
        planted: &[("src/a.rs", "fn f() { std::env::var(\"HOME\"); }"), ("src/a.rs", "use std::env::{self, vars_os};")],
        innocent: &[("src/a.rs", "fn f() { env!(\"X\"); std::env::temp_dir(); option_env!(\"Y\"); }")],
    };
    keep(&rule, &product());
}

#[test]
fn no_task_is_detached() {
    let rule = Rule {
        why: "a detached task outlives its owner, and nobody learns that it died: use a JoinSet that dies with its owner",
        find: |source| {
            let ends: [&[&str]; 5] = [
                &["tokio", "spawn"],
                &["task", "spawn"],
                &["task", "spawn_local"],
                &["thread", "spawn"],
                &["thread", "Builder"],
            ];
            let mut found = ending(source, &ends);
            found.extend(hidden(source, &["task", "tokio"]));
            found
        },
        doors: &[],
        planted: &[
            ("src/a.rs", "fn f() { tokio::spawn(async {}); }"),
            ("src/a.rs", "use tokio::task::{JoinSet, spawn};"),
            ("src/a.rs", "use std::thread; fn f() { thread::spawn(|| ()); }"),
        ],
        innocent: &[(
            "src/a.rs",
            "fn f() { set.spawn(async {}); tokio::task::spawn_blocking(|| ()); thread::scope(|s| s.spawn(g)); }",
        )],
    };
    let mut sources = product();
    sources.extend(Source::below("cloudsim/src", false));
    keep(&rule, &sources);
}

#[test]
fn a_ban_is_lifted_only_at_a_door() {
    let rule = Rule {
        why: ".clippy.toml says what to use instead; whoever lifts a ban is a door, and doors are listed here",
        find: |source| ending(source, &[&["clippy", "disallowed_methods"], &["clippy", "disallowed_types"]]),
        doors: &[
            ("src/clock.rs", "it reads the time"),
            ("src/egress/mod.rs", "it builds the clients"),
            ("cloudsim/src/clock.rs", "it reads the simulator's time"),
        ],
        planted: &[("src/a.rs", "#[expect(clippy::disallowed_methods, reason = \"in a hurry\")]\nfn f() {}")],
        innocent: &[(
            "src/a.rs",
            "#[expect(clippy::too_many_arguments, reason = \"each is another thing\")]\nfn f() {}",
        )],
    };
    let mut sources = product();
    sources.extend(Source::below("cloudsim/src", false));
    keep(&rule, &sources);
}

#[test]
fn the_simulated_cloud_knows_nothing_of_the_product() {
    let rule = Rule {
        why: "a simulator that shares code with the client cannot catch the client's mistakes",
        find: |source| {
            let mut found: Findings =
                source.paths.iter().filter(|p| p.path[0] == "cdn_usaged").map(|p| (p.line, p.text())).collect();
            let texts = source.tokens.iter().filter(|t| t.kind == Kind::Str && t.text.contains("../src/"));
            found.extend(texts.map(|t| (t.line, t.text.clone())));
            found
        },
        doors: &[],
        planted: &[
            ("cloudsim/src/a.rs", "use cdn_usaged::rpc::signature;"),
            ("cloudsim/src/a.rs", "#[path = \"../../src/rpc/signature.rs\"]\nmod signature;"),
            ("cloudsim/src/a.rs", "include!(\"../../src/text.rs\");"),
        ],
        innocent: &[(
            "cloudsim/src/a.rs",
            "//! Not cdn_usaged.\nconst V: &str = include_str!(\"../../tests/fixtures/x.json\");",
        )],
    };
    let sources = Source::below("cloudsim", true);
    assert!(sources.len() > 20, "only {} files of the simulated cloud were found", sources.len());
    keep(&rule, &sources);
    let manifest = source::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("cloudsim/Cargo.toml"));
    assert!(manifest.contains("[dependencies]"));
    let code = manifest.lines().map(|line| line.split('#').next().unwrap_or(""));
    let names: Vec<_> = code.filter(|line| line.contains("cdn-usaged") || line.contains("path = \"..")).collect();
    assert!(names.is_empty(), "cloudsim/Cargo.toml: {}: {names:?}", rule.why);
}

#[test]
fn only_the_demonstration_uses_the_simulated_cloud() {
    let rule = Rule {
        why: "a build without the feature `demo` has no simulator in it",
        find: |source| source.paths.iter().filter(|p| p.path[0] == "cloudsim").map(|p| (p.line, p.text())).collect(),
        doors: &[("src/cli/demo.rs", "the demonstration"), ("src/cli/demo/", "its scene")],
        planted: &[
            ("src/poll/a.rs", "use cloudsim::CloudSim;"),
            ("src/a.rs", "fn f() { cloudsim::CloudSim::start(); }"),
        ],
        innocent: &[("src/a.rs", "/// As cloudsim::CloudSim does.\nfn f() {}")],
    };
    keep(&rule, &product());
}

/// Lines of code, without comments, blanks and tests.
const CODE_LINES_MAX: usize = 450;

#[test]
fn no_file_is_too_long_to_be_read() {
    fn too_long(source: &Source) -> Findings {
        let long = source.code_lines > CODE_LINES_MAX;
        long.then(|| (1, format!("{} lines of code", source.code_lines))).into_iter().collect()
    }
    let mut sources = product();
    sources.extend(Source::below("cloudsim/src", false));
    sources.extend(Source::below("packaging/src", false));
    assert!(sources.iter().any(|s| s.code_lines > 100), "lines are not counted");
    let statement = "f();\n";
    assert!(!too_long(&Source::parse("src/a.rs", &statement.repeat(CODE_LINES_MAX + 1))).is_empty());
    let light = "// why\n\n".repeat(CODE_LINES_MAX) + &statement.repeat(CODE_LINES_MAX);
    assert!(too_long(&Source::parse("src/a.rs", &light)).is_empty());
    let broken: Vec<_> = sources.iter().filter(|s| !too_long(s).is_empty()).map(|s| (&s.file, s.code_lines)).collect();
    assert!(broken.is_empty(), "more than {CODE_LINES_MAX} lines of code: split them by what they know: {broken:?}");
}

#[test]
fn the_reader_tells_code_from_comments_strings_and_tests() {
    let text = r####"
        /* a::b /* nested::comment */ still::comment */
        use std::{collections::{BTreeMap as Map, btree_map::*}, fmt::{self, Write as _}};
        const RAW: &str = r##"not::"#code"##; const C: char = '"'; const D: char = '\''; fn l<'a>(x: &'a str) {}
        fn r#match() -> impl Iterator<Item = u8> + use<> { real::code("\"not::code") }
        #[cfg(test)]
        #[path = "x.rs"]
        mod tests;
        #[cfg(test)]
        pub(super) fn helper(files: &[(&str, [u8; 4])]) -> Vec<u8> { hidden::test() }
        impl S { #[cfg(test)] fn last(&self) { hidden::last() } }
        mod inner { use super::sibling; use self::own; } use super::outer;
    "####;
    let source = Source::parse("src/cdn/wire/mod.rs", text);
    let paths: Vec<_> = source.paths.iter().filter(|p| p.path.len() > 1).map(|p| (p.line, p.text())).collect();
    let expected = [
        (3, "std::collections::BTreeMap"),
        (3, "std::collections::btree_map::*"),
        (3, "std::fmt"),
        (3, "std::fmt::Write"),
        (5, "real::code"),
        (12, "crate::cdn::wire::sibling"),
        (12, "crate::cdn::wire::inner::own"),
        (12, "crate::cdn::outer"),
    ];
    assert_eq!(paths, expected.map(|(line, path)| (line, path.to_owned())));
    let aliases: Vec<_> = source.paths.iter().filter_map(|p| p.alias.as_deref()).collect();
    assert_eq!(aliases, ["Map", "_"]);
    let texts: Vec<_> = source.tokens.iter().filter(|t| t.kind == Kind::Str).map(|t| t.text.as_str()).collect();
    assert_eq!(texts, ["not::\"#code", "\\\"not::code"]);
}
