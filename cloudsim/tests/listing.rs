//! Pages of a listing: their rows, their order and all their shapes.

mod common;

use std::{collections::HashSet, time::Duration};

use cloudsim::{
    EmptyShape, Export, GatewayMatch, IdType, Layout, LinkMode, Missing, Order, Oversize, PastEnd, TaskSpec,
};
use common::{Call, DETAIL, End, ID, call, cloud, ids, page};
use jiff::{SignedDuration, Timestamp};

const SIBLING: &str = "DescribeUserUsageDataExportTask";

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

#[tokio::test]
async fn pages_do_not_overlap_and_together_are_the_listing() {
    let cloud = cloud().await;
    let added = cloud.add_tasks(ID, Export::UsageDetail, (0..120).map(|_| TaskSpec::default()));
    cloud.add_task(ID, Export::Usage, TaskSpec::default());
    let mut seen = Vec::new();
    for (number, rows) in [(1, 50), (2, 50), (3, 20), (4, 0)] {
        let reply = page(&cloud, number, 50).await;
        assert_eq!((reply.status, reply.end), (200, End::Complete));
        let data = reply.json()["UsageDataPerPage"].clone();
        assert_eq!(data["TotalCount"], 120);
        assert_eq!((data["PageNumber"].as_u64(), data["PageSize"].as_u64()), (Some(number), Some(50)));
        assert_eq!(ids(&reply).len(), rows);
        seen.extend(ids(&reply));
    }
    assert_eq!(seen, added);
    assert_eq!(ids(&call(&cloud, SIBLING, &[]).v3(&cloud).await).len(), 1);
    assert_eq!(ids(&call(&cloud, DETAIL, &[]).v3(&cloud).await).len(), 20, "20 rows are the default");
}

#[tokio::test]
async fn page_numbers_and_sizes_out_of_range_are_refused() {
    let cloud = cloud().await;
    cloud.add_task(ID, Export::UsageDetail, TaskSpec::default());
    for (name, value, code) in [
        ("PageSize", "0", "InvalidPageSize.ValueNotSupported"),
        ("PageSize", "51", "InvalidPageSize.ValueNotSupported"),
        ("PageSize", "ten", "InvalidPageSize.Malformed"),
        ("PageNumber", "0", "InvalidPageNumber.ValueNotSupported"),
        ("PageNumber", "100001", "InvalidPageNumber.ValueNotSupported"),
        ("PageNumber", "-1", "InvalidPageNumber.Malformed"),
    ] {
        let reply = call(&cloud, DETAIL, &[(name, value)]).v3(&cloud).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, code), "{name}={value}");
    }
    cloud.settings().set_oversize(Oversize::Clamp);
    assert_eq!(page(&cloud, 1, 500).await.json()["UsageDataPerPage"]["PageSize"], 50);
    cloud.settings().set_past_end(PastEnd::LastPage);
    assert_eq!(ids(&page(&cloud, 7, 50).await).len(), 1);
    cloud.settings().set_past_end(PastEnd::Error);
    assert_eq!(page(&cloud, 7, 50).await.code(), "InvalidPageNumber.ValueNotSupported");
}

#[tokio::test]
async fn the_order_is_the_one_that_is_set() {
    let cloud = cloud().await;
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let created = [3, 1, 2].map(|n| start + hours(n));
    let added = cloud.add_tasks(ID, Export::UsageDetail, created.map(|at| TaskSpec::default().with_created_at(at)));
    assert_eq!(ids(&page(&cloud, 1, 50).await), added);
    cloud.settings().set_order(Order::NewestFirst);
    let newest = [0, 2, 1].map(|n: usize| added[n].clone());
    assert_eq!(ids(&page(&cloud, 1, 50).await), newest);
    let latest = cloud.add_task(ID, Export::UsageDetail, TaskSpec::default());
    assert_eq!(ids(&page(&cloud, 1, 1).await), [latest]);

    cloud.add_tasks(ID, Export::UsageDetail, (0..30).map(|_| TaskSpec::default()));
    cloud.settings().set_order(Order::Shuffled(1));
    let (first, second) = (ids(&page(&cloud, 1, 50).await), ids(&page(&cloud, 1, 50).await));
    assert_ne!(first, second, "34 rows in the same order twice");
    let set = |ids: Vec<String>| ids.into_iter().collect::<HashSet<_>>();
    assert_eq!(set(first), set(second));
}

