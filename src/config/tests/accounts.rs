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
        ("source = 'evn'", "source: no such source, did you mean \"env\"? (allowed: default, env, files, profile)"),
        ("source = 'fils'\naccess_key_id_file = 'a'", "did you mean \"files\"?"),
        ("source = 'ecs-ram-role'", "\"ecs-ram-role\" is not in this version; it has: default, env, files, profile"),
        ("source = 'oidc-role'", "is not in this version"),
        ("source = 'ram-role'", "is not in this version"),
        ("source = 'uri'", "is not in this version"),
        ("source = 'files'\naccess_key_id_file = 'a'", "access_key_secret_file: is missing"),
        (
            "source = 'files'\naccess_key_id_file = 5\naccess_key_secret_file = 'b'",
            ":4: account[0].credentials.access_key_id_file: must be text",
        ),
        ("source = 'env'\nprofile = 'x'", "profile: belongs to source = \"profile\", but the source is \"env\""),
        ("access_key_id_file = 'x'", "belongs to source = \"files\", but the source is \"default\""),
        ("source = 'profile'\nprofile = ''", "must not be empty"),
    ] {
        let error = credentials(text).unwrap_err().to_string();
        assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
    }
    let files = credentials("source = 'files'\naccess_key_id_file = 'a'\naccess_key_secret_file = '/b'").unwrap();
    assert_eq!(
        files.accounts[0].credentials,
        CredentialSource::Files {
            access_key_id_file: "a".into(),
            access_key_secret_file: "/b".into(),
            security_token_file: None,
            allow_open_files: false
        }
    );
    let profile = credentials("source = 'profile'\nprofile = 'x'").unwrap();
    assert_eq!(profile.accounts[0].credentials, CredentialSource::Profile { profile: Some("x".into()) });
    assert_eq!(credentials("source = 'env'").unwrap().accounts[0].credentials, CredentialSource::Env);
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
