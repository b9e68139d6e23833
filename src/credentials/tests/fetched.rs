//! Keys that are fetched: from the metadata service and from an address, and what becomes of them in time.

use std::{sync::Mutex, time::Duration};

use cloudsim::{AccountSpec, CloudSim, Metadata, MetadataCall, MetadataFault};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

pub(super) const OWNER: &str = "LTAIowner";
const DEADLINE: Duration = Duration::from_secs(60);
const ECS: CredentialSource = CredentialSource::EcsRamRole { role_name: None, disable_imds_v1: None };
const ROLES: &str = "/latest/meta-data/ram/security-credentials/";

pub(super) async fn cloud() -> CloudSim {
    let cloud = CloudSim::start().await.unwrap();
    cloud.add_account(AccountSpec::new(OWNER, "MARKsecret"));
    cloud
}

async fn machine() -> (CloudSim, Metadata) {
    let cloud = cloud().await;
    let metadata = Metadata::start(&cloud, OWNER).await.unwrap();
    (cloud, metadata)
}

/// Waits until something holds.
pub(super) async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap();
}

pub(super) async fn id(provider: &Provider) -> String {
    provider.get().await.unwrap().access_key_id
}

/// What is told, as it comes.
pub(super) fn listen(provider: Provider) -> (Provider, Arc<Mutex<Vec<Change>>>) {
    let told: Arc<Mutex<Vec<Change>>> = Arc::default();
    let kept = Arc::clone(&told);
    (provider.observed(Arc::new(move |change| kept.lock().unwrap().push(change))), told)
}

fn call(method: &str, path: &str, has_token: bool, status: u16) -> MetadataCall {
    MetadataCall { method: method.to_owned(), path: path.to_owned(), has_token, status }
}

#[tokio::test]
async fn the_instance_role_s_keys_come_with_a_token_and_are_kept() {
    let (_cloud, metadata) = machine().await;
    let (provider, told) = listen(provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin()));
    let found = provider.get().await.unwrap();
    assert_eq!(found.origin, "the instance role collector (ECS metadata)");
    assert!(found.security_token.is_some() && found.expires_at.is_some());
    let clone = provider.clone();
    assert_eq!((id(&provider).await, id(&clone).await), (found.access_key_id.clone(), found.access_key_id));
    let role = format!("{ROLES}collector");
    let expected =
        [call("PUT", "/latest/api/token", false, 200), call("GET", ROLES, true, 200), call("GET", &role, true, 200)];
    assert_eq!(metadata.calls(), expected);
    assert_eq!(*told.lock().unwrap(), [Change::Expires(found.expires_at)]);
}

#[tokio::test]
async fn a_role_that_is_named_is_not_asked_for() {
    let (_cloud, metadata) = machine().await;
    let named = CredentialSource::EcsRamRole { role_name: Some("collector".into()), disable_imds_v1: None };
    provider_at(named, Environment::empty(), NOBODY, &metadata.origin()).get().await.unwrap();
    let env = Environment::of([("ALIBABA_CLOUD_ECS_METADATA", "collector")]);
    provider_at(ECS, env, NOBODY, &metadata.origin()).get().await.unwrap();
    assert_eq!(metadata.calls().len(), 4);
    assert!(metadata.calls().iter().all(|call| call.path != ROLES));
    let env = Environment::of([("ALIBABA_CLOUD_ECS_METADATA", "../MARK")]);
    let (kind, _) = fails(&provider_at(ECS, env, NOBODY, &metadata.origin())).await;
    assert_eq!((kind, metadata.calls().len()), (Kind::Unreadable, 4));
}

#[tokio::test]
async fn without_a_token_the_old_way_is_gone_unless_it_is_switched_off() {
    let never = CredentialSource::EcsRamRole { role_name: None, disable_imds_v1: Some(true) };
    let by_environment = Environment::of([("ALIBABA_CLOUD_IMDSV1_DISABLED", "true")]);
    let (_cloud, metadata) = machine().await;
    for (gives, takes) in [(false, true), (true, false)] {
        metadata.set(|settings| (settings.gives_tokens, settings.takes_tokens) = (gives, takes));
        let before = metadata.calls().len();
        provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin()).get().await.unwrap();
        assert!(!metadata.calls()[before..].last().unwrap().has_token);
        for (source, env) in [(never.clone(), Environment::empty()), (ECS, by_environment.clone())] {
            let before = metadata.calls().len();
            let (kind, text) = fails(&provider_at(source, env, NOBODY, &metadata.origin())).await;
            assert!(kind == Kind::Refused && text.contains("the ECS metadata service"), "{text}");
            let calls = metadata.calls();
            assert!(calls[before..].iter().all(|call| call.method == "PUT" || call.has_token), "{calls:?}");
        }
    }
    // The key of the configuration counts more than the variable.
    metadata.set(|settings| settings.gives_tokens = false);
    let allowed = CredentialSource::EcsRamRole { role_name: None, disable_imds_v1: Some(false) };
    provider_at(allowed, by_environment, NOBODY, &metadata.origin()).get().await.unwrap();
}