#[tokio::test]
async fn a_task_follows_its_schedule_by_the_simulated_clock() {
    let cloud = cloud().await;
    cloud.clock().set_speed(0.0);
    let id = cloud.add_task(ID, Export::UsageDetail, TaskSpec::default().with_success_after(Duration::from_secs(90)));
    let row = page(&cloud, 1, 50).await.json()["UsageDataPerPage"]["Data"]["DataItem"][0].clone();
    assert_eq!((row["Status"].as_str(), row["DownloadUrl"].as_str()), (Some("created"), None));
    assert_eq!(row["UpdateTime"], row["CreateTime"]);
    cloud.clock().advance(Duration::from_secs(90));
    let row = page(&cloud, 1, 50).await.json()["UsageDataPerPage"]["Data"]["DataItem"][0].clone();
    assert_eq!(row["Status"], "success");
    assert!(row["DownloadUrl"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    let time = |name: &str| row[name].as_str().unwrap().parse::<Timestamp>().unwrap();
    assert_eq!(time("UpdateTime").duration_since(time("CreateTime")), SignedDuration::from_secs(90));
    assert!(cloud.update_task(ID, Export::UsageDetail, &id, |task| {
        *task = task.clone().with_status("Expired").with_name("用量");
    }));
    let row = page(&cloud, 1, 50).await.json()["UsageDataPerPage"]["Data"]["DataItem"][0].clone();
    assert_eq!((row["Status"].as_str(), row["TaskName"].as_str()), (Some("Expired"), Some("用量")));
    assert!(cloud.remove_task(ID, Export::UsageDetail, &id).is_some());
    assert_eq!(page(&cloud, 1, 50).await.json()["UsageDataPerPage"]["TotalCount"], 0);
}

/// Whether a text is well-formed XML.
fn well_formed(text: &str) -> bool {
    let mut reader = quick_xml::Reader::from_str(text);
    loop {
        match reader.read_event() {
            Ok(quick_xml::events::Event::Eof) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

#[tokio::test]
async fn every_shape_parses_and_says_what_it_should() {
    let cloud = cloud().await;
    cloud.add_task(ID, Export::UsageDetail, TaskSpec::default());
    cloud.settings().set_every_quirk();
    let text = page(&cloud, 1, 50).await.text();
    assert_eq!(text.matches("\"UpdateTime\"").count(), 2);
    for part in
        ["\"TaskId\":34230590001", "\"Success\"", "\"ModifyTime\"", "\\u0026", "\\u003d", "\"TotalCount\":\"1\""]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains('&'), "{text}");
    let json = page(&cloud, 1, 50).await.json();
    assert!(json["UsageDataPerPage"]["Data"]["DataItem"]["DownloadUrl"].as_str().unwrap().contains("&Signature="));
    assert!(json["UsageDataPerPage"]["Data"]["DataItem"]["TaskName"].is_null());
    cloud.settings().set_layout(Layout::FlatData);
    assert_eq!(page(&cloud, 1, 50).await.json()["UsageDataPerPage"]["Data"][0]["TaskId"], 34_230_590_001_u64);
    cloud.settings().set_layout(Layout::Historic);
    let json = page(&cloud, 1, 50).await.json();
    assert_eq!((json["TotalCount"].as_str(), json["PageNumber"].as_str()), (Some("1"), Some("1")));
    assert_eq!(json["UsageDataPerPage"]["UsageData"][0]["Status"], "Success");
    let xml = Call { accept: Some("text/xml"), ..call(&cloud, DETAIL, &[]) }.v3(&cloud).await.text();
    assert!(well_formed(&xml), "{xml}");
    assert_eq!(xml.matches("<UpdateTime>").count(), 2);
}

#[tokio::test]
async fn an_empty_listing_has_many_shapes() {
    let cloud = cloud().await;
    for (shape, expected) in [
        (EmptyShape::EmptyArray, r#""Data":{"DataItem":[]}}}"#),
        (EmptyShape::EmptyData, r#""Data":{}}}"#),
        (EmptyShape::NullData, r#""Data":null}}"#),
        (EmptyShape::MissingData, r#""PageNumber":1}}"#),
        (EmptyShape::ArrayData, r#""Data":[]}}"#),
        (EmptyShape::EmptyString, r#""Data":""}}"#),
        (EmptyShape::MissingPage, r#""TotalCount":0,"PageNumber":1}"#),
    ] {
        cloud.settings().set_empty_shape(shape);
        let reply = page(&cloud, 1, 50).await;
        reply.json();
        assert!(reply.text().ends_with(expected), "{shape:?}: {}", reply.text());
        let xml = call(&cloud, DETAIL, &[]).v1(&cloud).await.text();
        assert!(well_formed(&xml) && xml.contains("<TotalCount>0</TotalCount>"), "{xml}");
    }
}

#[tokio::test]
async fn rows_and_links_can_be_anything() {
    let cloud = cloud().await;
    let add = |task| cloud.add_task(ID, Export::UsageDetail, task);
    let base = TaskSpec::default;
    add(base().with_id("A91BE91F-0B34-4CBF-8E0F-A2977").with_link(LinkMode::Fixed("example.com/a".to_owned())));
    add(base().with_link(LinkMode::Absent));
    add(base().with_link(LinkMode::Null));
    add(base().with_link(LinkMode::Empty));
    add(base().with_raw_json(r#"{"TaskId": {}, "x": [1]}"#).with_raw_xml("<DataItem/>"));
    add(base().with_status("created").with_id("007"));
    cloud.settings().set_id_type(IdType::Number);
    cloud.settings().set_missing_name(Missing::Empty);
    cloud.settings().set_unfinished_link(None);
    let json = page(&cloud, 1, 50).await.json();
    let rows = &json["UsageDataPerPage"]["Data"]["DataItem"];
    assert_eq!(rows[0]["TaskId"], "A91BE91F-0B34-4CBF-8E0F-A2977");
    assert_eq!((rows[0]["DownloadUrl"].as_str(), rows[0]["TaskName"].as_str()), (Some("example.com/a"), Some("")));
    assert!(rows[1].get("DownloadUrl").is_none() && rows[1]["TaskId"].is_number());
    assert!(rows[2]["DownloadUrl"].is_null() && rows[2].get("DownloadUrl").is_some());
    assert_eq!(rows[3]["DownloadUrl"], "");
    assert_eq!(rows[4]["x"][0], 1);
    assert_eq!(rows[5]["TaskId"], "007", "a leading zero is not a number's");
    assert!(rows[5]["DownloadUrl"].is_string());
}

#[tokio::test]
async fn a_listing_can_change_between_two_pages_and_forget_old_tasks() {
    let cloud = cloud().await;
    cloud.add_tasks(ID, Export::UsageDetail, (0..4).map(|_| TaskSpec::default()));
    cloud.on_listing(|cloud, call| {
        if call.page == Some(2) {
            let first = cloud.tasks(ID, Export::UsageDetail).swap_remove(0).0;
            cloud.remove_task(ID, Export::UsageDetail, &first);
        }
    });
    let first = ids(&page(&cloud, 1, 2).await);
    let second = page(&cloud, 2, 2).await;
    assert_eq!(second.json()["UsageDataPerPage"]["TotalCount"], 3);
    assert_eq!((first.len(), ids(&second).len()), (2, 1), "a row slid to the page before");
    cloud.settings().set_listing_horizon(Some(Duration::from_secs(90 * 24 * 3600)));
    let old = cloud.clock().now() - hours(24 * 91);
    cloud.add_task(ID, Export::UsageDetail, TaskSpec::default().with_created_at(old));
    assert_eq!(page(&cloud, 1, 50).await.json()["UsageDataPerPage"]["TotalCount"], 3);
    cloud.settings().set_gateway_down(true);
    assert_eq!(page(&cloud, 1, 50).await.status, 0);
    cloud.settings().set_gateway_down(false);
    assert_eq!(page(&cloud, 1, 50).await.status, 200);
    cloud.script_gateway(GatewayMatch::Any, cloudsim::GatewayFault::Reset, 5);
    assert_eq!(cloud.faults_left(), (5, 0));
    cloud.clear_scripts();
    assert_eq!(cloud.faults_left(), (0, 0));
}
