//! Several files: what counts, and which one is at fault.

use tempfile::TempDir;

use super::*;

/// A folder with `config.toml` and these files of `conf.d`.
fn fleet(main: &str, parts: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), main).unwrap();
    fs::create_dir(dir.path().join("conf.d")).unwrap();
    for (name, text) in parts {
        fs::write(dir.path().join("conf.d").join(name), text).unwrap();
    }
    dir
}

fn load(dir: &TempDir) -> Result<Loaded, String> {
    let loaded = Loaded::load(&dir.path().join("config.toml"), &Environment::empty());
    loaded.map_err(|e| e.to_string().replace(dir.path().to_str().unwrap(), "DIR"))
}

fn refused(main: &str, parts: &[(&str, &str)]) -> String {
    load(&fleet(main, parts)).unwrap_err()
}

#[test]
fn of_several_files_the_last_that_has_a_key_counts_and_lists_are_replaced_whole() {
    let dir = fleet(
        "[poll]\ninterval = '2m'\npage_size = 10\n[download]\nallowed_hosts = ['a.example', 'b.example']\n[[account]]\n",
        &[
            ("20-b.toml", "[poll]\ninterval = '4m'\n[http]\n"),
            ("10-a.toml", "poll.interval = '3m'\npoll.concurrency = 2\n[download]\nallowed_hosts = ['c.example']\n"),
        ],
    );
    let Loaded { config, files, .. } = load(&dir).unwrap();
    assert_eq!(config.poll.interval, Duration::from_secs(240));
    assert_eq!((config.poll.page_size, config.poll.concurrency), (10, 2));
    assert_eq!(config.download.allowed_hosts, [HostRule::Exact("c.example".to_owned())]);
    assert_eq!(config.http, Some(Http { listen: "127.0.0.1:9469".parse().unwrap(), hosts: Vec::new(), public: false }));
    let names: Vec<_> = files.iter().map(|f| f.strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["config.toml", "conf.d/10-a.toml", "conf.d/20-b.toml"]);
}

#[test]
fn accounts_of_one_name_in_several_files_are_one_and_others_are_added() {
    let dir = fleet(
        "[[account]]\nname = 'b'\nexports = ['usage']\nendpoint = 'https://one.example'\n[[account]]\nname = 'a'\n",
        &[
            ("1.toml", "[[account]]\nname = 'c'\n[[account]]\nname = 'b'\nendpoint = 'https://two.example'\n"),
            (
                "2.toml",
                "[[account]]\nname = 'b'\n[account.credentials]\nsource = 'env'\n[[account]]\nexports = ['usage']\n",
            ),
        ],
    );
    let accounts = load(&dir).unwrap().config.accounts;
    let names: Vec<_> = accounts.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "c", "main"]);
    assert_eq!(accounts[0].endpoint.as_str(), "https://two.example/");
    assert_eq!(accounts[0].exports, [Export::Usage]);
    assert_eq!(accounts[0].credentials, CredentialSource::Env);
    assert_eq!(accounts[1].credentials, CredentialSource::Default);
    assert_eq!(accounts[3].exports, [Export::Usage]);
    // A file may also say more about the account that has no name of its own.
    let dir = fleet("[[account]]\nexports = ['usage']", &[("1.toml", "[[account]]\nname = 'main'\n")]);
    assert_eq!(load(&dir).unwrap().config.accounts.len(), 1);
}

#[test]
fn what_is_expected_of_an_account_is_a_list_and_replaced_whole() {
    let expect = |from: &str| format!("[[account]]\n[[account.expect]]\nfrom = '{from}'\n");
    let two = format!("{}[[account.expect]]\nfrom = '2026-02'\nname = 'x'\n", expect("2026-01"));
    let dir = fleet(&two, &[("1.toml", &expect("2026-03"))]);
    let config = load(&dir).unwrap().config;
    assert_eq!((config.accounts.len(), config.accounts[0].expect.len()), (1, 1));
    assert_eq!(config.accounts[0].expect[0].from.to_string(), "2026-03-01");
    let error = refused(&two, &[("1.toml", &expect("soon"))]);
    assert!(error.starts_with("DIR/conf.d/1.toml:3: account[0].expect[0].from: is \"soon\""), "{error}");
}