#[tokio::test]
async fn what_the_metadata_service_answers_wrongly_is_said_and_never_repeated() {
    let (_cloud, metadata) = machine().await;
    let keys = |code: &str, end: &str| {
        format!(
            r#"{{"Code":"{code}","AccessKeyId":"STS.MARK","AccessKeySecret":"MARK2","SecurityToken":"MARK3","Expiration":"{end}"}}"#
        )
    };
    for (status, body, expected, part) in [
        (200, keys("Failed", "2099-01-01T00:00:00Z"), Kind::Refused, "answers Failed"),
        (200, keys("Success", "soon"), Kind::Refused, "an Expiration that is no time"),
        (200, keys("Success", "2001-01-01T00:00:00Z"), Kind::Refused, "ended already when they were handed out"),
        (200, keys("Success", "2099-01-01T00:00:00Z").replace("Code", "Kode"), Kind::Refused, "without a Code"),
        (200, keys("Success", "2099-01-01T00:00:00Z").replace("MARK2", ""), Kind::Refused, "without AccessKeySecret"),
        (200, keys("Success", "2099-01-01T00:00:00Z").replace("MARK3", "MA RK"), Kind::Refused, "a blank"),
        (200, "<html>MARK</html>".to_owned(), Kind::Refused, "is no JSON"),
        (200, format!("{{\"MARK\":\"{}\"}}", "x".repeat(300 << 10)), Kind::Refused, "more than 256 KiB"),
        (302, "MARK".to_owned(), Kind::Refused, "HTTP 302"),
        (404, "MARK".to_owned(), Kind::NotFound, "knows no role collector"),
        (403, keys("Success", "2099-01-01T00:00:00Z"), Kind::Refused, "HTTP 403"),
        (503, "MARK".to_owned(), Kind::Unreachable, "HTTP 503"),
    ] {
        metadata.script(&format!("{ROLES}collector"), MetadataFault::Body(status, body), u32::MAX);
        let (kind, text) = fails(&provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin())).await;
        assert!(kind == expected && text.contains(part), "{part}: {text}");
        metadata.clear_script();
    }
    metadata.set(|settings| settings.role = None);
    let (kind, text) = fails(&provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin())).await;
    assert!(kind == Kind::NotFound && text.contains("none is attached to this instance"), "{text}");
    metadata.script("/", MetadataFault::Reset, u32::MAX);
    let (kind, text) = fails(&provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin())).await;
    assert!(kind == Kind::Unreachable && text.contains("100.100.100.200"), "{text}");
    metadata.clear_script();
    metadata.script("/", MetadataFault::Hang, u32::MAX);
    let (kind, text) = fails(&provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin())).await;
    assert!(kind == Kind::Unreachable && text.contains("does not answer within 2 s"), "{text}");
}

