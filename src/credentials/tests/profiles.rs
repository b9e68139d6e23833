use super::*;

/// A home with nothing in it, and the environment that points there.
fn home(variables: &[(&str, &str)]) -> (TempDir, Environment) {
    let dir = tempfile::tempdir().unwrap();
    let home = [("HOME", dir.path().to_str().unwrap())];
    let env = Environment::of(variables.iter().chain(&home).map(|(k, v)| (*k, (*v).to_owned())));
    (dir, env)
}

fn named(profile: Option<&str>) -> CredentialSource {
    CredentialSource::Profile { profile: profile.map(str::to_owned) }
}

const CLI: &str = r#"{"current": "b", "profiles": [
    {"name": "default", "mode": "AK", "access_key_id": "", "access_key_secret": ""},
    {"name": "a", "mode": "AK", "access_key_id": "A", "access_key_secret": "SA", "sts_token": "stale"},
    {"name": "b", "mode": "StsToken", "access_key_id": "B", "access_key_secret": "SB", "sts_token": "TB"},
    {"name": "half", "mode": "AK", "access_key_id": "MARK", "access_key_secret": ""},
    {"name": "no-token", "mode": "StsToken", "access_key_id": "X", "access_key_secret": "MARK"},
    {"name": "role", "mode": "RamRoleArn", "access_key_id": "X", "access_key_secret": "MARK"},
    {"name": "sso", "mode": "CloudSSO", "access_key_id": "MARK"},
    {"name": "oauth", "mode": "OAuth", "oauth_access_token": "MARK"},
    {"name": "external", "mode": "External", "process_command": "cat MARK"},
    {"name": "rsa", "mode": "RsaKeyPair"},
    {"name": "self", "mode": "ChainableRamRoleArn", "source_profile": "self", "ram_role_arn": "acs:ram::1:role/r"},
    {"name": "circle", "mode": "ChainableRamRoleArn", "source_profile": "ring", "ram_role_arn": "acs:ram::1:role/r"},
    {"name": "ring", "mode": "ChainableRamRoleArn", "source_profile": "circle", "ram_role_arn": "acs:ram::1:role/r"},
    {"name": "orphan", "mode": "ChainableRamRoleArn", "source_profile": "nobody", "ram_role_arn": "acs:ram::1:role/r"},
    {"name": "chain", "mode": "ChainableRamRoleArn", "ram_role_arn": "acs:ram::1:role/r"},
    {"name": "uri", "mode": "CredentialsURI", "credentials_uri": "http://keys.example/?k=MARK"},
    {"name": "odd", "mode": "MARKMARKMARKMARKMARKMARK"}
]}"#;

const INI: &str = "[default]\ntype = access_key\naccess_key_id = I # c\naccess_key_secret = SI\n\
                   [sts]\naccess_key_id = J\naccess_key_secret = SJ\nsecurity_token = TJ\n\
                   [rsa]\ntype = rsa_key_pair\n[ram]\ntype = ram_role_arn\naccess_key_id = MARK\naccess_key_secret = MARK\n[half]\ntype = access_key\naccess_key_secret = MARK\n";

#[tokio::test]
async fn the_cli_profile_is_the_configured_one_or_that_of_the_environment_or_the_current_one() {
    let (dir, env) = home(&[]);
    write(&dir.path().join(".aliyun/config.json"), CLI, 0o600);
    assert_eq!(keys(&offline(named(None), env.clone())).await, owned("B", "SB", Some("TB")));
    assert_eq!(keys(&offline(named(Some("a")), env.clone())).await, owned("A", "SA", None));
    let found = offline(CredentialSource::Default, env).get().await.unwrap();
    assert!(found.origin.starts_with("profile \"b\" of ") && found.origin.ends_with("config.json"), "{}", found.origin);

    let (dir, env) = home(&[("ALIBABA_CLOUD_PROFILE", "a")]);
    write(&dir.path().join(".aliyun/config.json"), CLI, 0o600);
    assert_eq!(keys(&offline(named(None), env.clone())).await, owned("A", "SA", None));
    // Read anew at every use.
    write(&dir.path().join(".aliyun/config.json"), CLI.replace("SA", "S2"), 0o600);
    assert_eq!(keys(&offline(named(None), env)).await, owned("A", "S2", None));
}

