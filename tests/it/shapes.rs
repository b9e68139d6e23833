//! Listings in every shape that has been seen.

use std::fs;

use cloudsim::{EmptyShape, Export, GatewayFault, GatewayMatch, Layout, LinkStyle, Object, TaskSpec};

use crate::common::{DETAIL, MAIN, RANGE, USAGE, World, csv_path};

const SAMPLE_LINK: &str = "https://test.oss-cn-beijing.aliyuncs.com/billing_data/xxx";

#[tokio::test]
async fn every_oddity_at_once_costs_nothing() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.cloud.settings().set_every_quirk();
    for n in 1..=60_u64 {
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(n.to_string()).with_object(Object::csv(n)));
    }
    world.cloud.add_task(
        MAIN,
        DETAIL,
        TaskSpec::default().with_id("61").with_status("created").with_name("刷新 & <b>"),
    );
    // Alone on its listing, it stands there without an array.
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("1").with_name("a & b = c"));
    let run = world.once(0).await;
    assert_eq!(world.published().len(), 61, "{run}");
    for n in 1..=60_u64 {
        assert!(fs::read(world.file(&csv_path(&n.to_string()))).unwrap() == Object::csv(n).body.to_bytes());
    }
    assert!(run.events("row.rejected").is_empty());
    let created = world.texts("SELECT name FROM tasks WHERE status = 'created'").await;
    assert_eq!(created, ["刷新 & <b>"]);
    let before = world.everything().await;
    world.once(0).await;
    assert_eq!(world.everything().await, before);
}

#[tokio::test]
async fn each_layout_and_each_empty_listing_is_understood() {
    for layout in [Layout::Current, Layout::FlatData, Layout::LoneObject, Layout::Historic] {
        let world = World::start().await;
        world.cloud.settings().set_layout(layout);
        world.add("1", Object::default());
        world.once(0).await;
        assert_eq!(world.published(), [csv_path("1")], "{layout:?}");
    }
    let world = World::start().await;
    for shape in [
        EmptyShape::EmptyArray,
        EmptyShape::EmptyData,
        EmptyShape::NullData,
        EmptyShape::MissingData,
        EmptyShape::ArrayData,
        EmptyShape::EmptyString,
        EmptyShape::MissingPage,
    ] {
        world.cloud.settings().set_empty_shape(shape);
        let run = world.once(0).await;
        let poll = run.event("poll.completed");
        assert_eq!((poll["consistent"].as_bool(), poll["total"].as_u64()), (Some(true), Some(0)), "{shape:?}");
    }
}

#[tokio::test]
async fn the_two_published_samples_are_read_as_they_stand() {
    let samples = [
        ("application/json", include_str!("../fixtures/listing-sample.json"), DETAIL),
        ("text/xml;charset=utf-8", include_str!("../fixtures/listing-sample.xml"), USAGE),
    ];
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    for (content_type, body, export) in samples {
        assert!(body.contains(SAMPLE_LINK));
        // Behind the link of the sample stands nothing that could be reached from here.
        let task = TaskSpec::default().with_id("11");
        world.cloud.add_task(MAIN, export, task);
        let link = world.cloud.link(MAIN, export, "11", LinkStyle::V1).unwrap();
        let link = if content_type.contains("xml") { link.replace('&', "&amp;") } else { link };
        answer(&world, export, content_type, &body.replace(SAMPLE_LINK, &link));
    }
    world.once(0).await;
    let rows = world
        .texts("SELECT json_array(task_id, status, created_at, updated_at, range_start, range_end) FROM tasks ORDER BY export")
        .await;
    let row = r#"["11","success","2018-10-09T06:33:38.000Z","2018-10-09T06:35:46.000Z","2018-07-31T16:00:00.000Z","2018-08-31T15:59:59.000Z"]"#;
    assert_eq!(rows, [row, row]);
    let path = |export: &str| format!("main/{export}/{RANGE}_11.csv");
    assert_eq!(world.published(), [path("usage-detail"), path("usage")]);
}

