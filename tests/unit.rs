//! The systemd unit keeps what operators rely on, and systemd itself has nothing to say against it.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// The exposure that `systemd-analyze security` may find, in tenths; it fails above, not at its threshold. What is open
/// is the network, which is the point, and that the group may read the published files.
const EXPOSURE_TENTHS_MAX: &str = "11";
/// The same with the network closed but for a proxy on this machine.
const EXPOSURE_PROXY_TENTHS_MAX: &str = "9";
/// The first version that knows `Type=notify-reload`.
const NOTIFY_RELOAD_SINCE: u32 = 253;

/// Section and key, and the values in their order.
type Unit = BTreeMap<(String, String), Vec<String>>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn unit() -> PathBuf {
    folder().join("cdn-usaged.service")
}

fn drop_ins() -> Vec<PathBuf> {
    let mut found: Vec<_> =
        fs::read_dir(folder().join("drop-ins")).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    assert!(found.len() >= 5, "{found:?}");
    assert!(found.iter().all(|path| path.extension().is_some_and(|e| e == "conf")), "{found:?}");
    found
}

fn parse(path: &Path) -> Unit {
    let text = fs::read_to_string(path).unwrap();
    let mut unit = Unit::new();
    let mut section = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = Some(name.to_owned());
        } else {
            let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("{}: {line}", path.display()));
            let section = section.clone().unwrap_or_else(|| panic!("{}: {line}", path.display()));
            unit.entry((section, key.to_owned())).or_default().push(value.to_owned());
        }
    }
    assert!(!unit.is_empty(), "{}", path.display());
    unit
}

fn values<'u>(unit: &'u Unit, section: &str, key: &str) -> &'u [String] {
    unit.get(&(section.to_owned(), key.to_owned())).unwrap_or_else(|| panic!("[{section}] {key}= is not there"))
}

fn assert_is(unit: &Unit, section: &str, expected: &[(&str, &str)]) {
    for (key, value) in expected {
        assert_eq!(values(unit, section, key), [*value], "[{section}] {key}");
    }
}

#[test]
fn the_unit_starts_reloads_and_restarts_as_promised() {
    let unit = parse(&unit());
    assert_is(&unit, "Unit", &[("StartLimitIntervalSec", "0")]);
    assert_is(
        &unit,
        "Service",
        &[
            ("Type", "notify"),
            ("NotifyAccess", "main"),
            ("ExecStart", "/usr/bin/cdn-usaged --config /etc/cdn-usaged/config.toml run"),
            ("ExecReload", "/bin/kill -HUP $MAINPID"),
            ("Restart", "always"),
            ("RestartPreventExitStatus", "78"),
            ("WatchdogSec", "60s"),
            // Transitions are to be read from the journal, all of them.
            ("LogRateLimitIntervalSec", "0"),
        ],
    );
    assert_is(&unit, "Install", &[("WantedBy", "multi-user.target")]);
}

#[test]
fn what_can_be_written_cannot_be_run() {
    let unit = parse(&unit());
    let closed: Vec<_> = values(&unit, "Service", "NoExecPaths")[0].split(' ').collect();
    for path in ["/", "/etc/cdn-usaged", "-/var/lib/cdn-usaged", "/tmp", "/var/tmp"] {
        assert!(closed.contains(&path), "{path}: {closed:?}");
    }
    let elsewhere = parse(&folder().join("drop-ins/download-folder.conf"));
    assert_eq!(values(&elsewhere, "Service", "ReadWritePaths"), values(&elsewhere, "Service", "NoExecPaths"));
    // A program that ExecReload= names has to be among what can be run.
    let open: Vec<_> = values(&unit, "Service", "ExecPaths")[0].split(' ').collect();
    assert!(open.contains(&"/usr/bin/cdn-usaged") && open.contains(&"-/usr/bin/kill"), "{open:?}");
}

#[test]
fn a_stop_is_given_more_than_the_twenty_seconds_that_it_takes_at_most() {
    let unit = parse(&unit());
    let [timeout] = values(&unit, "Service", "TimeoutStopSec") else { panic!("once") };
    let seconds: u64 = timeout.strip_suffix('s').unwrap().parse().unwrap();
    assert!((21..=60).contains(&seconds), "{timeout}");
}

#[test]
fn it_runs_as_its_own_user_whose_group_may_read_the_files() {
    let unit = parse(&unit());
    assert_is(
        &unit,
        "Service",
        &[
            ("User", "cdn-usaged"),
            ("Group", "cdn-usaged"),
            ("StateDirectory", "cdn-usaged"),
            ("StateDirectoryMode", "0750"),
            ("UMask", "0027"),
        ],
    );
    // A user that changes with every start could not own files that others read.
    assert!(!unit.contains_key(&("Service".to_owned(), "DynamicUser".to_owned())));
    let sysusers = fs::read_to_string(folder().join("cdn-usaged.sysusers")).unwrap();
    let lines: Vec<_> = sysusers.lines().filter(|line| !line.starts_with('#')).collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("u cdn-usaged - ") && line.ends_with(" /var/lib/cdn-usaged"), "{line}");
}

