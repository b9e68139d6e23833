//! Where keys come from, with the real binary: roles, tokens, addresses, the metadata service.

use std::{fs, process::Command, time::Duration};

use cloudsim::{AccountSpec, ApiError, GatewayFault, GatewayMatch, Metadata, RoleSpec, StsFault};

use crate::{
    common::{DETAIL, MAIN, Running, World, csv_path, finish, get, until},
    faults::machine::leave_out,
    secrets::assert_clean,
};

pub const ARN: &str = "acs:ram::1000000000000001:role/reader";
const PROVIDER: &str = "acs:ram::1000000000000001:oidc-provider/cluster";
const URI: &str = "ALIBABA_CLOUD_CREDENTIALS_URI";

/// Has `main` assume a role with its keys.
pub fn assumes_a_role(world: &mut World) {
    let (id, secret) = (world.key_file("main", "id"), world.key_file("main", "secret"));
    world.set_credentials(
        "main",
        &format!(
            "source = \"ram-role\"\nrole_arn = \"{ARN}\"\nbase_source = \"files\"\naccess_key_id_file = {id:?}\n\
             access_key_secret_file = {secret:?}"
        ),
    );
}

/// The value of a metric of `main`, if it is there.
async fn metric(http: &str, name: &str) -> Option<f64> {
    let (_, body) = get(http, "/metrics").await?;
    let line = body.lines().find(|line| line.starts_with(&format!("cdn_usaged_{name}{{account=\"main\"}}")))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test]
async fn a_run_with_an_assumed_role_an_oidc_role_or_an_address_stores_everything() {
    let mut world = World::start().await;
    let metadata = Metadata::start(&world.cloud, MAIN).await.unwrap();
    world.add("1", cloudsim::Object::default());
    world.cloud.add_role(RoleSpec::new(ARN, MAIN));
    assumes_a_role(&mut world);
    let log = world.once(0).await;
    let refreshed = log.event("credentials.refreshed");
    assert!(refreshed["origin"].as_str().unwrap().starts_with(&format!("the role {ARN} (assumed with")), "{refreshed}");

    world.cloud.add_role(RoleSpec::new(ARN, MAIN).with_oidc(PROVIDER, "a-token"));
    let token = world.path().join("token");
    fs::write(&token, "a-token").unwrap();
    world.set_credentials(
        "main",
        &format!("source = \"oidc-role\"\noidc_provider_arn = \"{PROVIDER}\"\noidc_token_file = {token:?}"),
    );
    world.add("2", cloudsim::Object::default());
    let run = finish(world.command(["once"]).env("ALIBABA_CLOUD_ROLE_ARN", ARN)).await.expect(0);
    assert_eq!(run.event("credentials.refreshed")["origin"], format!("the role {ARN} (OIDC)"));

    world.set_credentials("main", "source = \"uri\"");
    world.add("3", cloudsim::Object::default());
    finish(world.command(["once"]).env(URI, metadata.uri())).await.expect(0);
    assert_eq!(world.published(), ["1", "2", "3"].map(csv_path));
    let signers: Vec<_> = world.cloud.gateway_calls().into_iter().map(|call| call.access_key_id).collect();
    assert!(signers.len() >= 3 && signers.iter().all(|id| id.starts_with("STS.")), "{signers:?}");
}

