//! Each fault of the gateway does what it says, for the calls it is meant for, as often as it is meant.

mod common;

use cloudsim::{ApiError, CloudSim, ErrorFormat, Export, GatewayFault, GatewayMatch, TaskSpec};
use common::{Call, DETAIL, End, ID, Reply, call, cloud, ids, impatiently, inside, page};

/// A listing of five tasks, and one call of it that meets a fault.
async fn with(fault: GatewayFault) -> (CloudSim, Reply) {
    let cloud = cloud().await;
    cloud.add_tasks(ID, Export::UsageDetail, (0..5).map(|_| TaskSpec::default()));
    let silent = matches!(fault, GatewayFault::Hang | GatewayFault::StallAfter(_));
    cloud.script_gateway(GatewayMatch::Any, fault, 1);
    let reply = if silent { impatiently(page(&cloud, 2, 2)).await } else { page(&cloud, 2, 2).await };
    let after = page(&cloud, 2, 2).await;
    assert_eq!((after.status, ids(&after).len()), (200, 2), "a fault happens as often as it is scripted");
    (cloud, reply)
}

#[tokio::test]
async fn errors_come_with_their_status_code_headers_and_form() {
    let hinted = ApiError::throttling()
        .with_header("x-acs-retry-after", "1500")
        .with_header("x-ratelimit-user-api", "Limit:1,Remain:0,TimeLeft:2000,Reset:1234")
        .with_header("Retry-After", "2");
    let (cloud, reply) = with(GatewayFault::Error(hinted.clone())).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "Throttling.User"));
    assert_eq!(reply.header("x-acs-retry-after"), Some("1500"));
    assert_eq!(reply.header("Retry-After"), Some("2"));
    assert!(reply.json()["RequestId"].is_string() && reply.json()["HostId"] == "127.0.0.1");
    assert_eq!(cloud.gateway_calls()[0].outcome, "Throttling.User");
    let (_, reply) = with(GatewayFault::Error(ApiError::forbidden())).await;
    assert_eq!(reply.status, 403);
    assert_eq!(reply.json()["AccessDeniedDetail"]["NoPermissionType"], "ImplicitDeny");
    let (_, reply) = with(GatewayFault::Error(hinted.clone().with_format(ErrorFormat::Xml))).await;
    assert_eq!(inside(&reply.text(), "Code").as_deref(), Some("Throttling.User"));
    let (_, reply) = with(GatewayFault::Error(hinted.clone().with_format(ErrorFormat::JsonLower))).await;
    assert_eq!(reply.json()["code"], "Throttling.User");
    let bad = ApiError::new("x", 502);
    let (_, reply) = with(GatewayFault::Error(bad.clone().with_format(ErrorFormat::Html))).await;
    assert!(reply.status == 502 && reply.text().starts_with("<html>"));
    let (_, reply) = with(GatewayFault::Error(bad.with_format(ErrorFormat::Empty))).await;
    assert!(reply.status == 502 && reply.body.is_empty());
    let (_, reply) = with(GatewayFault::Error(ApiError::new("ServiceBusy", 200))).await;
    assert_eq!((reply.status, reply.code().as_str()), (200, "ServiceBusy"));
}

#[tokio::test]
async fn connections_break_where_they_should() {
    let (_, reply) = with(GatewayFault::Reset).await;
    assert_eq!((reply.status, reply.end), (0, End::Reset));
    let (_, reply) = with(GatewayFault::Hang).await;
    assert_eq!((reply.status, reply.end), (0, End::Silent));
    let (_, reply) = with(GatewayFault::CloseAfter(10)).await;
    assert_eq!((reply.status, reply.body.len(), reply.end), (200, 10, End::Closed));
    let (_, reply) = with(GatewayFault::StallAfter(10)).await;
    assert_eq!((reply.status, reply.body.len(), reply.end), (200, 10, End::Silent));
    let (_, reply) = with(GatewayFault::ResetAfter(10)).await;
    assert_eq!(reply.end, End::Reset);
    assert!(reply.body.len() <= 10);
    let (_, reply) = with(GatewayFault::Delay(common::LATE)).await;
    assert_eq!((reply.status, ids(&reply).len()), (200, 2));
}