#[test]
fn what_the_configuration_takes_from_systemd_is_where_the_unit_puts_it() {
    let config = cdn_usaged::config::Config::load(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml"),
        &cdn_usaged::config::Environment::empty(),
    )
    .unwrap();
    let unit = parse(&unit());
    let [name] = values(&unit, "Service", "StateDirectory") else { panic!("once") };
    assert_eq!(config.storage.state_dir, Path::new("/var/lib").join(name));
}

#[test]
fn the_drop_ins_hold_what_their_comments_promise() {
    let keys = |path: &Path| {
        let unit = parse(path);
        assert!(unit.keys().all(|(section, _)| section == "Service" || section == "Unit"), "{unit:?}");
        unit.into_keys().map(|(_, key)| key).collect::<Vec<_>>()
    };
    let found: Vec<_> = drop_ins().iter().map(|path| (path.file_name().unwrap().to_owned(), keys(path))).collect();
    for (name, key) in [
        ("download-folder.conf", "ReadWritePaths"),
        ("credentials.conf", "LoadCredential"),
        ("local-proxy.conf", "IPAddressDeny"),
        ("dynamic-user.conf", "DynamicUser"),
        ("notify-reload.conf", "ReloadSignal"),
    ] {
        let (_, keys) = found.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name}"));
        assert!(keys.iter().any(|found| found == key), "{name}: {keys:?}");
    }
}

/// Runs `systemd-analyze`; none where it is not installed.
fn systemd_analyze(arguments: &[&str]) -> Option<Output> {
    match Command::new("systemd-analyze").args(arguments).output() {
        Ok(output) => Some(output),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // Past the capture of the test's output: a check that was not made is to be seen.
            let _ = writeln!(io::stderr(), "not run, as it is not installed: systemd-analyze {}", arguments.join(" "));
            None
        }
        Err(e) => panic!("systemd-analyze: {e}"),
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The unit in a folder of its own, with these drop-ins.
fn installed(drop_ins: &[(&str, &str)]) -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let text = fs::read_to_string(unit()).unwrap();
    let here = text.replace("/usr/bin/cdn-usaged", env!("CARGO_BIN_EXE_cdn-usaged"));
    assert_ne!(here, text);
    let unit = dir.path().join("cdn-usaged.service");
    fs::write(&unit, here).unwrap();
    let folder = dir.path().join("cdn-usaged.service.d");
    fs::create_dir(&folder).unwrap();
    for (name, text) in drop_ins {
        fs::write(folder.join(name), text).unwrap();
    }
    (dir, unit.to_str().unwrap().to_owned())
}

/// Whether the exposure with these drop-ins is at most so many tenths.
fn is_hardened(tenths: &str, drop_ins: &[(&str, &str)]) -> Option<bool> {
    let (_dir, unit) = installed(drop_ins);
    let output = systemd_analyze(&["security", "--offline=true", &format!("--threshold={tenths}"), &unit])?;
    assert!(said(&output).contains("Overall exposure level"), "{}", said(&output));
    Some(output.status.success())
}

#[test]
fn systemd_finds_the_unit_well_hardened_and_no_drop_in_opens_it() {
    let Some(hardened) = is_hardened(EXPOSURE_TENTHS_MAX, &[]) else { return };
    assert!(hardened);
    // One tenth more is too much: shows what the threshold means, and that drop-ins are looked at.
    assert_eq!(is_hardened(EXPOSURE_TENTHS_MAX, &[("worse.conf", "[Service]\nPrivateUsers=no\n")]), Some(false));
    for path in drop_ins() {
        let (name, text) = (path.file_name().unwrap().to_str().unwrap(), fs::read_to_string(&path).unwrap());
        let tenths = if name == "local-proxy.conf" { EXPOSURE_PROXY_TENTHS_MAX } else { EXPOSURE_TENTHS_MAX };
        assert_eq!(is_hardened(tenths, &[(name, &text)]), Some(true), "{name}");
    }
}

/// The version of systemd that is installed.
fn systemd_version() -> u32 {
    let text = said(&systemd_analyze(&["--version"]).unwrap());
    text.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn systemd_understands_every_line_of_the_unit_and_of_its_drop_ins() {
    let verify = |drop_ins: &[(&str, &str)]| {
        let (_dir, unit) = installed(drop_ins);
        systemd_analyze(&["verify", "--man=no", &unit])
    };
    let Some(output) = verify(&[]) else { return };
    assert_eq!((output.status.success(), said(&output).as_str()), (true, ""));
    for path in drop_ins() {
        let (name, text) = (path.file_name().unwrap().to_str().unwrap(), fs::read_to_string(&path).unwrap());
        let said = said(&verify(&[(name, &text)]).unwrap());
        if name == "notify-reload.conf" && systemd_version() < NOTIFY_RELOAD_SINCE {
            assert!(said.contains("notify-reload"), "its first lines say that this version is too old: {said}");
        } else {
            assert_eq!(said, "", "{name}");
        }
    }
    // Shows that the drop-ins were looked at.
    assert!(said(&verify(&[("wrong.conf", "[Service]\nNoSuchKey=1\n")]).unwrap()).contains("NoSuchKey"));
}