#[tokio::test]
async fn nothing_but_the_constructor_leads_to_another_metadata_service() {
    let elsewhere = [
        ("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ("HTTP_PROXY", "http://127.0.0.1:2"),
        ("http_proxy", "http://127.0.0.1:2"),
    ];
    let http = egress::api_client(Duration::from_secs(5), &egress::Surroundings::Loopback).unwrap();
    let outside = Outside::new(http, None).unwrap();
    let account = AccountName::parse("main").unwrap();
    let provider = Provider::new(account, ECS, Environment::of(elsewhere), outside);
    assert_eq!(provider.keeper.http().metadata, "http://100.100.100.200");
}

#[tokio::test]
async fn keys_are_replaced_ahead_of_their_end_and_served_while_that_fails() {
    let (_cloud, metadata) = machine().await;
    metadata.set(|settings| settings.lifetime = Duration::from_secs(4));
    let (provider, told) = listen(provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin()));
    let first = id(&provider).await;
    metadata.script("/", MetadataFault::Body(500, "MARK".to_owned()), u32::MAX);
    let failed = || told.lock().unwrap().iter().filter(|change| **change == Change::Failed).count();
    // Due, and still good.
    until(async || {
        assert_eq!(id(&provider).await, first);
        failed() > 0
    })
    .await;
    // Not asked at every use while it fails: there is a pause after each.
    let asked = metadata.calls().len();
    for _ in 0..50 {
        provider.get().await.unwrap();
    }
    assert!(metadata.calls().len() < asked + 6, "{}", metadata.calls().len() - asked);
    // Their end comes all the same.
    until(async || provider.get().await.is_err()).await;
    let (kind, text) = fails(&provider).await;
    assert!(kind == Kind::Unreachable && text.contains("HTTP 500"), "{text}");
    metadata.clear_script();
    let second = id(&provider).await;
    assert_ne!(first, second);
    // And without a failure nobody notices.
    let before = failed();
    until(async || id(&provider).await != second).await;
    assert_eq!(failed(), before);
    let ends = told.lock().unwrap().iter().filter(|change| matches!(change, Change::Expires(Some(_)))).count();
    assert!(ends >= 3, "{told:?}");
}

#[tokio::test]
async fn many_callers_make_one_fetch() {
    let (_cloud, metadata) = machine().await;
    let provider = provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin());
    let all = futures::future::join_all((0..40).map(|_| provider.get())).await;
    let ids: std::collections::BTreeSet<_> = all.into_iter().map(|keys| keys.unwrap().access_key_id).collect();
    assert_eq!((ids.len(), metadata.calls().len()), (1, 3));
}

#[tokio::test]
async fn keys_that_the_service_refused_are_fetched_anew_before_they_are_used_again() {
    let (_cloud, metadata) = machine().await;
    let provider = provider_at(ECS, Environment::empty(), NOBODY, &metadata.origin());
    let first = provider.get().await.unwrap();
    metadata.rotate();
    assert_eq!(id(&provider).await, first.access_key_id);
    provider.doubt(&first);
    let second = id(&provider).await;
    assert_ne!(second, first.access_key_id);
    // Others that were under way with the old keys say the same, and cost nothing.
    let asked = metadata.calls().len();
    provider.doubt(&first);
    assert_eq!((id(&provider).await, metadata.calls().len()), (second.clone(), asked));
    // Refused keys are not served because nothing better can be had.
    provider.doubt(&provider.get().await.unwrap());
    metadata.script("/", MetadataFault::Reset, u32::MAX);
    assert_eq!(fails(&provider).await.0, Kind::Unreachable);
}

