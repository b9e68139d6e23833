//! STS, the metadata service and the credentials URI, as strict as the documentation.

mod common;

use std::time::Duration;

use cloudsim::{CloudSim, Metadata, RoleSpec, StsFault};
use common::{Call, ID, Reply, SECRET, address, call, cloud, exchange, request};

const ARN: &str = "acs:ram::1000000000000001:role/reader";
const PROVIDER: &str = "acs:ram::1000000000000001:oidc-provider/cluster";

fn sts(cloud: &CloudSim, action: &str, params: &[(&str, &str)]) -> Call {
    let mut call = call(cloud, action, params);
    call.version = "2015-04-01".to_owned();
    call
}

async fn with_token(cloud: &CloudSim, query: &str, body: &str, extra: &str) -> Reply {
    let date = cloud.clock().now().strftime("%Y-%m-%dT%H%%3A%M%%3A%SZ").to_string();
    let head = format!(
        "POST /?Action=AssumeRoleWithOIDC&Version=2015-04-01&Format=JSON&Timestamp={date}{query} HTTP/1.1\r\nhost: x\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n{extra}\r\n{body}",
        body.len()
    );
    exchange(address(cloud), head.as_bytes()).await
}

#[tokio::test]
async fn the_caller_is_named_to_whoever_signs_right() {
    let cloud = cloud().await;
    let right = sts(&cloud, "GetCallerIdentity", &[]).v3(&cloud).await;
    assert_eq!((right.status, right.json()["AccountId"].as_str().unwrap()), (200, "1000000000000001"));
    assert_eq!(right.json()["IdentityType"], "RAMUser");
    let mut wrong = sts(&cloud, "GetCallerIdentity", &[]);
    wrong.secret = "another".to_owned();
    assert_eq!(wrong.v3(&cloud).await.code(), "SignatureDoesNotMatch");
    let mut old = sts(&cloud, "GetCallerIdentity", &[]);
    old.version = "2018-05-10".to_owned();
    assert_eq!(old.v3(&cloud).await.code(), "InvalidVersion");
    assert_eq!(sts(&cloud, "GetCallerIdentity", &[("X", "1")]).v3(&cloud).await.code(), "InvalidParameter");
    let outcomes: Vec<_> = cloud.sts_calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, ["OK", "SignatureDoesNotMatch", "InvalidVersion", "InvalidParameter"]);
    assert_eq!(cloud.gateway_call_count(), 0);
}

#[tokio::test]
async fn a_role_is_handed_out_for_right_parameters_alone_and_its_keys_work_until_they_end() {
    let cloud = cloud().await;
    cloud.add_role(RoleSpec::new(ARN, ID).with_external_id("e"));
    let good = [("RoleArn", ARN), ("RoleSessionName", "s1"), ("ExternalId", "e"), ("DurationSeconds", "900")];
    let reply = sts(&cloud, "AssumeRole", &good).v3(&cloud).await;
    let keys = &reply.json()["Credentials"];
    let text = |name: &str| keys[name].as_str().unwrap().to_owned();
    let mut page = call(&cloud, common::DETAIL, &[]);
    (page.id, page.secret, page.token) = (text("AccessKeyId"), text("AccessKeySecret"), Some(text("SecurityToken")));
    assert_eq!(page.v3(&cloud).await.status, 200);
    let mut who = sts(&cloud, "GetCallerIdentity", &[]);
    (who.id, who.secret, who.token) = (page.id.clone(), page.secret.clone(), page.token.clone());
    assert_eq!(who.v3(&cloud).await.json()["Arn"], "acs:ram::1000000000000001:assumed-role/reader/s1");
    cloud.clock().advance(Duration::from_secs(901));
    let mut late = call(&cloud, common::DETAIL, &[]);
    (late.id, late.secret, late.token) = (page.id, page.secret, page.token);
    assert_eq!(late.v3(&cloud).await.code(), "InvalidSecurityToken.Expired");

    for (change, code) in [
        (("RoleArn", "acs:ram::1:role/none"), "EntityNotExist.Role"),
        (("RoleSessionName", "a b"), "InvalidParameter.RoleSessionName"),
        (("ExternalId", "f"), "NoPermission"),
        (("DurationSeconds", "899"), "InvalidParameter.DurationSeconds"),
        (("DurationSeconds", "3601"), "InvalidParameter.DurationSeconds"),
        (("Policy", "[]"), "InvalidParameter.PolicyGrammar"),
        (("Unknown", "1"), "InvalidParameter"),
        (("RoleArn", ""), "MissingRoleArn"),
    ] {
        let mut params: Vec<_> = good.into_iter().filter(|(name, _)| *name != change.0).collect();
        params.push(change);
        assert_eq!(sts(&cloud, "AssumeRole", &params).v3(&cloud).await.code(), code, "{change:?}");
    }
}