#[tokio::test]
async fn cli_profiles_that_cannot_be_used_are_named() {
    let (dir, env) = home(&[]);
    let path = dir.path().join(".aliyun/config.json");
    write(&path, CLI, 0o600);
    // Something to fall through to, which must not happen.
    write(&dir.path().join(".alibabacloud/credentials"), INI.replace("[sts]", "[role]"), 0o600);
    for (profile, expected, part) in [
        ("half", Kind::Incomplete, "access_key_secret is not"),
        ("no-token", Kind::Incomplete, "no sts_token"),
        ("role", Kind::Incomplete, "has mode RamRoleArn, but no ram_role_arn"),
        ("sso", Kind::Unsupported, "mode \"CloudSSO\", which this version cannot use; it has AK, StsToken,"),
        ("sso", Kind::Unsupported, "it needs a person at a browser"),
        ("oauth", Kind::Unsupported, "make a RAM user with an AccessKey"),
        ("external", Kind::Unsupported, "let that program serve the keys at a credentials URI"),
        ("rsa", Kind::Unsupported, "mode \"RsaKeyPair\""),
        ("self", Kind::Unreadable, "or with itself"),
        ("circle", Kind::Unreadable, "more than 4 profiles"),
        ("orphan", Kind::Incomplete, "has no profile \"nobody\""),
        ("chain", Kind::Incomplete, "has mode ChainableRamRoleArn, but no source_profile"),
        ("uri", Kind::Unreadable, "is plain http to another machine"),
        ("odd", Kind::Unsupported, "of an unknown kind"),
    ] {
        let (kind, text) = fails(&offline(named(Some(profile)), env.clone())).await;
        assert!(kind == expected && text.contains(part), "{text}");
    }
    for broken in ["{\"profiles\": \"MARK", "MARK", "[MARK]"] {
        write(&path, broken, 0o600);
        let (kind, text) = fails(&offline(named(None), env.clone())).await;
        assert!(kind == Kind::Unreadable && text.contains("not valid JSON"), "{text}");
    }
    // Valid, but of another shape: as if there were nothing.
    for odd in [
        "[]",
        "{\"profiles\": {}}",
        "{\"current\": 5, \"profiles\": [5, {\"name\": \"default\", \"access_key_id\": 5}]}",
    ] {
        write(&path, odd, 0o600);
        assert_eq!(keys(&offline(named(None), env.clone())).await, owned("I", "SI", None), "{odd}");
    }
}

#[tokio::test]
async fn the_ini_file_comes_after_the_cli_profile_and_the_environment_before_both() {
    let (dir, env) = home(&[]);
    let provider = offline(CredentialSource::Default, env);
    let sdk = dir.path().join(".alibabacloud");
    write(&sdk.join("credentials"), INI, 0o600);
    assert_eq!(keys(&provider).await, owned("I", "SI", None));
    write(&sdk.join("credentials.ini"), INI.replace("SI", "FIRST"), 0o600);
    assert_eq!(keys(&provider).await, owned("I", "FIRST", None));
    write(&dir.path().join(".aliyun/config.json"), CLI, 0o600);
    assert_eq!(keys(&provider).await, owned("B", "SB", Some("TB")));
    assert_eq!(
        provider.watched_paths(),
        [dir.path().join(".aliyun/config.json"), sdk.join("credentials.ini"), sdk.join("credentials")]
    );
    // A profile that `aliyun configure` left empty is passed over.
    write(
        &dir.path().join(".aliyun/config.json"),
        CLI.replace("\"current\": \"b\"", "\"current\": \"default\""),
        0o600,
    );
    assert_eq!(keys(&provider).await, owned("I", "FIRST", None));

    let variables = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "E".to_owned()),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "SE".to_owned()),
        ("HOME", dir.path().to_str().unwrap().to_owned()),
    ];
    let with_env = Environment::of(variables);
    assert_eq!(keys(&offline(CredentialSource::Default, with_env.clone())).await, owned("E", "SE", None));
    // The source `profile` does not look at the keys in the environment.
    assert_eq!(keys(&offline(named(None), with_env)).await, owned("I", "FIRST", None));
}

