//! Roles: assumed with keys, for a token, and as profiles name them.

use std::time::Duration;

use cloudsim::{ApiError, CloudSim, Metadata, RoleSpec, StsCall, StsFault};

use super::{
    fetched::{OWNER, cloud, id, listen, until},
    *,
};
use crate::config::Role;

const ARN: &str = "acs:ram::1000000000000001:role/reader";
const OTHER: &str = "acs:ram::1000000000000001:role/other";
const PROVIDER: &str = "acs:ram::1000000000000001:oidc-provider/cluster";

fn role(arn: &str) -> Role {
    Role { role_arn: Some(arn.to_owned()), ..Role::default() }
}

fn keys_of_owner(dir: &Path) -> CredentialSource {
    write(&dir.join("id"), OWNER, 0o600);
    write(&dir.join("secret"), "MARKsecret", 0o600);
    files(dir, false, false)
}

fn ok(cloud: &CloudSim) -> Vec<StsCall> {
    cloud.sts_calls().into_iter().filter(|call| call.outcome == "OK").collect()
}

#[tokio::test]
async fn a_role_is_assumed_with_what_is_configured_and_kept() {
    let cloud = cloud().await;
    let dir = tempfile::tempdir().unwrap();
    let long = Duration::from_secs(7200);
    cloud.add_role(RoleSpec::new(ARN, OWNER).with_external_id("MARKexternal").with_max_session(long));
    let role = Role {
        role_session_name: Some("billing@here".into()),
        session_duration: Some(long),
        policy: Some(r#"{"Version":"1","Statement":[]}"#.into()),
        external_id: Some("MARKexternal".into()),
        ..role(ARN)
    };
    let base = Box::new(keys_of_owner(dir.path()));
    let provider =
        provider_at(CredentialSource::RamRole { role, base }, Environment::empty(), &cloud.endpoint(), NOBODY);
    let found = provider.get().await.unwrap();
    assert!(found.origin.starts_with(&format!("the role {ARN} (assumed with the files ")), "{}", found.origin);
    assert_eq!(id(&provider).await, found.access_key_id);
    let calls = cloud.sts_calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        (calls[0].access_key_id.as_str(), calls[0].issued.as_deref()),
        (OWNER, Some(found.access_key_id.as_str()))
    );
    for (name, value) in [
        ("RoleSessionName", "billing@here"),
        ("DurationSeconds", "7200"),
        ("Policy", r#"{"Version":"1","Statement":[]}"#),
    ] {
        assert_eq!(calls[0].parameter(name), Some(value));
    }
    let (caller, asked) = provider.caller().await.unwrap();
    assert_eq!(caller.access_key_id, found.access_key_id);
    let who = asked.caller.unwrap();
    assert_eq!((who.account_id.as_str(), who.identity_type.as_str()), ("1000000000000001", "AssumedRoleUser"));
    assert_eq!(who.arn, "acs:ram::1000000000000001:assumed-role/reader/billing@here");
    assert!(!format!("{provider:?} {found:?} {who:?}").contains(OWNER));
}

#[tokio::test]
async fn keys_that_a_role_is_assumed_with_are_rotated_at_once_and_the_role_changed_at_once() {
    let cloud = cloud().await;
    let dir = tempfile::tempdir().unwrap();
    cloud.add_role(RoleSpec::new(ARN, OWNER));
    let source = CredentialSource::RamRole { role: Role::default(), base: Box::new(keys_of_owner(dir.path())) };
    let env = Environment::of([("ALIBABA_CLOUD_ROLE_ARN", ARN)]);
    let provider = provider_at(source, env, &cloud.endpoint(), NOBODY);
    assert_eq!(provider.watched_paths(), [dir.path().join("id"), dir.path().join("secret")]);
    let first = id(&provider).await;
    cloud.set_account_keys(OWNER, cloudsim::AccountSpec::new("LTAInext", "next"));
    write(&dir.path().join("id"), "LTAInext", 0o600);
    write(&dir.path().join("secret"), "next", 0o600);
    assert_ne!(id(&provider).await, first);
    let signers: Vec<_> = cloud.sts_calls().into_iter().map(|call| call.access_key_id).collect();
    assert_eq!(signers, [OWNER, "LTAInext"]);
    fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!((fails(&provider).await.0, provider.check_modes().unwrap_err().kind()), (Kind::Open, Kind::Open));
}

#[tokio::test]
async fn a_role_is_replaced_ahead_of_its_end_and_sts_may_be_away_meanwhile() {
    let cloud = cloud().await;
    let dir = tempfile::tempdir().unwrap();
    cloud.add_role(RoleSpec::new(ARN, OWNER).with_lifetime(Duration::from_secs(4)));
    let source = CredentialSource::RamRole { role: role(ARN), base: Box::new(keys_of_owner(dir.path())) };
    let (provider, told) = listen(provider_at(source, Environment::empty(), &cloud.endpoint(), NOBODY));
    let first = id(&provider).await;
    cloud.script_sts("AssumeRole", StsFault::Error(ApiError::throttling()), u32::MAX);
    until(async || {
        assert_eq!(id(&provider).await, first);
        told.lock().unwrap().contains(&Change::Failed)
    })
    .await;
    cloud.clear_sts_script();
    until(async || id(&provider).await != first).await;
}

#[tokio::test]
async fn what_sts_refuses_is_said_with_what_to_look_at() {
    let cloud = cloud().await;
    let dir = tempfile::tempdir().unwrap();
    cloud.add_role(RoleSpec::new(ARN, OWNER).with_external_id("MARKright"));
    let base = Box::new(keys_of_owner(dir.path()));
    let source = |role: Role| CredentialSource::RamRole { role, base: base.clone() };
    let at = |source: CredentialSource| provider_at(source, Environment::empty(), &cloud.endpoint(), NOBODY);
    let wrong_id = Role { external_id: Some("MARKwrong".into()), ..role(ARN) };
    for (role, part) in [(wrong_id.clone(), "NoPermission (HTTP 403)"), (role(OTHER), "EntityNotExist.Role (HTTP 404)")]
    {
        let (kind, text) = fails(&at(source(role))).await;
        assert!(
            kind == Kind::Refused && text.contains(part) && text.contains("the trust policy of the role"),
            "{text}"
        );
        assert!(text.contains("assume the role acs:ram::") && text.contains("with the files"), "{text}");
    }
    for (fault, expected, part) in [
        (StsFault::Reset, Kind::Unreachable, "cannot be reached"),
        (StsFault::Body(200, r#"{"Credentials":{"AccessKeyId":"MARK"}}"#.into()), Kind::Refused, "without Expiration"),
        (StsFault::Body(200, "<MARK>".into()), Kind::Refused, "no JSON"),
        (StsFault::Body(502, "<MARK>".into()), Kind::Unreachable, "HTTP 502"),
        (StsFault::Error(ApiError::throttling()), Kind::Unreachable, "Throttling"),
        (
            StsFault::Error(ApiError::new("SignatureDoesNotMatch", 400).with_message("server string to sign is:MARK")),
            Kind::Refused,
            "SignatureDoesNotMatch",
        ),
    ] {
        cloud.script_sts("AssumeRole", fault, 1);
        let (kind, text) = fails(&at(source(role(ARN)))).await;
        assert!(kind == expected && text.contains(part), "{part}: {text}");
    }
    let (kind, text) = fails(&at(source(Role::default()))).await;
    assert!(kind == Kind::Incomplete && text.contains("role_arn") && text.contains("ALIBABA_CLOUD_ROLE_ARN"), "{text}");
    let nobody = provider_at(source(role(ARN)), Environment::empty(), NOBODY, NOBODY);
    let (kind, text) = fails(&nobody).await;
    assert!(kind == Kind::Unreachable && text.contains("STS at 127.0.0.1:9 cannot be reached"), "{text}");
}

#[tokio::test]
async fn a_token_buys_a_role_and_is_read_again_whenever_it_is_spent() {
    let cloud = cloud().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    write(&file, "MARKtoken1.a_b-c\n", 0o600);
    let known =
        |token: &str| RoleSpec::new(ARN, OWNER).with_oidc(PROVIDER, token).with_lifetime(Duration::from_secs(4));
    cloud.add_role(known("MARKtoken1.a_b-c"));
    let source = CredentialSource::OidcRole {
        role: role(ARN),
        oidc_provider_arn: Some(PROVIDER.into()),
        oidc_token_file: Some(file.clone()),
    };
    let provider = provider_at(source.clone(), Environment::empty(), &cloud.endpoint(), NOBODY);
    assert_eq!(provider.watched_paths(), std::slice::from_ref(&file));
    let first = provider.get().await.unwrap();
    assert_eq!(first.origin, format!("the role {ARN} (OIDC)"));
    assert_eq!(ok(&cloud)[0].parameter("RoleSessionName"), Some("cdn-usaged"));
    write(&file, "MARKtoken2", 0o600);
    cloud.add_role(known("MARKtoken2"));
    until(async || id(&provider).await != first.access_key_id).await;

    write(&file, "MARKtoken3", 0o600);
    let (kind, text) = fails(&provider_at(source.clone(), Environment::empty(), &cloud.endpoint(), NOBODY)).await;
    assert!(kind == Kind::Refused && text.contains("AuthenticationFail.OIDCToken.Expired"), "{text}");
    for (content, expected, part) in [
        (String::new(), Kind::Incomplete, "is empty"),
        ("MARK MARK".to_owned(), Kind::Unreadable, "a blank"),
        ("x".repeat((64 << 10) + 1), Kind::Unreadable, "64 KiB"),
    ] {
        write(&file, content, 0o600);
        let (kind, text) = fails(&provider_at(source.clone(), Environment::empty(), &cloud.endpoint(), NOBODY)).await;
        assert!(kind == expected && text.contains(part) && text.contains(file.to_str().unwrap()), "{text}");
    }
    fs::remove_file(&file).unwrap();
    let gone = provider_at(source, Environment::empty(), &cloud.endpoint(), NOBODY);
    assert_eq!(fails(&gone).await.0, Kind::NotFound);
    // A pipe has no end as long as nobody writes to it.
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    let (kind, text) = fails(&gone).await;
    assert!(kind == Kind::Unreadable && text.contains("not a regular file"), "{text}");
}

#[tokio::test]
async fn a_role_of_the_environment_comes_before_profiles_and_half_of_it_is_an_error() {
    let cloud = cloud().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    write(&file, "MARKtoken", 0o600);
    write(&dir.path().join(".alibabacloud/credentials"), "[default]\naccess_key_id=I\naccess_key_secret=S", 0o600);
    cloud.add_role(RoleSpec::new(ARN, OWNER).with_oidc(PROVIDER, "MARKtoken"));
    let group = [
        ("ALIBABA_CLOUD_ROLE_ARN", ARN.to_owned()),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", PROVIDER.to_owned()),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", file.to_str().unwrap().to_owned()),
    ];
    let home = ("HOME", dir.path().to_str().unwrap().to_owned());
    let at = |variables: Vec<(&str, String)>, source: CredentialSource| {
        provider_at(source, Environment::of(variables), &cloud.endpoint(), NOBODY)
    };
    let mut whole = group.to_vec();
    whole.push(home.clone());
    let session = ("ALIBABA_CLOUD_ROLE_SESSION_NAME", "pod-1".to_owned());
    whole.push(session);
    let provider = at(whole.clone(), CredentialSource::Default);
    assert_eq!(provider.get().await.unwrap().origin, format!("the role {ARN} (OIDC)"));
    assert_eq!(ok(&cloud)[0].parameter("RoleSessionName"), Some("pod-1"));
    assert!(provider.watched_paths().contains(&file));
    let bare = CredentialSource::OidcRole { role: Role::default(), oidc_provider_arn: None, oidc_token_file: None };
    at(whole, bare.clone()).get().await.unwrap();
    for missing in 0..3 {
        let mut half = group.to_vec();
        let (name, _) = half.remove(missing);
        half.push(home.clone());
        for source in [CredentialSource::Default, bare.clone()] {
            let (kind, text) = fails(&at(half.clone(), source)).await;
            assert!(kind == Kind::Incomplete && text.contains(name), "{name}: {text}");
        }
        let (kind, text) = fails(&at(vec![group[missing].clone(), home.clone()], CredentialSource::Default)).await;
        assert!(kind == Kind::Incomplete && text.contains(&format!("{} is set", group[missing].0)), "{text}");
    }
    // The same variable names the role that is assumed with what the chain finds, and then begins no group.
    cloud.add_role(RoleSpec::new(OTHER, OWNER));
    cloud.add_account(cloudsim::AccountSpec::new("I", "S"));
    let source = CredentialSource::RamRole { role: Role::default(), base: Box::new(CredentialSource::Default) };
    let provider = at(vec![("ALIBABA_CLOUD_ROLE_ARN", OTHER.to_owned()), home], source);
    assert!(provider.get().await.unwrap().origin.contains("assumed with profile \"default\""));
}

#[tokio::test]
async fn every_mode_of_a_profile_that_needs_no_person_works() {
    let cloud = cloud().await;
    let metadata = Metadata::start(&cloud, OWNER).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    write(&token, "MARKtoken", 0o600);
    cloud.add_role(RoleSpec::new(ARN, OWNER).with_external_id("e"));
    cloud.add_role(RoleSpec::new(OTHER, OWNER).with_oidc(PROVIDER, "MARKtoken"));
    cloud.add_role(RoleSpec::new("acs:ram::1000000000000001:role/plain", OWNER));
    let cli = format!(
        r#"{{"profiles": [
        {{"name": "ram", "mode": "RamRoleArn", "access_key_id": "{OWNER}", "access_key_secret": "MARKsecret", "ram_role_arn": "{ARN}",
          "ram_session_name": "cli", "expired_seconds": 1800, "external_id": "e"}},
        {{"name": "chain", "mode": "ChainableRamRoleArn", "source_profile": "ecs", "ram_role_arn": "acs:ram::1000000000000001:role/plain"}},
        {{"name": "ecs", "mode": "EcsRamRole", "ram_role_name": "collector"}},
        {{"name": "oidc", "mode": "OIDC", "oidc_provider_arn": "{PROVIDER}", "oidc_token_file": {token:?}, "ram_role_arn": "{OTHER}",
          "role_session_name": "oidc-session"}},
        {{"name": "uri", "mode": "CredentialsURI", "credentials_uri": "{}"}}]}}"#,
        metadata.uri()
    );
    write(&dir.path().join(".aliyun/config.json"), cli, 0o600);
    let ini = format!(
        "[ini-ram]\ntype = ram_role_arn\naccess_key_id = {OWNER}\naccess_key_secret = MARKsecret\nrole_arn = {ARN}\n\
         role_session_name = ini\nexternal_id = e\n[ini-ecs]\ntype = ecs_ram_role\nrole_name = collector\n\
         [ini-oidc]\ntype = oidc_role_arn\nrole_arn = {OTHER}\noidc_provider_arn = {PROVIDER}\noidc_token_file_path = {}\n\
         [ini-oidc-2]\ntype = oidc_role_arn\nrole_arn = {OTHER}\noidc_provider_arn = {PROVIDER}\noidc_token_file = {}\n",
        token.display(),
        token.display()
    );
    write(&dir.path().join(".alibabacloud/credentials.ini"), ini, 0o600);
    let home = dir.path().to_str().unwrap();
    for (profile, origin, session) in [
        ("ram", format!("the role {ARN} (assumed with profile \"ram\""), Some("cli")),
        (
            "chain",
            "the role acs:ram::1000000000000001:role/plain (assumed with the instance role".to_owned(),
            Some("cdn-usaged"),
        ),
        ("ecs", "the instance role collector".to_owned(), None),
        ("oidc", format!("the role {OTHER} (OIDC)"), Some("oidc-session")),
        ("uri", "the credentials URI at http://127.0.0.1".to_owned(), None),
        ("ini-ram", format!("the role {ARN} (assumed with profile \"ini-ram\""), Some("ini")),
        ("ini-ecs", "the instance role collector".to_owned(), None),
        ("ini-oidc", format!("the role {OTHER} (OIDC)"), Some("cdn-usaged")),
        ("ini-oidc-2", format!("the role {OTHER} (OIDC)"), Some("cdn-usaged")),
    ] {
        let source = CredentialSource::Profile { profile: Some(profile.to_owned()) };
        let env = Environment::of([("HOME", home)]);
        let found = provider_at(source, env, &cloud.endpoint(), &metadata.origin()).get().await.unwrap();
        assert!(found.origin.starts_with(&origin), "{profile}: {}", found.origin);
        if let Some(session) = session {
            let calls = ok(&cloud);
            assert_eq!(calls.last().unwrap().parameter("RoleSessionName"), Some(session), "{profile}");
        }
    }
    let calls = cloud.sts_calls();
    assert_eq!(calls[0].parameter("DurationSeconds"), Some("1800"));
    assert!(calls[1].access_key_id.starts_with("STS."), "{calls:?}");
}