fn answer(world: &World, export: Export, content_type: &str, body: &str) {
    let fault = GatewayFault::Body {
        status: 200,
        content_type: content_type.to_owned(),
        body: body.to_owned().into_bytes().into(),
    };
    world.cloud.script_gateway(GatewayMatch::Export(export), fault, u32::MAX);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_kept_and_said_and_costs_no_other_row() {
    let world = World::start().await;
    for n in 1..=70 {
        world.add(&n.to_string(), Object::default());
    }
    let bad = [
        r#"{"Status":"success"}"#,
        r#"{"TaskId":"b1","Status":{"a":1},"DownloadUrl":"https://x.example/f?Signature=MARK"}"#,
        r#""just a text""#,
        "17",
        "null",
    ];
    for row in bad {
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_raw_json(row));
    }
    let run = world.once(0).await;
    assert_eq!(world.published().len(), 70);
    assert!(run.events("row.rejected").len() >= bad.len(), "{run}");
    assert_eq!(run.event("poll.completed")["consistent"], true);
    assert_eq!(world.number("SELECT count(*) FROM rejected_rows").await, 5);
    assert!(!run.stderr.contains("MARK"), "{run}");
    assert!(!world.dump("rejected_rows").await.concat().contains("MARK"));
}

#[tokio::test]
async fn a_nul_in_a_text_of_the_service_neither_costs_the_page_nor_is_seen_as_news_for_ever() {
    let world = World::start().await;
    world.add("1", Object::default());
    for row in [
        r#"{"TaskId":"a\u0000b","Status":"failed"}"#,
        r#"{"TaskId":"a\u0000c","Status":"failed"}"#,
        r#"{"TaskId":"2","Status":"re\u0000ticulating","TaskName":"x\u0000y"}"#,
        r#"{"TaskId":"3","Status":"failed","TaskName":"\u0000"}"#,
    ] {
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_raw_json(row));
    }
    let run = world.once(0).await;
    assert_eq!(world.published(), [csv_path("1")], "{run}");
    let ids = world.texts("SELECT hex(task_id) FROM tasks ORDER BY task_id").await;
    assert_eq!(ids, ["31", "32", "33", "610062", "610063"], "an id was cut: {run}");
    let before = world.everything().await;
    let again = world.once(0).await;
    assert_eq!(world.everything().await, before, "{again}");
    world.assert_sound().await;
}

#[tokio::test]
async fn an_id_that_no_file_name_can_hold_is_encoded_in_the_name() {
    let world = World::start().await;
    world.add("../../etc/passwd", Object::csv(2));
    world.add("刷 新", Object::csv(3));
    world.once(0).await;
    let path = |id: &str| format!("main/usage-detail/{RANGE}_{id}.csv");
    let mut names = [path("%2E%2E%2F%2E%2E%2Fetc%2Fpasswd"), path("%E5%88%B7%20%E6%96%B0")];
    names.sort();
    assert_eq!(world.published(), names);
}

#[tokio::test]
async fn answers_that_break_on_the_way_are_asked_for_again() {
    let world = World::start().await;
    for n in 1..=60 {
        world.add(&n.to_string(), Object::default());
    }
    for fault in [
        GatewayFault::Reset,
        GatewayFault::Truncated,
        GatewayFault::EmptyBody,
        GatewayFault::CloseAfter(300),
        GatewayFault::Body { status: 502, content_type: "text/html".to_owned(), body: "<html>bad</html>".into() },
    ] {
        world.cloud.script_gateway(GatewayMatch::Page(1), fault.clone(), 1);
        world.cloud.script_gateway(GatewayMatch::Page(2), fault, 1);
        let run = world.once(0).await;
        let poll = run.event("poll.completed");
        assert!(poll["calls"].as_u64() > poll["pages"].as_u64(), "{run}");
        assert_eq!(world.cloud.faults_left(), (0, 0));
    }
    assert_eq!(world.published().len(), 60);
    world.assert_sound().await;
}
