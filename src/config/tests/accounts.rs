use super::*;

#[test]
fn accounts_are_checked() {
    for (text, expected) in [
        ("", "/etc/c.toml: account: at least one [[account]] must be there"),
        ("account = []", ":1: account: at least one [[account]]"),
        ("account = [5]", "account[0]: must be a table, but is a whole number"),
        ("[account]\nname = 'a'", ":1: account: must be a list of tables, [[account]], but is a table"),
        ("[[account]]\nname = 'A'", ":2: account[0].name: \"A\" is not an account name"),
        ("[[account]]\n[[account]]", ":2: account[1].name: \"main\" is the name of an earlier account"),
        ("[[account]]\nname='a'\n[[account]]\nname='a'", ":4: account[1].name: \"a\" is the name of an earlier"),
        ("[[account]]\nexports = []", "account[0].exports: is empty"),
        ("[[account]]\nexports = ['usage', 'usage']", "names \"usage\" twice"),
        ("[[account]]\nexports = ['usage-detial']", "did you mean \"usage-detail\"?"),
        ("[[account]]\nexports = 'usage'", "must be a list"),
        ("[[account]]\nendpoint = 'cdn.aliyuncs.com'", "is not a URL"),
        ("[[account]]\nendpoint = 'http://cdn.aliyuncs.com'", "is plain http to another machine"),
        ("[[account]]\nendpoint = 'ftp://localhost'", "is neither https nor http"),
        ("[[account]]\nendpoint = 'https://a.com/x'", "has a path"),
        ("[[account]]\nendpoint = 'https://a.com/?x'", "has a query"),
        ("[[account]]\nendpoint = 'https://u:MARK@a.com'", "holds a user name or a password"),
    ] {
        let error = error(text);
        assert!(error.contains(expected) && !error.contains("MARK"), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    for endpoint in ["http://127.0.0.1:8080", "http://[::1]:1/", "http://localhost:9", "https://cdn.example.com"] {
        let config = parse(&format!("[[account]]\nendpoint = '{endpoint}'")).unwrap();
        assert_eq!(config.accounts[0].endpoint, Url::parse(endpoint).unwrap());
    }
}

#[test]
fn sources_are_checked_with_their_own_keys() {
    let credentials = |text: &str| parse(&format!("[[account]]\n[account.credentials]\n{text}"));
    for (text, expected) in [
        (
            "source = 'evn'",
            "source: no such source, did you mean \"env\"? (allowed: default, env, files, profile, ecs-ram-role, ",
        ),
        ("source = 'fils'\naccess_key_id_file = 'a'", "did you mean \"files\"?"),
        ("source = 'files'\naccess_key_id_file = 'a'", "access_key_secret_file: is missing"),
        (
            "source = 'files'\naccess_key_id_file = 5\naccess_key_secret_file = 'b'",
            ":4: account[0].credentials.access_key_id_file: must be text",
        ),
        ("source = 'env'\nprofile = 'x'", "profile: belongs to source = \"profile\", but the source is \"env\""),
        ("access_key_id_file = 'x'", "belongs to source = \"files\", but the source is \"default\""),
        ("source = 'profile'\nprofile = ''", "must not be empty"),
        ("source = 'ecs-ram-role'\nrole_name = '../x'", "role_name: must be the name of a RAM role"),
        ("source = 'ecs-ram-role'\ndisable_imds_v1 = 'yes'", "must be true or false"),
        ("source = 'oidc-role'\nrole_arn = 'reader'", "role_arn: must look like acs:ram::ACCOUNT:role/NAME"),
        ("source = 'oidc-role'\noidc_provider_arn = 'x'", "must look like acs:ram::ACCOUNT:oidc-provider/NAME"),
        ("source = 'oidc-role'\nrole_session_name = 'a b'", "role_session_name: must be 2 to 64"),
        ("source = 'oidc-role'\nsession_duration = '14m'", "which is not within \"15m\" to \"12h\""),
        (
            "source = 'oidc-role'\nexternal_id = 'x'",
            "belongs to source = \"ram-role\", but the source is \"oidc-role\"",
        ),
        ("source = 'ram-role'\npolicy = '[]'", "policy: must be a policy: an object in JSON"),
        ("source = 'ram-role'\nbase_source = 'ram-role'", "base_source: no such source"),
        ("source = 'ram-role'\nbase_source = 'files'\naccess_key_id_file = 'a'", "access_key_secret_file: is missing"),
        ("source = 'ram-role'\nprofile = 'x'", "(base_source = \"profile\" has it too)"),
        (
            "source = 'env'\nrole_arn = 'x'",
            "belongs to source = \"ram-role\" or \"oidc-role\", but the source is \"env\"",
        ),
        ("source = 'uri'\nuri = 'http://keys.example/'", "is plain http to another machine"),
        ("source = 'uri'\nuri = 'https://a/?MARK'", "a user name or a query, which may be a secret"),
        ("source = 'uri'\nuri = 'https://u:MARK@a/'", "set ALIBABA_CLOUD_CREDENTIALS_URI in the environment"),
        ("source = 'uri'\nuri = 'ftp://a/'", "is neither https nor http"),
    ] {
        let error = credentials(text).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
        assert!(!error.contains("MARK"), "{error}");
    }
    let files = credentials("source = 'files'\naccess_key_id_file = 'a'\naccess_key_secret_file = '/b'").unwrap();
    assert_eq!(
        files.accounts[0].credentials,
        CredentialSource::Files(KeyFiles {
            access_key_id_file: "a".into(),
            access_key_secret_file: "/b".into(),
            security_token_file: None,
            allow_open_files: false
        })
    );
    let profile = credentials("source = 'profile'\nprofile = 'x'").unwrap();
    assert_eq!(profile.accounts[0].credentials, CredentialSource::Profile { profile: Some("x".into()) });
    assert_eq!(credentials("source = 'env'").unwrap().accounts[0].credentials, CredentialSource::Env);
}

#[test]
fn roles_are_read_with_what_they_are_assumed_with() {
    let source = |text: &str| {
        let config = parse(&format!("[[account]]\n[account.credentials]\nsource = {text}")).unwrap();
        config.accounts[0].credentials.clone()
    };
    assert_eq!(source("'ecs-ram-role'"), CredentialSource::EcsRamRole { role_name: None, disable_imds_v1: None });
    assert_eq!(
        source("'ecs-ram-role'\nrole_name = 'r'\ndisable_imds_v1 = false"),
        CredentialSource::EcsRamRole { role_name: Some("r".into()), disable_imds_v1: Some(false) }
    );
    let arn = Some("acs:ram::1:role/reader".to_owned());
    let role = Role { role_arn: arn, session_duration: Some(Duration::from_secs(7200)), ..Role::default() };
    assert_eq!(
        source(
            "'ram-role'\nrole_arn = 'acs:ram::1:role/reader'\nsession_duration = '2h'\nbase_source = 'profile'\nprofile = 'p'"
        ),
        CredentialSource::RamRole { role, base: Box::new(CredentialSource::Profile { profile: Some("p".into()) }) }
    );
    assert_eq!(
        source("'ram-role'"),
        CredentialSource::RamRole { role: Role::default(), base: Box::new(CredentialSource::Default) }
    );
    assert_eq!(
        source("'oidc-role'\noidc_token_file = '/t'"),
        CredentialSource::OidcRole {
            role: Role::default(),
            oidc_provider_arn: None,
            oidc_token_file: Some("/t".into())
        }
    );
    assert_eq!(source("'uri'"), CredentialSource::Uri { uri: None });
    let uri = Url::parse("http://127.0.0.1:1/k").unwrap();
    assert_eq!(source("'uri'\nuri = 'http://127.0.0.1:1/k'"), CredentialSource::Uri { uri: Some(uri) });
}

#[test]
fn sts_is_on_this_machine_when_the_gateway_is_and_else_where_it_is_said() {
    let sts = |text: &str| parse(&format!("[[account]]\n{text}")).unwrap().accounts[0].sts_endpoint.clone();
    let url = |text: &str| Some(Url::parse(text).unwrap());
    assert_eq!(sts(""), None);
    assert_eq!(sts("endpoint = 'http://127.0.0.1:5'"), url("http://127.0.0.1:5"));
    assert_eq!(
        sts("sts_endpoint = 'https://sts.eu-central-1.aliyuncs.com'"),
        url("https://sts.eu-central-1.aliyuncs.com")
    );
    let both = "endpoint = 'http://127.0.0.1:5'\nsts_endpoint = 'http://[::1]:6'";
    assert_eq!(sts(both), url("http://[::1]:6"));
    let error = error("[[account]]\nsts_endpoint = 'http://sts.aliyuncs.com'");
    assert!(error.contains("sts_endpoint: is plain http to another machine"), "{error}");
}

#[test]
fn a_pasted_secret_is_never_repeated() {
    for text in [
        "[[account]]\naccess_key_secret = 'MARK'",
        "[[account]]\n[account.credentials]\naccess_key_secret = 'MARK'",
        "[[account]]\n[account.credentials]\nsource = 'MARK'",
        "[[account]]\n[account.credentials]\nsource = 'env'\nsecret = 'MARK'",
        "[[account]]\n[account.credentials]\naccess_key_secret = 'MARK",
        "[[account]]\n[account.credentials]\naccess_key_secret = MARK",
        "[[account]]\n[account.credentials]\naccess_key_secret MARK",
        "[[account]]\ncredentials = 'MARK'",
    ] {
        let error = parse(text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("MARK"), "{error}");
        assert!(error.to_string().starts_with("/etc/c.toml:"), "{error}");
    }
    let pasted = error("[[account]]\n[account.credentials]\naccess_key_secret = 'MARK'");
    assert!(pasted.contains(":3:") && pasted.contains("secrets are never written in this file"), "{pasted}");
    assert!(pasted.contains("access_key_secret_file = PATH"), "{pasted}");
}
