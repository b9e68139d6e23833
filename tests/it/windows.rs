//! Whether every window is there: `gaps` and `calendar`.

use std::collections::{BTreeMap, BTreeSet};

use cloudsim::{Object, TaskSpec};
use jiff::Timestamp;
use serde_json::Value;
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::{DETAIL, MAIN, Running, World, csv_path, get};

/// What every task of these tests is of, unless it says otherwise: August 2018 in Beijing, long beyond reach.
const EXPECT: &str = "from = \"2018-08\"\nname = \"traffic*\"\ntype = \"flow\"\ndue = \"0s\"";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn add(world: &World, id: &str, name: &str, range: Option<(&str, &str)>) {
    let mut spec = TaskSpec::default().with_id(id).with_name(name).with_object(Object::csv(3));
    if let Some((start, end)) = range {
        spec = spec.with_range(at(start), at(end));
    }
    world.cloud.add_task(MAIN, DETAIL, spec);
}

/// From the end of August 2018 until after these tests.
const LATER: (&str, &str) = ("2018-08-31T16:00:00Z", "2098-12-31T15:59:59Z");

fn states(rows: &[Value]) -> Vec<(&str, &str)> {
    rows.iter().map(|r| (r["date"].as_str().unwrap(), r["state"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn what_lacks_is_said_until_it_is_archived() {
    let mut world = World::start().await;
    world.expect("main", EXPECT);
    add(&world, "one", "traffic, August", None);
    world.once(0).await;
    let run = world.run(&["gaps", "--json"]).await.expect(1);
    assert_eq!(run.complaint(), "", "the exit status says it");
    let rows = run.rows();
    assert_eq!(states(&rows)[0], ("2018-09", "beyond_reach"), "August is archived, and no gap");
    let last = rows.last().unwrap();
    assert_eq!(
        (&last["state"], &last["export"], &last["window"]),
        (&"overdue".into(), &"usage-detail".into(), &"month".into())
    );
    let create = &last["create"][0];
    assert_eq!((&create["Action"], &create["Type"]), (&"CreateUsageDetailDataExportTask".into(), &"flow".into()));
    let times = [&create["StartTime"], &create["EndTime"]].map(|t| t.as_str().unwrap());
    assert!(times[0].ends_with("T16:00:00Z") && times[1].ends_with("T15:59:59Z"), "{create}");

    // Requests are something else.
    add(&world, "two", "requests, all", Some(LATER));
    world.once(0).await;
    assert_eq!(world.run(&["gaps", "--json"]).await.expect(1).rows(), rows);
    add(&world, "three", "traffic, all", Some(LATER));
    world.once(0).await;
    assert_eq!(world.run(&["gaps", "--json"]).await.expect(0).stdout, "");
    let text = world.run(&["gaps"]).await.expect(0).stdout;
    assert!(text.ends_with(" archived\n") && text.lines().count() == 1, "{text}");
}

#[tokio::test]
async fn the_commands_agree_on_every_window_and_look_beside_the_daemon() {
    let mut world = World::start().await;
    world.expect("main", EXPECT);
    world.expect("main", "from = \"2018-08-30\"\nwindow = \"day\"\ntime_zone = \"UTC\"");
    add(&world, "one", "traffic, August", None);
    add(&world, "odd", "traffic", Some((LATER.1, LATER.0)));
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 2).await;
    let all = world.run(&["calendar", "--since", "2018-01-01", "--json"]).await.expect(0).rows();
    let gaps = world.run(&["gaps", "--json"]).await.expect(1).rows();
    assert!(all.len() > 2000 && gaps.len() > 2000, "{} {}", all.len(), gaps.len());
    let is_gap = |row: &&Value| !["archived", "restated"].contains(&row["state"].as_str().unwrap());
    // What of a window is lost moves on hour by hour, and an hour may end between the two; the last day may, too.
    let lasting =
        |row: &Value| ["date", "window", "state", "lacking", "due_at", "undelivered"].map(|key| row[key].clone());
    let expected: Vec<_> = all.iter().filter(is_gap).map(lasting).take(2000).collect();
    assert_eq!(expected, gaps.iter().map(lasting).take(2000).collect::<Vec<_>>());
    assert_eq!(all[0]["counts"][0]["path"], csv_path("one"));
    assert_eq!(all[0]["range_end"], "2018-08-31T15:59:59.000Z");
    let days: Vec<&Value> = all.iter().filter(|r| r["window"] == "day").take(3).collect();
    assert_eq!(days[0]["state"], "archived");
    // The month ends eight hours before the day does.
    assert_eq!((&days[1]["date"], &days[1]["state"]), (&"2018-08-31".into(), &"beyond_reach".into()));
    assert_eq!(days[1]["lacking"][0]["range_start"], "2018-08-31T16:00:00.000Z");
    let text = world.run(&["gaps"]).await.expect(1).stdout;
    assert!(text.contains("note: task main/usage-detail/odd has a range that is none"), "{text}");
    let picture = world.run(&["calendar", "--since", "2018-01-01"]).await.expect(0).stdout;
    let row = format!("  2018     {}#   x   x   x   x\n", " ".repeat(4 * 7));
    assert!(picture.contains(&row), "{picture}");
    assert!(!picture.contains('\u{1b}'), "no colours in a pipe");
    daemon.stop().await;
}

#[tokio::test]
async fn nothing_expected_is_said_and_a_wrong_name_is_refused() {
    let world = World::start().await;
    world.once(0).await;
    for command in ["gaps", "calendar"] {
        let run = world.run(&[command]).await.expect(0);
        assert!(run.stdout.contains("[[account.expect]]"), "{run}");
        assert_eq!(world.run(&[command, "--json"]).await.expect(0).stdout, "");
        let run = world.run(&[command, "--account", "mian"]).await.expect(2);
        assert!(run.complaint().contains("no such account is configured; there are: main"), "{run}");
    }
    // Nothing is expected anywhere, so that there is nothing to be asked for instead.
    world.run(&["gaps", "--export", "usage"]).await.expect(0);
    world.run(&["gaps", "--account", "main"]).await.expect(0);
    let run = world.run(&["calendar", "--since", "lately"]).await.expect(2);
    assert!(run.complaint().contains("--since lately: write a day such as 2026-01-31"), "{run}");
}

#[tokio::test]
async fn only_the_account_and_the_export_that_are_asked_for_are_shown() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, crate::common::USAGE]);
    world.add_account("branch", cloudsim::AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.expect("main", "from = \"2020-01\"");
    world.expect("main", "from = \"2020-01\"\nexport = \"usage\"");
    world.expect("branch", "from = \"2020-01\"");
    world.once(0).await;
    let shown = async |args: &[&str]| {
        let args: Vec<&str> = ["gaps", "--json"].into_iter().chain(args.iter().copied()).collect();
        let mut of: Vec<_> = world
            .run(&args)
            .await
            .expect(1)
            .rows()
            .iter()
            .map(|r| format!("{}/{}", r["account"], r["export"]))
            .collect();
        of.dedup();
        of.join(" ").replace('"', "")
    };
    assert_eq!(shown(&[]).await, "main/usage-detail main/usage branch/usage-detail");
    assert_eq!(shown(&["--account", "branch"]).await, "branch/usage-detail");
    assert_eq!(shown(&["--export", "usage"]).await, "main/usage");
    assert_eq!(shown(&["--account", "main", "--export", "usage-detail"]).await, "main/usage-detail");
}

#[tokio::test]
async fn asking_for_what_nobody_expects_does_not_look_like_completeness() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, crate::common::USAGE]);
    for name in ["branch", "bare"] {
        let keys = cloudsim::AccountSpec::new(format!("LTAI{name}"), "secret");
        world.add_account(name, keys, &[DETAIL, crate::common::USAGE]);
    }
    world.expect("main", "from = \"2020-01\"");
    world.expect("main", "from = \"2020-01-01\"\nwindow = \"day\"");
    world.once(0).await;
    for command in ["gaps", "calendar"] {
        for (args, said) in [
            (
                &["--export", "usage"][..],
                "--export usage: nothing is expected there; there are expectations of: main/usage-detail",
            ),
            (&["--account", "branch"], "--account branch: nothing is expected there; there are expectations of: main"),
            (&["--account", "bare", "--export", "usage"], "--account bare: nothing is expected there"),
            (&["--account", "main", "--export", "usage"], "--export usage: nothing is expected there"),
            (&["--export", "usage", "--json"], "--export usage: nothing is expected there"),
        ] {
            let run = world.run(&[&[command], args].concat()).await.expect(2);
            assert!(run.complaint().contains(said) && run.stdout.is_empty(), "{run}");
        }
    }
    world.expect("branch", "from = \"2020-01\"\nexport = \"usage\"");
    let run = world.run(&["gaps", "--account", "main", "--export", "usage"]).await.expect(2);
    assert!(run.complaint().ends_with("of: main/usage-detail"), "{run}");
    let run = world.run(&["gaps", "--account", "bare"]).await.expect(2);
    assert!(run.complaint().ends_with("of: main, branch"), "{run}");
    world.run(&["gaps", "--export", "usage"]).await.expect(1);
}