#[tokio::test]
async fn the_ini_file_and_its_section_can_be_named_by_the_environment() {
    let other = tempfile::tempdir().unwrap();
    let path = other.path().join("ini");
    write(&path, INI, 0o600);
    let file = ("ALIBABA_CLOUD_CREDENTIALS_FILE", path.to_str().unwrap());
    let disabled = ("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "true");
    let (dir, env) = home(&[file, disabled, ("ALIBABA_CLOUD_PROFILE", "sts")]);
    write(&dir.path().join(".aliyun/config.json"), CLI, 0o600);
    write(&dir.path().join(".alibabacloud/credentials"), "[sts]\naccess_key_id=NO\naccess_key_secret=NO", 0o600);
    let provider = offline(CredentialSource::Default, env.clone());
    assert_eq!(keys(&provider).await, owned("J", "SJ", Some("TJ")));
    assert_eq!(provider.watched_paths(), [path]);
    for (section, expected, part) in [
        ("rsa", Kind::Unsupported, "type \"rsa_key_pair\", which this version cannot use"),
        ("ram", Kind::Incomplete, "has type ram_role_arn, but no role_arn"),
        ("half", Kind::Incomplete, "access_key_id is not"),
    ] {
        let (kind, text) = fails(&offline(named(Some(section)), env.clone())).await;
        assert!(kind == expected && text.contains(part), "{text}");
    }
}

#[tokio::test]
async fn when_nothing_is_found_the_error_names_every_place_and_what_to_do() {
    let (dir, env) = home(&[]);
    let (kind, text) = fails(&offline(CredentialSource::Default, env.clone())).await;
    assert_eq!(kind, Kind::NotFound);
    let at = |name: &str| format!("{} (does not exist)", dir.path().join(name).display());
    for part in [
        "ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (not set)".to_owned(),
        at(".aliyun/config.json"),
        at(".alibabacloud/credentials.ini"),
        at(".alibabacloud/credentials"),
        "source = \"files\"".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    write(&dir.path().join(".aliyun/config.json"), CLI, 0o600);
    write(&dir.path().join(".alibabacloud/credentials"), INI, 0o600);
    let (kind, text) = fails(&offline(named(Some("nobody")), env)).await;
    assert_eq!(kind, Kind::NotFound);
    assert!(text.contains("(has no profile \"nobody\")") && text.contains("(has no section [nobody])"), "{text}");

    let (_, text) = fails(&offline(CredentialSource::Default, Environment::empty())).await;
    assert_eq!(text.matches("(HOME is not set)").count(), 2, "{text}");
    let disabled = Environment::of([("ALIBABA_CLOUD_CLI_PROFILE_DISABLED", "TRUE")]);
    let (_, text) = fails(&offline(named(None), disabled)).await;
    assert!(text.contains("ALIBABA_CLOUD_CLI_PROFILE_DISABLED is set"), "{text}");
}

#[tokio::test]
async fn a_profile_file_that_is_no_text_is_refused() {
    let (dir, env) = home(&[]);
    write(&dir.path().join(".alibabacloud/credentials"), b"[default]\xff", 0o600);
    let (kind, text) = fails(&offline(CredentialSource::Default, env)).await;
    assert!(kind == Kind::Unreadable && text.contains("is not UTF-8 text"), "{text}");
}