#[test]
fn sts_is_where_the_account_says_else_in_the_region_that_the_environment_or_the_profile_says() {
    let own = Url::parse("https://sts.example").unwrap();
    let at = |own: Option<&Url>, variables: &[(&str, &str)], region: Option<&str>| {
        let env = Environment::of(variables.iter().copied());
        let around = Around { env: &env, sts: own };
        role::endpoint(region, env.flag(role::VPC_ENDPOINT), around).map(|url| url.to_string())
    };
    let region = ("ALIBABA_CLOUD_STS_REGION", "cn-hangzhou");
    let vpc = ("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "true");
    assert_eq!(at(None, &[], None).unwrap(), "https://sts.aliyuncs.com/");
    assert_eq!(at(None, &[vpc], None).unwrap(), "https://sts.aliyuncs.com/");
    assert_eq!(at(None, &[region], None).unwrap(), "https://sts.cn-hangzhou.aliyuncs.com/");
    assert_eq!(at(None, &[region, vpc], None).unwrap(), "https://sts-vpc.cn-hangzhou.aliyuncs.com/");
    assert_eq!(at(None, &[region], Some("eu-central-1")).unwrap(), "https://sts.eu-central-1.aliyuncs.com/");
    assert_eq!(at(Some(&own), &[region, vpc], Some("eu-central-1")).unwrap(), "https://sts.example/");
    for odd in ["evil.example/", "a@b", "", "UP"] {
        assert_eq!(at(None, &[], Some(odd)).unwrap_err().kind(), Kind::Unreadable, "{odd}");
    }
}