#[tokio::test]
async fn bodies_are_spoiled_as_they_should() {
    let (_, reply) = with(GatewayFault::Truncated).await;
    assert!(serde_json::from_slice::<serde_json::Value>(&reply.body).is_err() && reply.end == End::Complete);
    let (_, reply) = with(GatewayFault::EmptyBody).await;
    assert!((reply.status, reply.body.len()) == (200, 0));
    let (_, reply) = with(GatewayFault::HugeBody(3)).await;
    assert!(reply.body.len() > 3 << 20);
    assert_eq!(ids(&reply).len(), 2, "it is well-formed all the same");
    let (_, reply) = with(GatewayFault::DeepNesting(5000)).await;
    assert_eq!(reply.text().matches('[').count(), 5000);
    let body = GatewayFault::Body { status: 204, content_type: "text/plain".to_owned(), body: "".into() };
    assert_eq!(with(body).await.1.status, 204);
}

#[tokio::test]
async fn counters_and_rows_are_spoiled_as_they_should() {
    let per_page = |reply: &Reply| reply.json()["UsageDataPerPage"].clone();
    for token in ["18446744073709551615", "-1", "\"5\"", "null"] {
        let (_, reply) = with(GatewayFault::Total(Some(token.to_owned()))).await;
        assert!(reply.text().contains(&format!("\"TotalCount\":{token},")), "{}", reply.text());
    }
    assert!(per_page(&with(GatewayFault::Total(None)).await.1).get("TotalCount").is_none());
    let (_, reply) = with(GatewayFault::EchoPageSize("1".to_owned())).await;
    assert_eq!((per_page(&reply)["PageSize"].as_u64(), ids(&reply).len()), (Some(1), 2));
    let (cloud, reply) = with(GatewayFault::ServeFewer(1)).await;
    let all: Vec<_> = cloud.tasks(ID, Export::UsageDetail).into_iter().map(|(id, _)| id).collect();
    assert_eq!((per_page(&reply)["PageSize"].as_u64(), ids(&reply)), (Some(1), all[1..2].to_vec()));
    let (cloud, reply) = with(GatewayFault::SamePage(1)).await;
    let all: Vec<_> = cloud.tasks(ID, Export::UsageDetail).into_iter().map(|(id, _)| id).collect();
    assert_eq!((per_page(&reply)["PageNumber"].as_u64(), ids(&reply)), (Some(2), all[..2].to_vec()));
    let (_, reply) = with(GatewayFault::EmptyPage).await;
    assert_eq!((per_page(&reply)["TotalCount"].as_u64(), ids(&reply).len()), (Some(5), 0));
    assert_eq!(ids(&with(GatewayFault::DropRows(1)).await.1).len(), 1);
    assert_eq!(ids(&with(GatewayFault::RepeatRows).await.1).len(), 4);
    let (_, reply) = with(GatewayFault::ExtraRows(vec!["7".to_owned(), "{}".to_owned()])).await;
    assert_eq!(per_page(&reply)["Data"]["DataItem"][2], 7);
}

#[tokio::test]
async fn a_fault_meets_only_the_calls_it_is_meant_for() {
    let cloud = cloud().await;
    let error = |code: &str| GatewayFault::Error(ApiError::new(code, 503));
    cloud.script_gateway(GatewayMatch::Export(Export::Usage), error("Sibling"), u32::MAX);
    cloud.script_gateway(GatewayMatch::Page(3), error("Three"), 1);
    cloud.script_gateway(GatewayMatch::Account("LTAIother".to_owned()), error("Other"), 1);
    cloud.script_gateway(GatewayMatch::Action(Export::UsageDetail.delete().to_owned()), error("Delete"), 1);
    let both = vec![GatewayMatch::Export(Export::UsageDetail), GatewayMatch::Page(4)];
    cloud.script_gateway(GatewayMatch::All(both), error("Four"), 2);
    assert_eq!(page(&cloud, 1, 50).await.status, 200);
    for code in ["Three", ""] {
        assert_eq!(page(&cloud, 3, 50).await.code(), code);
    }
    for code in ["Four", "Four", ""] {
        assert_eq!(page(&cloud, 4, 50).await.code(), code);
    }
    for _ in 0..3 {
        assert_eq!(call(&cloud, Export::Usage.describe(), &[]).v3(&cloud).await.code(), "Sibling");
    }
    assert_eq!(call(&cloud, Export::UsageDetail.delete(), &[]).v3(&cloud).await.code(), "Delete");
    let wrong = Call { secret: "wrong".to_owned(), ..call(&cloud, DETAIL, &[("PageNumber", "3")]) };
    cloud.script_gateway(GatewayMatch::Any, error("Any"), 1);
    assert_eq!(wrong.v3(&cloud).await.code(), "SignatureDoesNotMatch", "a bad signature meets no fault");
    assert_eq!(page(&cloud, 1, 50).await.code(), "Any");
}
