//! What the gateway accepts, refuses and says.

mod common;

use std::time::Duration;

use cloudsim::{AccountSpec, Export, TaskSpec};
use common::{Call, DETAIL, ID, SECRET, call, cloud, ids, inside, page};
use jiff::{SignedDuration, Timestamp};

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

#[tokio::test]
async fn a_nonce_is_good_for_one_call() {
    let cloud = cloud().await;
    let once = call(&cloud, DETAIL, &[]);
    assert_eq!(once.v3(&cloud).await.status, 200);
    for reply in [once.v3(&cloud).await, once.v1(&cloud).await] {
        assert_eq!((reply.status, reply.code().as_str()), (400, "SignatureNonceUsed"));
    }
}

#[tokio::test]
async fn a_date_is_good_for_fifteen_minutes_either_way() {
    let cloud = cloud().await;
    cloud.clock().set_speed(0.0);
    for (minutes, ok) in [(14, true), (-14, true), (16, false), (-16, false)] {
        let mut late = call(&cloud, DETAIL, &[]);
        late.date += SignedDuration::from_mins(minutes);
        let reply = late.v3(&cloud).await;
        let code = if ok { "" } else { "InvalidTimeStamp.Expired" };
        assert_eq!(reply.code(), code, "{minutes}");
        late.nonce.push('1');
        assert_eq!(late.v1(&cloud).await.code(), code, "{minutes}");
    }
    cloud.clock().set_skew(hours(1));
    let reply = call(&cloud, DETAIL, &[]).v3(&cloud).await;
    assert_eq!(reply.code(), "InvalidTimeStamp.Expired");
    let date = reply.header("Date").unwrap();
    let expected = (cloud.clock().now() + hours(1)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    assert_eq!(date, expected, "the skew can be seen in the answer");
    cloud.clock().set_skew(hours(0));
    let by_wall = call(&cloud, DETAIL, &[]);
    cloud.clock().set_dates_by_wall(true);
    cloud.clock().advance(Duration::from_secs(24 * 3600));
    assert_eq!(by_wall.v3(&cloud).await.status, 200, "the day that passed is the tasks' alone");
    assert_eq!(call(&cloud, DETAIL, &[]).v3(&cloud).await.code(), "InvalidTimeStamp.Expired");
}

async fn code(call: Call, cloud: &cloudsim::CloudSim) -> (u16, String) {
    let reply = call.v3(cloud).await;
    assert!(reply.header("X-Acs-Request-Id").is_some());
    (reply.status, reply.code())
}

#[tokio::test]
async fn wrong_keys_and_signatures_are_told_apart() {
    let cloud = cloud().await;
    let good = || call(&cloud, DETAIL, &[("PageSize", "7")]);
    let is = |status: u16, code: &str| (status, code.to_owned());
    let wrong = Call { secret: "wrong".to_owned(), ..good() };
    assert_eq!(code(wrong.clone(), &cloud).await, is(400, "SignatureDoesNotMatch"));
    let text = wrong.v1(&cloud).await.text();
    let said = "server string to sign is:POST&amp;%2F&amp;AccessKeyId%3DLTAItest%26Action%3D";
    assert!(text.contains(said), "{text}");
    let nobody = Call { id: "LTAInobody".to_owned(), ..good() };
    assert_eq!(code(nobody, &cloud).await, is(404, "InvalidAccessKeyId.NotFound"));
    cloud.set_account_active(ID, false);
    assert_eq!(code(good(), &cloud).await, is(400, "InvalidAccessKeyId.Inactive"));
    cloud.set_account_active(ID, true);
    let other = Call { version: "2014-11-11".to_owned(), ..good() };
    assert_eq!(code(other, &cloud).await, is(400, "NoSuchVersion"));
    let unknown = Call { action: "DescribeNothing".to_owned(), ..good() };
    assert_eq!(code(unknown, &cloud).await, is(404, "InvalidApi.NotFound"));
    let bare = Call { nonce: String::new(), ..good() };
    assert_eq!(code(bare, &cloud).await, is(400, "MissingSignatureNonce"));
    let head = Call { method: "PUT", ..good() };
    assert_eq!(code(head, &cloud).await, is(403, "UnsupportedHTTPMethod"));
    let extra = Call { unsigned: vec![("x-acs-extra".to_owned(), "1".to_owned())], ..good() };
    assert_eq!(code(extra, &cloud).await, is(400, "IncompleteSignature"));
    assert_eq!(code(Call { method: "GET", ..good() }, &cloud).await, is(200, ""));
}

#[tokio::test]
async fn keys_rotate_and_tasks_stay() {
    let cloud = cloud().await;
    cloud.add_task(ID, Export::UsageDetail, TaskSpec::default());
    cloud.set_account_keys(ID, AccountSpec::new("LTAInew", "new-secret"));
    assert_eq!(page(&cloud, 1, 50).await.code(), "InvalidAccessKeyId.NotFound");
    let new = Call { id: "LTAInew".to_owned(), secret: "new-secret".to_owned(), ..call(&cloud, DETAIL, &[]) };
    assert_eq!(ids(&new.v3(&cloud).await).len(), 1);
    cloud.remove_account("LTAInew");
    let again = Call { nonce: "another".to_owned(), ..new };
    assert_eq!(again.v3(&cloud).await.code(), "InvalidAccessKeyId.NotFound");
    cloud.add_account(AccountSpec::new(ID, SECRET));
    assert_eq!(ids(&page(&cloud, 1, 50).await).len(), 1, "the first keys are the account's still");
}

#[tokio::test]
async fn temporary_keys_need_their_token_until_it_dies() {
    let cloud = cloud().await;
    let end = cloud.clock().now() + SignedDuration::from_mins(10);
    cloud.add_account_keys(ID, AccountSpec::new("STS.a", "s").with_token("a+b/c==").with_token_expiry(end));
    let keys = |token: Option<&str>| Call {
        id: "STS.a".to_owned(),
        secret: "s".to_owned(),
        token: token.map(ToOwned::to_owned),
        ..call(&cloud, DETAIL, &[])
    };
    assert_eq!(keys(Some("a+b/c==")).v3(&cloud).await.status, 200);
    assert_eq!(keys(Some("a+b/c==")).v1(&cloud).await.status, 200);
    for (token, expected) in [(None, "MissingSecurityToken"), (Some("b"), "InvalidSecurityToken.Malformed")] {
        assert_eq!(keys(token).v3(&cloud).await.code(), expected);
        assert_eq!(keys(token).v1(&cloud).await.code(), expected);
    }
    let lasting = Call { token: Some("t".to_owned()), ..call(&cloud, DETAIL, &[]) };
    assert_eq!(lasting.v3(&cloud).await.code(), "InvalidSecurityToken.MismatchWithAccessKey");
    cloud.clock().advance(Duration::from_secs(600));
    assert_eq!(keys(Some("a+b/c==")).v3(&cloud).await.code(), "InvalidSecurityToken.Expired");
    let calls = cloud.gateway_calls();
    assert!(calls.iter().any(|call| call.security_token.as_deref() == Some("a+b/c==")));
}

#[tokio::test]
async fn v1_answers_in_xml_unless_json_is_asked_for() {
    let cloud = cloud().await;
    cloud.add_task(ID, Export::UsageDetail, TaskSpec::default().with_name("a & <b>"));
    let reply = call(&cloud, DETAIL, &[]).v1(&cloud).await;
    assert_eq!(reply.header("Content-Type"), Some("text/xml;charset=utf-8"));
    let text = reply.text();
    assert_eq!(inside(&text, "TaskName").as_deref(), Some("a &amp; &lt;b&gt;"));
    let link = inside(&text, "DownloadUrl").unwrap();
    assert!(link.contains("&amp;Signature="), "{link}");
    for format in ["json", "JSON"] {
        let reply = call(&cloud, DETAIL, &[("Format", format)]).v1(&cloud).await;
        assert_eq!(reply.header("Content-Type"), Some("application/json;charset=utf-8"));
        assert_eq!(ids(&reply).len(), 1);
    }
    let plain = Call { accept: None, ..call(&cloud, DETAIL, &[]) };
    assert!(plain.v3(&cloud).await.text().starts_with("<?xml"));
    let wrong = Call { secret: "wrong".to_owned(), ..call(&cloud, DETAIL, &[]) };
    let error = wrong.v1(&cloud).await.text();
    assert!(inside(&error, "Error").is_some() && inside(&error, "HostId").as_deref() == Some("127.0.0.1"), "{error}");
}

#[tokio::test]
async fn tasks_are_created_and_deleted() {
    let cloud = cloud().await;
    cloud.clock().set_speed(0.0);
    cloud.clock().set("2026-05-06T00:00:00Z".parse().unwrap());
    let range = [("StartTime", "2026-04-01T00:00:00Z"), ("EndTime", "2026-05-01T00:00:00Z")];
    let with = |more: &[(&'static str, &'static str)]| [&range[..], more].concat();
    let create = Export::UsageDetail.create();
    let made = call(&cloud, create, &with(&[("Type", "flow"), ("TaskName", "* ~ + 刷新")])).v3(&cloud).await.json();
    let id = made["TaskId"].as_str().unwrap().to_owned();
    assert_eq!((made["StartTime"].as_str(), made["EndTime"].as_str()), (Some(range[0].1), Some(range[1].1)));
    let (_, task) = cloud.tasks(ID, Export::UsageDetail).pop().unwrap();
    assert_eq!(task.name.as_deref(), Some("* ~ + 刷新"));
    for (params, code) in [
        (vec![("Type", "flow")], "MissingTimeParameter"),
        (with(&[]), "InvalidParameterBillType"),
        (with(&[("Type", "flow"), ("Language", "fr")]), "InvalidParameter"),
        (vec![("StartTime", "2026-04-01"), range[1]], "InvalidStartTime.Malformed"),
        (vec![("StartTime", "2024-04-01T00:00:00Z"), range[1]], "InvalidStartTime.ValueNotSupported"),
        (vec![range[0], ("EndTime", "2026-03-01T00:00:00Z")], "InvalidTimeRange"),
        (vec![range[0], ("EndTime", "2026-05-06T00:00:00Z")], "InvalidTimeRange"),
    ] {
        let reply = call(&cloud, create, &params).v3(&cloud).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{params:?}");
    }
    let delete = Export::UsageDetail.delete();
    assert_eq!(call(&cloud, delete, &[]).v3(&cloud).await.code(), "MissingTaskId");
    let sibling = call(&cloud, Export::Usage.delete(), &[("TaskId", &id)]).v3(&cloud).await;
    assert_eq!(sibling.code(), "InvalidTaskId.Malformed", "the two families have nothing in common");
    assert_eq!(call(&cloud, delete, &[("TaskId", &id)]).v3(&cloud).await.status, 200);
    assert_eq!(cloud.task_count(ID, Export::UsageDetail), 0);
}

#[tokio::test]
async fn calls_are_counted_limited_and_remembered() {
    let cloud = cloud().await;
    cloud.settings().set_throttle_every(Some(3));
    let mut codes = Vec::new();
    for _ in 0..6 {
        codes.push(page(&cloud, 1, 50).await.code());
    }
    assert_eq!(codes, ["", "", "Throttling.User", "", "", "Throttling.User"]);
    let calls = cloud.gateway_calls();
    assert_eq!((calls.len(), cloud.gateway_call_count()), (6, 6));
    assert_eq!((calls[0].page, calls[0].page_size, calls[0].v3), (Some(1), Some(50), true));
    assert_eq!((calls[2].outcome.as_str(), calls[2].status), ("Throttling.User", 400));
    assert_eq!(calls[0].outcome, "OK");
    assert!((1..=6).contains(&cloud.max_calls_in_a_second(ID)));
    assert_eq!(cloud.max_calls_in_a_second("nobody"), 0);
    cloud.settings().set_throttle_every(None);
    cloud.settings().set_quota_per_second(Some(0));
    assert_eq!(page(&cloud, 1, 50).await.code(), "Throttling.User");
}

#[tokio::test]
async fn the_clock_runs_at_its_speed_and_the_servers_end_with_their_owner() {
    let cloud = cloud().await;
    cloud.clock().set_speed(0.0);
    let start: Timestamp = "2026-05-06T00:00:00Z".parse().unwrap();
    cloud.clock().set(start);
    assert_eq!(cloud.clock().now(), start);
    cloud.clock().set_speed(1e6);
    tokio::time::timeout(common::DEADLINE, async {
        while cloud.clock().now() < start + hours(1) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let address = common::address(&cloud);
    let state = cloud.state().clone();
    drop(cloud);
    tokio::time::timeout(common::DEADLINE, async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(state.gateway_call_count(), 0);
}
