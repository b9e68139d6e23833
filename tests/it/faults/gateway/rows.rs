//! Rows that are not what a row should be.

use cloudsim::TaskSpec;

use super::assert_nothing_lost;
use crate::common::{DETAIL, MAIN, World};

/// A row for each thing that can be wrong with it, and what is said of it.
fn bad() -> Vec<(&'static str, String, &'static str)> {
    let row = |text: &str| text.to_owned();
    vec![
        ("no id", row(r#"{"Status":"success","TaskName":"a"}"#), "no TaskId"),
        ("null id", row(r#"{"TaskId":null,"Status":"success"}"#), "its TaskId is null"),
        ("list id", row(r#"{"TaskId":[1],"Status":"success"}"#), "its TaskId is a list"),
        ("empty id", row(r#"{"TaskId":" ","Status":"success"}"#), "its TaskId is empty"),
        ("fraction id", row(r#"{"TaskId":1.5,"Status":"success"}"#), "its TaskId is"),
        ("endless id", format!(r#"{{"TaskId":"{}","Status":"success"}}"#, "9".repeat(100_000)), "id"),
        ("no status", row(r#"{"TaskId":"no status"}"#), "no Status"),
        ("null status", row(r#"{"TaskId":"null status","Status":null}"#), "its Status is null"),
        ("number status", row(r#"{"TaskId":"number status","Status":7}"#), "its Status is a number"),
        ("text", row(r#""a text""#), "it is text, not an object"),
        ("number", row("1e999"), "it is a number, not an object"),
        ("null", row("null"), "it is null, not an object"),
        ("list", row("[[]]"), "it is a list, not an object"),
    ]
}

#[tokio::test]
async fn rows_that_cannot_be_read_cost_themselves_are_said_once_each_and_stored_when_they_can() {
    let world = World::hasty().await;
    let bad = bad();
    for (id, raw, _) in &bad {
        world.add_small(&[&format!("beside {id}")]);
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(*id).with_raw_json(raw));
    }
    let count = bad.len();
    let daemon = world.daemon().await;
    world.until_stored(&daemon, count).await;
    daemon.await_more("poll.completed", 6).await;
    let rejected = daemon.events("row.rejected");
    for (id, _, said) in &bad {
        let found = rejected.iter().filter(|e| e["error"].as_str().unwrap().contains(said)).count();
        assert!(found >= 1, "nothing says {said:?} of {id}: {rejected:?}");
    }
    assert_eq!(rejected.len(), count, "each is said once: {rejected:?}");
    assert_eq!(world.number("SELECT count(*) FROM rejected_rows").await, i64::try_from(count).unwrap());
    let longest = world.number("SELECT max(length(raw)) FROM rejected_rows").await;
    assert!(longest <= 16 * 1024, "{longest} bytes of a row were kept");
    assert!(daemon.events("poll.failed").is_empty());
    for (id, ..) in &bad {
        world.update(id, |task| task.raw_json = None);
    }
    world.until_stored(&daemon, 2 * count).await;
    assert_nothing_lost(&world, daemon, 2 * i64::try_from(count).unwrap()).await;
}

#[tokio::test]
async fn fields_that_are_missing_wrong_or_absurd_beside_id_and_status_cost_themselves_alone() {
    let world = World::hasty().await;
    let long = format!(r#","TaskName":"{}""#, "n".repeat(100_000));
    let odd = [
        "",
        r#","TaskName":null,"CreateTime":null,"UpdateTime":null,"TaskConfig":null,"DownloadUrl":null"#,
        r#","TaskName":{},"CreateTime":7,"UpdateTime":[],"TaskConfig":"x","DownloadUrl":{"a":1}"#,
        r#","CreateTime":"0000-00-00T00:00:00Z","UpdateTime":"9999-12-31T23:59:59Z","TaskConfig":{"StartTime":"soon"}"#,
        r#","TaskConfig":{"StartTime":"2199-12-31T00:00:00Z","EndTime":"2000-01-01T00:00:00Z"},"New":[[1]]"#,
        r#","DownloadUrl":"\u0000","TaskName":"\u0000\u202e""#,
        long.as_str(),
    ];
    for (n, fields) in odd.iter().enumerate() {
        let raw = format!(r#"{{"TaskId":"{n}","Status":"success"{fields}}}"#);
        world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id(n.to_string()).with_raw_json(raw));
    }
    let endless = format!(r#"{{"TaskId":"endless","Status":"{}"}}"#, "s".repeat(100_000));
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("endless").with_raw_json(endless));
    world.add_small(&["beside"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let known = "SELECT count(*) FROM tasks WHERE status = 'success'";
    daemon.until("all are known", async || world.number(known).await == 8).await;
    daemon.await_more("poll.completed", 4).await;
    assert!(daemon.events("row.rejected").is_empty(), "{:?}", daemon.events("row.rejected"));
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, 9, "an odd field is seen as news for ever");
    assert_eq!(world.number("SELECT max(length(name)) FROM tasks").await, 1024);
    assert_eq!(world.number("SELECT max(length(status)) FROM tasks").await, 64);
    for n in 0..odd.len() {
        world.update(&n.to_string(), |task| task.raw_json = None);
    }
    world.update("endless", |task| task.raw_json = None);
    world.until_stored(&daemon, 9).await;
    world.assert_all_stored(daemon, 9).await;
    assert_eq!(world.number("SELECT count(*) FROM transitions WHERE kind = 'first'").await, 9);
}