#[tokio::test]
async fn a_token_is_taken_from_an_unsigned_form_and_from_nowhere_else() {
    let cloud = cloud().await;
    cloud.add_role(RoleSpec::new(ARN, ID).with_oidc(PROVIDER, "tok"));
    let form = |token: &str| format!("RoleArn={ARN}&RoleSessionName=s1&OIDCProviderArn={PROVIDER}&OIDCToken={token}");
    let good = with_token(&cloud, "", &form("tok"), "").await;
    assert_eq!(good.status, 200, "{}", good.text());
    let wrong = with_token(&cloud, "", &form("other"), "").await;
    assert_eq!(wrong.code(), "AuthenticationFail.OIDCToken.Expired");
    let leaked = with_token(&cloud, "&OIDCToken=tok", &form("tok"), "").await;
    assert_eq!(leaked.code(), "InvalidParameter");
    let signed = with_token(&cloud, "", &form("tok"), "authorization: ACS3-HMAC-SHA256 Credential=x\r\n").await;
    assert_ne!(signed.status, 200);
    let shown = format!("{:?}", cloud.sts_calls());
    assert!(!shown.contains("tok\"") && shown.contains("OIDCProviderArn"), "{shown}");
    assert!(!SECRET.is_empty());
}

#[tokio::test]
async fn a_scripted_fault_of_sts_happens_so_often() {
    let cloud = cloud().await;
    cloud.script_sts("GetCallerIdentity", StsFault::Body(502, "x".to_owned()), 1);
    assert_eq!(sts(&cloud, "GetCallerIdentity", &[]).v3(&cloud).await.status, 502);
    assert_eq!(sts(&cloud, "GetCallerIdentity", &[]).v3(&cloud).await.status, 200);
}

#[tokio::test]
async fn the_metadata_service_wants_its_own_token_where_it_is_strict() {
    let cloud = cloud().await;
    let metadata = Metadata::start(&cloud, ID).await.unwrap();
    metadata.set(|settings| settings.answers_v1 = false);
    let at = |path: &str| format!("{}{path}", metadata.origin());
    let roles = at("/latest/meta-data/ram/security-credentials/");
    assert_eq!(request("GET", &roles, &[]).await.status, 403);
    assert_eq!(request("PUT", &at("/latest/api/token"), &[]).await.status, 400);
    let ttl = [("X-aliyun-ecs-metadata-token-ttl-seconds", "21600")];
    let token = request("PUT", &at("/latest/api/token"), &ttl).await.text();
    let header = [("X-aliyun-ecs-metadata-token", token.as_str())];
    assert_eq!(request("GET", &roles, &header).await.text(), "collector\n");
    let keys = request("GET", &format!("{roles}collector"), &header).await.json();
    assert_eq!(keys["Code"], "Success");
    assert_eq!(request("GET", &format!("{roles}other"), &header).await.status, 404);
    assert_eq!(request("GET", &roles, &[("X-aliyun-ecs-metadata-token", "made-up")]).await.status, 403);
    metadata.set(|settings| settings.query = "k=v".to_owned());
    assert_eq!(request("GET", &at("/credentials"), &[]).await.status, 403);
    assert_eq!(request("GET", &metadata.uri(), &[]).await.json()["AccessKeyId"], keys["AccessKeyId"]);
}