#[test]
fn every_account_may_come_from_the_folder_and_there_need_not_be_a_folder() {
    let dir = fleet("", &[("x.toml", "[[account]]\nname = 'only'\n")]);
    assert_eq!(load(&dir).unwrap().config.accounts[0].name.as_str(), "only");
    let error = refused("", &[("x.toml", "[poll]\npage_size = 1\n")]);
    assert_eq!(error, "DIR/config.toml: account: at least one [[account]] must be there");
    let dir = fleet(MINIMAL, &[]);
    fs::remove_dir(dir.path().join("conf.d")).unwrap();
    assert_eq!(load(&dir).unwrap().files.len(), 1);
}

#[test]
fn what_is_wrong_is_named_with_its_own_file_and_line_and_its_place_in_that_file() {
    let main = "[poll]\ninterval = 'soon'\n[[account]]\nname = 'a'\n";
    let one = "[[account]]\nname = 'x'\n[[account]]\nname = 'a'\nexport = ['usage']\n";
    let two = "\n[poll]\ninterval = '2m'\n[polll]\n\n[retry]\nbase = '10m'\n";
    let error = refused(main, &[("1.toml", one), ("2.toml", two)]);
    let starts = [
        "DIR/config.toml:2: poll.interval: \"soon\" is not a duration",
        "DIR/conf.d/1.toml:5: account[1].export: unknown key, did you mean \"exports\"?",
        "DIR/conf.d/2.toml:4: polll: unknown key, did you mean \"poll\"?",
        "DIR/conf.d/2.toml:6: retry.max: is shorter than retry.base",
    ];
    assert_eq!(error.lines().count(), starts.len(), "{error}");
    for (line, start) in error.lines().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
    for (parts, expected) in [
        (
            &[("1.toml", "[[account]]\nname='b'\n[[account]]\nname='b'\n")][..],
            "1.toml:4: account[1].name: \"b\" is the name",
        ),
        (&[("1.toml", "account = 5\n")], "conf.d/1.toml:1: account: must be a list of tables"),
        (&[("1.toml", "poll = 5\n")], "conf.d/1.toml:1: poll: must be a table, [poll], but is a whole number"),
        (&[("1.toml", "[poll]\n"), ("2.toml", "[poll]\ninterval =\n")], "DIR/conf.d/2.toml:2: not valid TOML: "),
        (
            &[("1.toml", "[[account]]\n[account.credentials]\nsource = 'files'\naccess_key_id_file = '/x'\n")],
            "DIR/conf.d/1.toml:2: account[0].credentials.access_key_secret_file: is missing",
        ),
    ] {
        let error = refused(MINIMAL, parts);
        assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn a_file_of_the_folder_that_cannot_be_read_refuses_the_whole() {
    for make in [
        (|folder: &Path| fs::write(folder.join("1.toml"), b"\xff").unwrap()) as fn(&Path),
        |folder| fs::create_dir(folder.join("1.toml")).unwrap(),
        |folder| std::os::unix::fs::symlink("nowhere", folder.join("1.toml")).unwrap(),
        |folder| fs::write(folder.join("1.toml"), "#".repeat((4 << 20) + 1)).unwrap(),
    ] {
        let dir = fleet(MINIMAL, &[("0.toml", "")]);
        make(&dir.path().join("conf.d"));
        let error = load(&dir).unwrap_err();
        assert!(error.starts_with("the configuration DIR/conf.d/1.toml cannot be read: "), "{error}");
        assert!(error.contains("take it out of DIR/conf.d"), "{error}");
    }
    let dir = fleet(MINIMAL, &[]);
    fs::remove_dir(dir.path().join("conf.d")).unwrap();
    fs::write(dir.path().join("conf.d"), "").unwrap();
    assert!(load(&dir).unwrap_err().starts_with("the configuration DIR/conf.d cannot be read: "));
}

#[test]
fn only_files_that_end_in_toml_and_are_not_hidden_count() {
    let wrong = "this is no TOML";
    let names =
        [".a.toml", ".#a.toml", "#a.toml#", "#b.toml", "a.toml~", "a.toml.bak", "a.toml.dpkg-new", "README", "a.TOML"];
    let parts: Vec<_> = names.iter().map(|name| (*name, wrong)).collect();
    let dir = fleet(MINIMAL, &parts);
    fs::create_dir(dir.path().join("conf.d/folder")).unwrap();
    assert_eq!(load(&dir).unwrap().files.len(), 1);
    fs::write(dir.path().join("conf.d/a.toml"), wrong).unwrap();
    assert!(load(&dir).is_err());
}

#[test]
fn a_file_that_names_another_source_replaces_the_keys_of_the_one_before() {
    let main = "[[account]]\n[account.credentials]\nsource = 'files'\naccess_key_id_file = '/i'\naccess_key_secret_file = '/s'\n";
    let part = |text: &str| format!("[[account]]\n[account.credentials]\n{text}");
    let source = |text: &str| {
        let dir = fleet(main, &[("1.toml", &part(text))]);
        load(&dir).map(|loaded| loaded.config.accounts[0].credentials.clone())
    };
    assert_eq!(source("source = 'env'"), Ok(CredentialSource::Env));
    let files = |id: &str, token: Option<&str>| {
        CredentialSource::Files(KeyFiles {
            access_key_id_file: id.into(),
            access_key_secret_file: "/s".into(),
            security_token_file: token.map(Into::into),
            allow_open_files: false,
        })
    };
    assert_eq!(source("security_token_file = '/t'"), Ok(files("/i", Some("/t"))));
    assert_eq!(source("source = 'files'\naccess_key_id_file = '/other'"), Ok(files("/other", None)));
    // What is replaced is still checked.
    let main = format!("{main}access_key_secret = 'MARK'\nallow_open_files = 5\n");
    let error = refused(&main, &[("1.toml", &part("source = 'env'"))]);
    assert!(error.contains("config.toml:6: account[0].credentials.access_key_secret: secrets are never"), "{error}");
    assert!(error.contains("config.toml:7: account[0].credentials.allow_open_files: must be true"), "{error}");
    assert!(error.lines().count() == 2 && !error.contains("MARK"), "{error}");
}

#[test]
fn a_secret_pasted_into_a_file_of_the_folder_is_refused_and_never_repeated() {
    for text in ["access_key_secret = 'MARK'", "secret = 'MARK'", "access_key_secret 'MARK'"] {
        let error = refused(MINIMAL, &[("1.toml", &format!("[[account]]\n[account.credentials]\n{text}\n"))]);
        assert!(error.starts_with("DIR/conf.d/1.toml:3: ") && !error.contains("MARK"), "{error}");
    }
}

#[test]
fn every_key_knows_where_it_comes_from() {
    let dir = fleet(
        "[poll]\ninterval = '2m'\npage_size = 10\n[[account]]\nname = 'a'\n",
        &[("1.toml", "[poll]\n\ninterval = '3m'\n[[account]]\nname = 'a'\nendpoint = 'https://x.example'\n")],
    );
    let env = Environment::of([("STATE_DIRECTORY", "/run/state"), ("CDN_USAGED_LOG", "warn")]);
    let loaded = Loaded::load(&dir.path().join("config.toml"), &env).unwrap();
    let entry = |path: &str| loaded.entries.iter().find(|e| e.path() == path).unwrap_or_else(|| panic!("no {path}"));
    for (path, value, origin) in [
        ("poll.interval", "3m", Origin::File { file: 1, line: 3 }),
        ("poll.idle_interval", "10m", Origin::Default),
        ("account[0].name", "a", Origin::File { file: 1, line: 5 }),
        ("account[0].endpoint", "https://x.example", Origin::File { file: 1, line: 6 }),
        ("account[0].credentials.source", "default", Origin::Default),
        ("storage.state_dir", "/run/state", Origin::Environment { variable: "STATE_DIRECTORY" }),
        ("storage.download_dir", "/run/state/exports", Origin::Default),
        ("log.level", "warn", Origin::Environment { variable: "CDN_USAGED_LOG" }),
    ] {
        let entry = entry(path);
        assert_eq!((entry.value.as_ref().and_then(|v| v.as_str()), entry.origin), (Some(value), origin), "{path}");
    }
    assert_eq!(entry("poll.page_size").origin, Origin::File { file: 0, line: 3 });
}