/// What is said of windows, by window.
fn said(daemon: &Running) -> Vec<(String, String)> {
    let of = |word: &'static str| {
        let lines = daemon.events(&format!("window.{word}"));
        lines.into_iter().map(move |line| (line["date"].as_str().unwrap().to_owned(), word.to_owned()))
    };
    of("overdue").chain(of("beyond_reach")).chain(of("archived")).collect()
}

/// How many windows there are of each state, as the metrics have it.
async fn shown(address: &str) -> BTreeMap<String, u64> {
    let text = get(address, "/metrics").await.unwrap().1;
    let rows = text.lines().filter_map(|line| {
        let (labels, count) = line.strip_prefix("cdn_usaged_windows{")?.split_once("} ")?;
        let state = labels.split("state=\"").nth(1)?.trim_end_matches('"').to_owned();
        Some((state, count.parse().unwrap())).filter(|(_, count)| *count > 0)
    });
    rows.collect()
}

async fn counted(world: &World) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for row in world.run(&["calendar", "--since", "2018-01-01", "--json"]).await.expect(0).rows() {
        *counts.entry(row["state"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn the_daemon_says_each_change_once_over_restarts_and_lines_and_metrics_agree_with_the_commands() {
    let mut world = World::start().await;
    let address = world.serve_http();
    world.expect("main", EXPECT);
    add(&world, "one", "traffic, August", None);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let gaps = world.run(&["gaps", "--json"]).await.expect(1).rows();
    let mut expected: BTreeSet<_> =
        gaps.iter().map(|r| ["date", "state"].map(|key| r[key].as_str().unwrap().to_owned()).into()).collect();
    expected.insert(("2018-08".to_owned(), "archived".to_owned()));
    assert!(expected.len() > 90, "{expected:?}");
    daemon.until("every window is said", async || said(&daemon).len() >= expected.len()).await;
    daemon
        .until("the metrics are those of the commands", async || shown(&address).await == counted(&world).await)
        .await;
    let lines = said(&daemon);
    assert_eq!(lines.len(), expected.len(), "{lines:?}");
    assert_eq!(lines.iter().cloned().collect::<BTreeSet<_>>(), expected);
    let overdue = daemon.events("window.overdue");
    for line in &overdue {
        let row = gaps.iter().find(|row| row["date"] == line["date"]).unwrap();
        for key in ["account", "export", "name", "window", "range_start", "range_end", "due_at", "why"] {
            assert_eq!(line[key], row[key], "{key}: {line}");
        }
        assert!(line["advice"].as_str().unwrap().contains("StartTime="), "{line}");
        assert_eq!(line["level"], "error");
    }
    assert!(daemon.events("window.archived")[0]["why"].as_str().unwrap().contains("task one revision 1"));
    daemon.stop().await;

    // Another process knows what was said, and that it is archived after all is news.
    let daemon = world.daemon().await;
    daemon.until("the metrics are there", async || shown(&address).await == counted(&world).await).await;
    add(&world, "all", "traffic, all", Some(LATER));
    daemon.until("all is archived", async || said(&daemon).len() >= gaps.len()).await;
    daemon.until("the metrics show it", async || shown(&address).await == counted(&world).await).await;
    assert_eq!(shown(&address).await, BTreeMap::from([("archived".to_owned(), gaps.len() as u64 + 1)]));
    let lines = said(&daemon);
    assert_eq!(lines.len(), gaps.len(), "{lines:?}");
    assert!(lines.iter().all(|(_, word)| word == "archived"), "{lines:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn what_lacks_is_not_said_before_it_could_be_there() {
    let mut world = World::start().await;
    world.expect("main", EXPECT);
    add(&world, "one", "traffic, August", None);
    add(&world, "all", "traffic, all", Some(LATER));
    world.cloud.script_oss(cloudsim::OssMatch::Any, cloudsim::OssFault::ResetAt(5), 2);
    let daemon = world.daemon().await;
    daemon.until("all is archived", async || said(&daemon).len() > 90).await;
    assert!(said(&daemon).iter().all(|(_, word)| word == "archived"), "{:?}", said(&daemon));
    daemon.stop().await;
}

#[tokio::test]
async fn a_run_from_a_timer_says_each_change_once() {
    let mut world = World::start().await;
    world.expect("main", "from = \"2018-08\"\nname = \"traffic*\"");
    let missing =
        |run: &crate::common::Run| run.events("window.overdue").len() + run.events("window.beyond_reach").len();
    let run = world.once(0).await;
    assert!(missing(&run) > 90 && run.events("window.archived").is_empty(), "{run}");
    add(&world, "one", "traffic, August", None);
    let run = world.once(0).await;
    assert_eq!((missing(&run), run.events("window.archived").len()), (0, 1));
    let run = world.once(0).await;
    assert_eq!((missing(&run), run.events("window.archived").len()), (0, 0));
}

/// Nobody listens there.
const DEAD: &str = "http://127.0.0.1:1";

/// What is said that lacks.
fn lacking(lines: &[Value]) -> usize {
    lines.iter().filter(|l| l["event"] == "window.overdue" || l["event"] == "window.beyond_reach").count()
}

#[tokio::test]
async fn a_cloud_that_cannot_be_reached_makes_nothing_overdue_and_nothing_lost() {
    let mut world = World::start().await;
    world.set("retry.call_attempts", "1");
    world.set_exports("main", &[DETAIL, crate::common::USAGE]);
    let address = world.serve_http();
    world.add_account("branch", cloudsim::AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.expect("main", EXPECT);
    world.expect("main", "from = \"2018-08\"\nexport = \"usage\"");
    // What is archived of the other account shows that the windows were looked at.
    world.expect("branch", "from = \"2018-08\"\nname = \"all*\"");
    world.set_endpoint_of("main", DEAD);
    let all = |id: &str, name: &str| {
        let range = (at("2018-07-31T16:00:00Z"), at(LATER.1));
        TaskSpec::default().with_id(id).with_name(name).with_object(Object::csv(3)).with_range(range.0, range.1)
    };
    world.cloud.add_task("LTAIbranch", DETAIL, all("first", "first"));
    let daemon = world.daemon().await;
    let failed = |export: &'static str| {
        let of = |line: &Value| line["account"] == "main" && line["export"] == export;
        daemon.events("poll.failed").iter().filter(|line| of(line)).count()
    };
    daemon
        .until("every listing of main was asked for twice", async || {
            failed("usage-detail") >= 2 && failed("usage") >= 2 && !shown(&address).await.is_empty()
        })
        .await;
    world.cloud.add_task("LTAIbranch", DETAIL, all("all", "all, by now"));
    daemon.until("another look has been", async || daemon.events("window.archived").len() > 90).await;
    let of_main = || daemon.log().into_iter().filter(|line| line["account"] == "main").collect::<Vec<_>>();
    assert_eq!(lacking(&of_main()), 0, "{:?}", of_main());
    assert!(daemon.events("poll.completed").iter().all(|line| line["account"] == "branch"));

    // It answers, and each is said once.
    world.set_endpoint_of("main", &world.cloud.endpoint());
    let gaps = world.run(&["gaps", "--account", "main", "--json"]).await.expect(1).rows();
    assert!(gaps.len() > 180, "{}", gaps.len());
    daemon.signal(rustix::process::Signal::HUP);
    daemon.until("all that lacks is said", async || lacking(&daemon.log()) >= gaps.len()).await;
    assert_eq!(lacking(&daemon.stop().await.log()), gaps.len());
}

#[tokio::test]
async fn a_run_that_cannot_read_a_listing_says_nothing_of_its_windows() {
    let mut world = World::start().await;
    world.set("retry.call_attempts", "1");
    world.add_account("branch", cloudsim::AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.expect("main", EXPECT);
    world.set_endpoint_of("main", DEAD);
    let run = world.once(1).await;
    assert_eq!(lacking(&run.log()), 0, "{run}");
    // That of another account does not wait for it.
    world.expect("branch", EXPECT);
    let run = world.once(1).await;
    assert!(lacking(&run.log()) > 90, "{run}");
    assert!(run.log().iter().all(|line| line["account"] != "main" || line["date"].is_null()), "{run}");
    world.set_endpoint_of("main", &world.cloud.endpoint());
    let run = world.once(0).await;
    assert!(lacking(&run.log()) > 90, "{run}");
}

#[tokio::test]
async fn what_has_not_been_fetched_for_want_of_space_does_not_lack_yet() {
    let mut world = World::start().await;
    world.expect("main", EXPECT);
    add(&world, "all", "traffic, all", Some(LATER));
    world.set("storage.min_free", "\"1000TiB\"");
    let run = world.once(1).await;
    assert_eq!(lacking(&run.log()), 0, "{run}");
    world.set("storage.min_free", "\"1KiB\"");
    let run = world.once(0).await;
    assert!(run.events("window.archived").len() > 90, "{run}");
}

#[tokio::test]
async fn windows_that_cannot_be_judged_are_said_once_with_the_row_that_is_the_cause() {
    let mut world = World::start().await;
    let address = world.serve_http();
    world.expect("main", EXPECT);
    add(&world, "odd", "traffic, August", None);
    add(&world, "none", "requests", None);
    world.once(0).await;
    world.cloud.remove_task(MAIN, DETAIL, "odd").unwrap();
    world.once(0).await;
    world.once(0).await;
    let set = async |start: &str| {
        let mut db = SqliteConnectOptions::new().filename(world.database()).connect().await.unwrap();
        let set = "UPDATE tasks SET range_start = ?1 WHERE task_id = 'odd'";
        let done = sqlx::query(set).bind(start).execute(&mut db).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        db.close().await.unwrap();
    };
    set("once upon a time").await;
    let daemon = world.daemon().await;
    let failed = async || {
        let text = get(&address, "/metrics").await.map_or_else(String::new, |(_, text)| text);
        let rows = text.lines().find_map(|line| line.strip_prefix("cdn_usaged_store_errors_total "));
        rows.map_or(0.0, |n| n.parse::<f64>().unwrap())
    };
    daemon.await_events("store.failed", 1).await;
    for id in ["a", "b", "c"] {
        let before = failed().await;
        add(&world, id, "requests", None);
        daemon.until("it is looked at again, and fails again", async || failed().await > before).await;
    }
    let said = daemon.events("store.failed");
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["level"], "error");
    let error = said[0]["error"].as_str().unwrap();
    for part in ["windows cannot be judged", "main/usage-detail", "tasks.range_start", "task odd"] {
        assert!(error.contains(part), "{part}: {error}");
    }

    set("2018-07-31T16:00:00.000Z").await;
    add(&world, "all", "traffic, all", Some(LATER));
    daemon.until("the windows are watched again", async || daemon.events("window.archived").len() > 90).await;
    set("once upon a time").await;
    add(&world, "d", "requests", None);
    daemon.await_events("store.failed", 2).await;
    daemon.stop().await;
}