#[tokio::test]
async fn an_address_hands_out_keys_and_its_query_is_never_shown() {
    let (_cloud, metadata) = machine().await;
    metadata.set(|settings| settings.query = "key=MARKquery".to_owned());
    let variable = "ALIBABA_CLOUD_CREDENTIALS_URI";
    let env = Environment::of([(variable, metadata.uri())]);
    let source = CredentialSource::Uri { uri: None };
    let provider = provider_at(source.clone(), env.clone(), NOBODY, NOBODY);
    let found = provider.get().await.unwrap();
    assert_eq!(found.origin, format!("the credentials URI at {}", metadata.origin()));
    assert_eq!((id(&provider).await, metadata.calls().len()), (found.access_key_id, 1));
    for (fault, expected, part) in [
        (MetadataFault::Reset, Kind::Unreachable, "cannot be reached"),
        (
            MetadataFault::Body(403, r#"{"Code":"No","Message":"token=MARK x?y=MARK"}"#.into()),
            Kind::Refused,
            "No (HTTP 403)",
        ),
        (MetadataFault::Body(200, r#"{"Code":"Nope","AccessKeySecret":"MARK"}"#.into()), Kind::Refused, "answers Nope"),
        (MetadataFault::Body(200, "MARK".into()), Kind::Refused, "no JSON"),
    ] {
        metadata.script("/credentials", fault, 1);
        let (kind, text) = fails(&provider_at(source.clone(), env.clone(), NOBODY, NOBODY)).await;
        assert!(kind == expected && text.contains(part) && text.contains(&metadata.origin()), "{text}");
    }
    for (uri, part) in [
        ("http://keys.example/?k=MARK", "is plain http to another machine"),
        ("ftp://u:MARK@127.0.0.1/", "is neither https nor http"),
        ("MARK", "is not a URL"),
    ] {
        let env = Environment::of([(variable, uri)]);
        let (kind, text) = fails(&provider_at(source.clone(), env, NOBODY, NOBODY)).await;
        assert!(kind == Kind::Unreadable && text.contains(part) && text.contains(variable), "{text}");
    }
    let (kind, text) = fails(&provider_at(source, Environment::empty(), NOBODY, NOBODY)).await;
    assert!(kind == Kind::Incomplete && text.contains(variable), "{text}");
    let configured = Url::parse(&format!("{}/credentials", metadata.origin())).unwrap();
    metadata.set(|settings| settings.query = String::new());
    provider_at(CredentialSource::Uri { uri: Some(configured) }, Environment::empty(), NOBODY, NOBODY)
        .get()
        .await
        .unwrap();
}

#[tokio::test]
async fn the_user_name_and_the_password_of_an_address_are_sent_and_never_shown() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let env = Environment::of([("ALIBABA_CLOUD_CREDENTIALS_URI", format!("http://user:MARK@{at}/keys"))]);
    let provider = provider_at(CredentialSource::Uri { uri: None }, env, NOBODY, NOBODY);
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(head).unwrap()
    };
    let (head, (kind, text)) = tokio::join!(serve, fails(&provider));
    assert!(head.starts_with("GET /keys HTTP/1.1\r\n") && !head.contains("MARK"), "{head}");
    // "user:MARK" in base64.
    assert!(head.to_ascii_lowercase().contains("authorization: basic dxnlcjpnqvjl\r\n"), "{head}");
    assert!(kind == Kind::Refused && text.contains(&format!("http://{at} answers HTTP 403")), "{text}");
}

#[tokio::test]
async fn the_chain_ends_with_the_instance_role_and_then_the_address() {
    let (_cloud, metadata) = machine().await;
    let get = async |variables: &[(&str, String)], metadata: &str| {
        let env = Environment::of(variables.iter().cloned());
        provider_at(CredentialSource::Default, env, NOBODY, metadata).get().await
    };
    let uri = ("ALIBABA_CLOUD_CREDENTIALS_URI", metadata.uri());
    let disabled = ("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true".to_owned());
    let origin = async |variables: &[(&str, String)], at: &str| get(variables, at).await.unwrap().origin;
    assert!(origin(&[], &metadata.origin()).await.starts_with("the instance role"));
    assert!(origin(std::slice::from_ref(&uri), &metadata.origin()).await.starts_with("the instance role"));
    assert!(origin(std::slice::from_ref(&uri), NOBODY).await.starts_with("the credentials URI"));
    assert!(origin(&[uri.clone(), disabled.clone()], &metadata.origin()).await.starts_with("the credentials URI"));
    metadata.set(|settings| settings.role = None);
    assert!(origin(std::slice::from_ref(&uri), &metadata.origin()).await.starts_with("the credentials URI"));
    let error = get(&[], NOBODY).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    for part in
        ["ALIBABA_CLOUD_OIDC_TOKEN_FILE", "a credentials URI", "the ECS metadata service (100.100.100.200) cannot be"]
    {
        assert!(error.to_string().contains(part), "{part}: {error}");
    }
    let error = get(&[disabled], NOBODY).await.unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("not asked"), "{error}");
    // A service that is there and says no ends the search: the next source would be another account.
    metadata.set(|settings| settings.role = Some("collector".to_owned()));
    metadata.script(ROLES, MetadataFault::Body(403, String::new()), u32::MAX);
    let error = get(&[uri], &metadata.origin()).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Refused);
}

#[tokio::test]
async fn what_the_chain_has_found_once_is_not_left_for_another_account() {
    let (_cloud, metadata) = machine().await;
    let env = Environment::of([("ALIBABA_CLOUD_CREDENTIALS_URI", metadata.uri())]);
    let provider = provider_at(CredentialSource::Default, env, NOBODY, &metadata.origin());
    provider.doubt(&provider.get().await.unwrap());
    metadata.script("/latest", MetadataFault::Reset, u32::MAX);
    let (kind, text) = fails(&provider).await;
    assert!(kind == Kind::Unreachable && text.contains("metadata"), "{text}");
    metadata.clear_script();
    assert!(provider.get().await.unwrap().origin.starts_with("the instance role"));
}