#[tokio::test]
async fn a_daemon_replaces_its_keys_ahead_of_their_end_and_outlives_an_outage_of_sts() {
    let mut world = World::start().await;
    world.cloud.add_role(RoleSpec::new(ARN, MAIN).with_lifetime(Duration::from_secs(4)));
    assumes_a_role(&mut world);
    let http = world.serve_http();
    let daemon = world.spawn(&["run"]);
    daemon.await_events("credentials.refreshed", 1).await;
    daemon.await_events("poll.completed", 1).await;
    let end = metric(&http, "credentials_expiry_timestamp_seconds").await.unwrap();
    assert!(end > 1.7e9, "{end}");
    assert_eq!(metric(&http, "credentials_refresh_failures_total").await, Some(0.0));
    // Ahead of the end, without a failure in between.
    daemon.await_events("credentials.refreshed", 3).await;
    assert!(metric(&http, "credentials_expiry_timestamp_seconds").await.unwrap() > end);
    assert!(daemon.events("poll.failed").is_empty() && daemon.events("credentials.refresh_failed").is_empty());

    world.cloud.script_sts("AssumeRole", StsFault::Error(ApiError::new("InternalError", 500)), u32::MAX);
    daemon.await_events("credentials.refresh_failed", 1).await;
    let failed = daemon.events("credentials.refresh_failed").remove(0);
    assert!(failed["error"].as_str().unwrap().contains("InternalError"), "{failed}");
    daemon.await_events("poll.failed", 1).await;
    assert!(metric(&http, "credentials_refresh_failures_total").await.unwrap() >= 1.0);
    world.add("late", cloudsim::Object::default());
    world.cloud.clear_sts_script();
    daemon.until("the task is stored", async || world.count("stored").await == 1).await;
    // A source that is away is no wrong key.
    assert!(daemon.events("credentials.rejected").is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn keys_that_the_gateway_refuses_are_assumed_anew_at_once() {
    let mut world = World::start().await;
    world.cloud.add_role(RoleSpec::new(ARN, MAIN));
    assumes_a_role(&mut world);
    let daemon = world.spawn(&["run"]);
    daemon.await_events("poll.completed", 1).await;
    let refused = GatewayFault::Error(ApiError::new("InvalidSecurityToken.Expired", 400));
    world.cloud.script_gateway(GatewayMatch::Any, refused, 1);
    until("the role is assumed again", async || world.cloud.sts_calls().len() == 2).await;
    daemon.await_more("poll.completed", 3).await;
    assert_eq!(world.cloud.sts_calls().len(), 2);
    assert!(daemon.events("credentials.rejected").is_empty() && daemon.events("poll.failed").is_empty());
    daemon.stop().await;
}

#[tokio::test]
async fn no_source_of_keys_shows_a_secret_when_it_fails() {
    let mut world = World::start().await;
    world.add_account("other", AccountSpec::new("LTAIother", "MARKsecret-of-other"), &[DETAIL]);
    world.forget_account("other");
    world.set("log.level", "\"trace\"");
    world.set("retry.call_attempts", "1");
    let metadata = Metadata::start(&world.cloud, MAIN).await.unwrap();
    metadata.set(|settings| settings.query = "key=MARKother-query".to_owned());
    let token = world.path().join("token");
    fs::write(&token, "MARKtoken-of-the-provider").unwrap();
    world.cloud.add_role(RoleSpec::new(ARN, MAIN).with_external_id("MARKother-external"));
    let body = r#"{"Code":"Success","Message":"token MARKtoken","AccessKeyId":"MARKid","AccessKeySecret":"MARKsecret","SecurityToken":"MARKtoken"}"#;
    let role = format!("role_arn = \"{ARN}\"\n");
    let oidc = format!("source = \"oidc-role\"\n{role}oidc_provider_arn = \"{PROVIDER}\"\noidc_token_file = {token:?}");
    let ram = format!("source = \"ram-role\"\n{role}external_id = \"MARKother-wrong\"\nbase_source = \"env\"");
    let mut seen = 0;
    for (credentials, uri) in [
        (oidc.as_str(), metadata.uri()),
        (ram.as_str(), metadata.uri()),
        ("source = \"uri\"", metadata.uri()),
        ("source = \"uri\"", "http://user:MARKother@keys.example/?k=MARKother".to_owned()),
        ("source = \"uri\"", "http://user:MARKother@127.0.0.1:9/?k=MARKother".to_owned()),
    ] {
        world.set_credentials("main", credentials);
        for fault in [None, Some((200, body)), Some((400, body)), Some((500, "MARKsecret"))] {
            world.cloud.clear_sts_script();
            metadata.clear_script();
            if let Some((status, body)) = fault {
                for action in ["AssumeRole", "AssumeRoleWithOIDC"] {
                    world.cloud.script_sts(action, StsFault::Body(status, body.to_owned()), u32::MAX);
                }
                metadata.script("/", cloudsim::MetadataFault::Body(status, body.to_owned()), u32::MAX);
            }
            for args in [["check", "--online"].as_slice(), &["check", "--online", "--json"], &["once"]] {
                let mut command = world.command(args);
                command
                    .env(URI, &uri)
                    .env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAIother")
                    .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "MARKsecret-of-other")
                    .env("RUST_LOG", "trace")
                    .env("CDN_USAGED_LOG", "trace");
                let run = finish(&mut command).await;
                assert!(!run.stderr.contains("panicked"), "{run}");
                assert_clean(&format!("{args:?} with {credentials}"), &run.stdout);
                assert_clean(&format!("the log of {args:?} with {credentials}"), &run.stderr);
                seen += usize::from(run.code() == 1);
            }
        }
    }
    // All fail but for the address without a fault.
    assert_eq!(seen, 5 * 4 * 3 - 3);
}

/// What runs in a network of its own, where the address of the metadata service is this test's.
const INSIDE: &str = "CDN_USAGED_TEST_INSIDE";

#[tokio::test]
async fn the_binary_gets_its_keys_from_the_metadata_service_and_no_proxy_or_setting_leads_elsewhere() {
    if std::env::var_os(INSIDE).is_none() {
        let this = std::env::current_exe().unwrap();
        let name =
            "credentials::the_binary_gets_its_keys_from_the_metadata_service_and_no_proxy_or_setting_leads_elsewhere";
        let net = "ip link set lo up && ip addr add 100.100.100.200/32 dev lo";
        // With a user namespace where anybody may have one, else as root.
        let works = |flags: &&str| {
            let tried = Command::new("unshare").args([*flags, "sh", "-c", net]).output();
            tried.is_ok_and(|output| output.status.success())
        };
        let Some(flags) = ["-rn", "-n"].into_iter().find(works) else {
            return leave_out("there is no unshare(1) or ip(8), or no network of one's own is allowed");
        };
        let line = format!("{net} && exec \"$0\" --exact {name} --nocapture");
        let mut command = tokio::process::Command::new("unshare");
        command.args([flags, "sh", "-c", &line]).arg(this).env(INSIDE, "1").kill_on_drop(true);
        let output = tokio::time::timeout(crate::common::DEADLINE, command.output()).await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let mut world = World::start().await;
    let at = "100.100.100.200:80".parse().unwrap();
    let metadata = Metadata::start_at(&world.cloud, MAIN, at).await.unwrap();
    metadata.set(|settings| settings.answers_v1 = false);
    world.add("1", cloudsim::Object::default());
    for source in ["source = \"ecs-ram-role\"", "source = \"default\""] {
        world.set_credentials("main", source);
        let before = metadata.calls().len();
        let mut command = world.command(["once"]);
        command
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("ALL_PROXY", "http://127.0.0.1:9")
            .env("NO_PROXY", "127.0.0.1")
            .env("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:9");
        let run = finish(&mut command).await.expect(0);
        assert_eq!(run.event("credentials.refreshed")["origin"], "the instance role collector (ECS metadata)");
        assert_eq!(metadata.calls().len(), before + 3);
    }
    assert_eq!(world.published(), [csv_path("1")]);
    // Without a role there are no keys, and the daemon finds them once one is attached.
    metadata.set(|settings| settings.role = None);
    world.set_credentials("main", "source = \"ecs-ram-role\"\ndisable_imds_v1 = true");
    world.add("2", cloudsim::Object::default());
    let daemon: Running = world.spawn(&["run"]);
    daemon.await_events("credentials.rejected", 1).await;
    let rejected = daemon.events("credentials.rejected").remove(0);
    assert!(rejected["error"].as_str().unwrap().contains("none is attached to this instance"), "{rejected}");
    metadata.set(|settings| settings.role = Some("collector".to_owned()));
    daemon.until("the task is stored", async || world.count("stored").await == 2).await;
    daemon.stop().await;
}
