//! The commands that only look.

use std::{fs, path::Path};

use cloudsim::{AccountSpec, Object, OssFault, OssMatch, TaskSpec};
use serde_json::Value;

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::{DETAIL, MAIN, USAGE, World, csv_path, finish, is_root};

const TASKS: [&str; 12] = [
    "account",
    "export",
    "task_id",
    "name",
    "status",
    "created_at",
    "updated_at",
    "range_start",
    "range_end",
    "first_seen_at",
    "last_seen_at",
    "unlisted_at",
];
const DOWNLOADS: [&str; 9] =
    ["state", "attempt", "not_before", "path", "bytes", "sha256", "reason", "error", "stored_at"];
const TRANSITIONS: [&str; 10] = [
    "id",
    "account",
    "export",
    "task_id",
    "kind",
    "from_status",
    "to_status",
    "remote_updated_at",
    "observed_at",
    "request_id",
];
const ATTEMPTS: [&str; 13] = [
    "id",
    "account",
    "export",
    "task_id",
    "attempt",
    "started_at",
    "ended_at",
    "result",
    "reason",
    "error",
    "from_byte",
    "to_byte",
    "request_id",
];
const FILES: [&str; 13] = [
    "id",
    "account",
    "export",
    "task_id",
    "revision",
    "path",
    "bytes",
    "sha256",
    "crc64",
    "etag",
    "verified_by",
    "remote_updated_at",
    "stored_at",
];

#[track_caller]
fn assert_has(row: &Value, columns: &[&str]) {
    let object = row.as_object().unwrap();
    for column in columns {
        assert!(object.contains_key(*column), "{column} is not in {row}");
    }
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|r| r["task_id"].as_str().unwrap()).collect()
}

/// Two accounts: stored, given up, failed and unfinished tasks.
async fn varied() -> World {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.add_account("branch", AccountSpec::new("LTAIbranch", "secret-of-branch"), &[DETAIL]);
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("stored").with_name("traffic"));
    world.add("bad", Object::csv(9));
    world.cloud.script_oss(OssMatch::Task("bad".to_owned()), OssFault::WrongCrc, u32::MAX);
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("failed").with_status("failed"));
    world.cloud.add_task(MAIN, USAGE, TaskSpec::default().with_id("odd").with_status("Reticulating"));
    world.cloud.add_task("LTAIbranch", DETAIL, TaskSpec::default().with_id("other"));
    world.once(1).await;
    world
}

#[tokio::test]
async fn the_tables_and_the_json_have_the_promised_columns() {
    let world = varied().await;
    let downloads = ["account", "export", "task_id"].into_iter().chain(DOWNLOADS).collect::<Vec<_>>();
    let listings = [
        "account",
        "export",
        "endpoint",
        "total",
        "last_poll_at",
        "last_sweep_at",
        "last_consistent_sweep_at",
        "error",
    ];
    let promised: [(&str, &[&str]); 6] = [
        ("listings", &listings),
        ("tasks", &TASKS),
        ("transitions", &TRANSITIONS),
        ("downloads", &downloads),
        ("attempts", &ATTEMPTS),
        ("files", &FILES),
    ];
    for (table, columns) in promised {
        let has = world.columns(table).await;
        assert!(columns.iter().all(|c| has.iter().any(|h| h == c)), "{table}: {has:?}");
    }

    let rows = world.run(&["tasks", "--json"]).await.expect(0).rows();
    assert_eq!(rows.len(), 5);
    for row in &rows {
        assert_has(row, &TASKS);
        assert_has(row, &["download"]);
        if !row["download"].is_null() {
            assert_has(&row["download"], &DOWNLOADS);
        }
    }
    let find = |id: &str| rows.iter().find(|r| r["task_id"] == id).unwrap();
    assert!(find("failed")["download"].is_null() && find("odd")["download"].is_null());
    assert_eq!(find("odd")["status"], "reticulating");
    assert_eq!(find("stored")["name"], "traffic");
    assert_eq!(find("stored")["download"]["path"], csv_path("stored"));
    assert_eq!(find("bad")["download"]["reason"], "integrity");

    let rows = world.run(&["history", "bad", "--json"]).await.expect(0).rows();
    let types: Vec<_> = rows.iter().map(|r| r["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["transition", "attempt", "attempt", "attempt"]);
    assert_has(&rows[0], &TRANSITIONS);
    assert_has(&rows[1], &ATTEMPTS);
    assert!(rows[0]["request_id"].is_string() && rows[1]["request_id"].is_string());
    let rows = world.run(&["history", "main/usage-detail/stored", "--json"]).await.expect(0).rows();
    let file = rows.iter().find(|r| r["type"] == "file").unwrap();
    assert_has(file, &FILES);
    assert_eq!((file["verified_by"].as_str(), file["revision"].as_i64()), (Some("crc64"), Some(1)));
    assert!(file["crc64"].as_str().unwrap().parse::<u64>().is_ok());
    for row in &rows {
        let text = row.to_string();
        assert!(!text.contains("Signature"), "{text}");
    }
}

#[tokio::test]
async fn tasks_are_filtered_as_asked() {
    let world = varied().await;
    let cases: [(&[&str], &[&str]); 10] = [
        (&["--account", "branch"], &["other"]),
        (&["--export", "usage"], &["failed", "odd"]),
        (&["--status", "success", "--account", "main"], &["bad", "stored"]),
        (&["--status", "FAILED"], &["failed"]),
        (&["--state", "abandoned"], &["bad"]),
        (&["--state", "stored", "--account", "main"], &["stored"]),
        (&["--state", "pending"], &[]),
        (&["--since", "1h"], &["other", "failed", "odd", "bad", "stored"]),
        (&["--since", "2099-01-01T00:00:00Z"], &[]),
        (&["--since", "2001-01-01T00:00:00Z", "--status", "reticulating"], &["odd"]),
    ];
    for (filter, wanted) in cases {
        let args: Vec<&str> = ["tasks", "--json"].into_iter().chain(filter.iter().copied()).collect();
        let rows = world.run(&args).await.expect(0).rows();
        let (mut found, mut wanted) = (ids(&rows), wanted.to_vec());
        found.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(found, wanted, "{filter:?}");
    }
    world.run(&["tasks", "--since", "yesterday-ish"]).await.expect(2);
    world.run(&["tasks", "--state", "lost"]).await.expect(2);
    let table = world.run(&["tasks"]).await.expect(0).stdout;
    assert!(table.contains("main/usage-detail/stored") && table.contains("reticulating"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours in a pipe");
}

#[tokio::test]
async fn a_consumer_of_files_remembers_where_it_was() {
    let world = World::start().await;
    for n in 1..=5_u64 {
        world.add(&n.to_string(), Object::csv(n));
    }
    world.once(0).await;
    let rows = world.run(&["files", "--json"]).await.expect(0).rows();
    assert_eq!(rows.len(), 5);
    for row in &rows {
        assert_has(row, &FILES);
    }
    let known: Vec<i64> = rows.iter().map(|r| r["id"].as_i64().unwrap()).collect();
    assert!(known.is_sorted_by(|a, b| a < b), "{known:?}");
    let after = world.run(&["files", "--json", "--after", &known[2].to_string()]).await.expect(0).rows();
    assert_eq!(after.iter().map(|r| r["id"].as_i64().unwrap()).collect::<Vec<_>>(), known[3..]);

    world.add("6", Object::csv(6));
    world.once(0).await;
    let after = world.run(&["files", "--json", "--after", &known[4].to_string()]).await.expect(0).rows();
    assert_eq!(ids(&after), ["6"]);
    let after = world.run(&["files", "--json", "--after", "999999"]).await.expect(0);
    assert_eq!(after.stdout, "");
}

#[tokio::test]
async fn an_account_that_was_taken_out_of_the_configuration_keeps_its_rows_and_is_shown_as_unconfigured() {
    let mut world = varied().await;
    world.cloud.clear_scripts();
    world.forget_account("branch");
    world.cloud.clear_history();
    world.once(0).await;
    assert!(world.cloud.gateway_calls().iter().all(|c| c.access_key_id == MAIN));
    let table = world.run(&["tasks"]).await.expect(0).stdout;
    for line in table.lines().skip(1) {
        assert_eq!(line.contains("unconfigured"), line.contains("branch/"), "{line}");
    }
    assert!(table.contains("branch/usage-detail/other"), "{table}");
    let rows = world.run(&["tasks", "--json"]).await.expect(0).rows();
    let unconfigured: Vec<_> = rows.iter().filter(|r| r["configured"] == false).cloned().collect();
    assert_eq!(ids(&unconfigured), ["other"]);
}

#[tokio::test]
async fn control_characters_from_the_network_never_reach_a_terminal() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.expect("main", "from = \"2018-08\"");
    let nasty = "a\u{1b}[2J\n\u{7f}\u{9b}31m\u{202e}evil\u{2066}\u{2028}z\r";
    for export in [DETAIL, USAGE] {
        let task = TaskSpec::default().with_id(format!("id{nasty}")).with_name(nasty);
        world.cloud.add_task(MAIN, export, task);
    }
    world.cloud.add_task(MAIN, DETAIL, TaskSpec::default().with_id("2").with_status(format!("w{nasty}")));
    let message = format!("no {nasty}");
    let refusal = OssFault::Error { status: 503, code: format!("C{nasty}"), message, ec: nasty.to_owned() };
    world.cloud.script_oss(OssMatch::Any, refusal, 2);
    world.cloud.script_gateway(
        cloudsim::GatewayMatch::Any,
        cloudsim::GatewayFault::Error(cloudsim::ApiError::new("ServiceBusy", 503).with_message(nasty)),
        1,
    );
    let id = world.cloud.tasks(MAIN, DETAIL)[0].0.clone();
    let qualified = format!("main/usage-detail/{id}");
    let mut runs = Vec::new();
    for format in ["\"json\"", "\"text\""] {
        world.set("log.format", format);
        runs.push(world.run(&["once"]).await);
    }
    for command in [
        ["tasks"].as_slice(),
        &["tasks", "--json"],
        &["files"],
        &["files", "--json"],
        &["history", &qualified],
        &["history", &qualified, "--json"],
        &["history", &id],
        &["history", &format!("{id}x")],
        &["why", &qualified],
        &["why", &qualified, "--json"],
        &["why", &id],
        &["why", &format!("{id}x")],
        &["status"],
        &["status", "--json"],
        &["retry", &qualified],
        &["retry", &qualified, "--json"],
        &["retry", &id],
        &["verify", "--json"],
        &["gaps"],
        &["gaps", "--json"],
        &["calendar", "--since", "2018-01-01", "--json"],
    ] {
        runs.push(world.run(command).await);
    }
    assert!(runs[2].stdout.contains("evil"), "{}", runs[2]);
    for run in &runs {
        for text in [&run.stdout, &run.stderr] {
            let hidden = |c: &char| *c != '\n' && cdn_usaged::text::is_hidden(*c);
            assert_eq!(text.chars().find(hidden), None, "{:?}", text);
        }
        assert!(!run.stderr.contains("\nevil") && !run.stdout.contains("\n\\u{7f}"), "{run}");
    }
    // It is the same text all the same.
    let rows = runs[3].rows();
    assert!(rows.iter().any(|r| r["name"] == nasty), "{rows:?}");
}

#[tokio::test]
async fn a_user_who_may_only_read_can_look_while_nothing_runs_beside_a_run_and_after_a_kill() {
    if !is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    let world = varied().await;
    let config = world.write_config();
    let binary = world.path().join("cdn-usaged");
    fs::copy(env!("CARGO_BIN_EXE_cdn-usaged"), &binary).unwrap();
    // Somebody of the group that the folder belongs to: it may read, and not write.
    let reader = |args: &[&str]| {
        let mut process = tokio::process::Command::new(&binary);
        process.env_clear().env("HOME", "/").arg("--config").arg(&config).args(args).uid(65534).gid(0);
        process
    };
    let look = async || {
        for args in [
            ["tasks", "--json"].as_slice(),
            &["files", "--json"],
            &["history", "stored", "--json"],
            &["why", "stored"],
            &["status"],
            &["verify"],
        ] {
            let run = finish(&mut reader(args)).await.expect(0);
            assert!(!run.stdout.is_empty(), "{run}");
        }
    };
    look().await;
    let run = finish(&mut reader(&["retry", "bad"])).await;
    assert_eq!(run.code(), 1, "it may not write after all: {run}");
    assert!(run.complaint().contains("run this as the user that owns it"), "{run}");

    world.cloud.clear_scripts();
    world.add_stalling("slow");
    let once = world.spawn(&["once"]);
    world.partial_with_bytes().await;
    look().await;
    once.signal(rustix::process::Signal::KILL);
    once.end().await;
    look().await;
}

/// The database of the golden outputs, in a world whose cloud has no task.
async fn golden_world() -> World {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    world.once(0).await;
    let options = SqliteConnectOptions::new().filename(world.database()).disable_statement_logging();
    let mut db = options.connect().await.unwrap();
    let script = include_str!("../fixtures/inspect/database.sql");
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    world
}

fn golden(name: &str, width: u32) -> String {
    let path = format!("tests/fixtures/inspect/{name}-{width}.txt");
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[tokio::test]
async fn the_binary_shows_what_the_golden_files_say_in_the_zone_and_width_that_it_is_told() {
    let world = golden_world().await;
    let run = async |words: &[&str], width: &str| {
        let mut command = world.command(words);
        finish(command.env("TZ", "CST-8").env("COLUMNS", width)).await.expect(0).stdout
    };
    for width in [80, 200] {
        let columns = width.to_string();
        assert_eq!(run(&["tasks"], &columns).await, golden("tasks", width));
        assert_eq!(run(&["history", "1001"], &columns).await, golden("history", width));
        // Where nothing depends on when it is asked.
        let stories = golden("why", width);
        let story = stories.split("\n\n").find(|story| story.starts_with("main/usage-detail/1001 ")).unwrap();
        assert_eq!(run(&["why", "1001"], &columns).await.trim_end(), story);
    }
    // A pipe has no width: nothing is shortened. Nor does a width that makes no sense shorten anything.
    let free = world.run(&["tasks", "--utc"]).await.expect(0).stdout;
    assert!(free.contains("UPDATED (UTC)") && free.contains("would allow it") && free.contains("1001.csv"), "{free}");
    for nonsense in ["0", "7", "wide", "-1"] {
        assert_eq!(run(&["tasks", "--utc"], nonsense).await, free, "{nonsense}");
    }
    let local = run(&["tasks"], "").await;
    assert!(local.contains("UPDATED (+08:00)") && local.contains("2026-02-01 10:10:00"), "{local}");
    // What is printed as JSON is as it is stored, wherever one is.
    assert!(run(&["tasks", "--json"], "80").await.contains("\"updated_at\":\"2026-02-01T02:10:00.000Z\""));
}

#[tokio::test]
async fn since_takes_days_and_times_as_they_are_shown() {
    let world = golden_world().await;
    let run = async |words: &[&str]| {
        let words: Vec<&str> = ["tasks", "--json", "--since"].iter().chain(words).copied().collect();
        let mut command = world.command(&words);
        let rows = finish(command.env("TZ", "CST-8")).await.expect(0).rows();
        rows.iter().map(|r| r["task_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    // The newest transition is of 2026-02-01T08:10:00Z, which is 16:10 there; that before of 10:10:30.
    assert_eq!(run(&["2026-02-01 16:10"]).await, ["1007"]);
    assert_eq!(run(&["2026-02-01T08:10:00Z"]).await, ["1007"]);
    assert_eq!(run(&["2026-02-01 08:10", "--utc"]).await, ["1007"]);
    assert_eq!(run(&["2026-02-01 10:10:30"]).await, ["1007", "1001"]);
    assert_eq!(run(&["2026-02-01"]).await, ["1007", "1001"]);
    assert_eq!(run(&["2026-02-02"]).await, Vec::<String>::new());
}

#[tokio::test]
async fn why_tells_of_a_real_run_what_it_met_and_what_to_do() {
    let world = varied().await;
    let told = world.run(&["why", "bad"]).await.expect(0).stdout;
    for part in [
        "bad",
        "given up after 3 failures in a row",
        "integrity: ",
        "cdn-usaged retry main/usage-detail/bad",
        "No instance runs",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let of = async |id: &str| world.run(&["why", id, "--json"]).await.expect(0).rows().remove(0);
    let bad = of("bad").await;
    assert_eq!((&bad["verdict"], &bad["next"]), (&"abandoned".into(), &"revival".into()), "{bad}");
    assert_eq!((&bad["attempts"], &bad["failures"], &bad["max_attempts"]), (&3.into(), &3.into(), &3.into()), "{bad}");
    assert_eq!(
        (&bad["reason"], &bad["running"], &bad["needs_person"]),
        (&"integrity".into(), &false.into(), &true.into())
    );
    assert_eq!(bad["last_attempt"]["result"], "abandoned");
    assert!(bad["text"].as_str().unwrap().contains(" UTC"), "{bad}");
    for (id, verdict, next) in [
        ("stored", "stored", "nothing"),
        ("failed", "failed_at_the_service", "nothing"),
        ("odd", "unfinished", "poll"),
        ("main/usage/odd", "unfinished", "poll"),
    ] {
        let told = of(id).await;
        assert_eq!((&told["verdict"], &told["next"]), (&verdict.into(), &next.into()), "{told}");
    }
    assert!(of("stored").await["needs_person"] == false);
    world.run(&["why", "nothing-like-it"]).await.expect(1);
}

#[tokio::test]
async fn an_ambiguous_id_is_refused_by_why_with_the_candidates() {
    let mut world = World::start().await;
    world.set_exports("main", &[DETAIL, USAGE]);
    for export in [DETAIL, USAGE] {
        world.cloud.add_task(MAIN, export, TaskSpec::default().with_id("11"));
    }
    world.once(0).await;
    let run = world.run(&["why", "11"]).await.expect(2);
    assert!(run.complaint().contains("main/usage-detail/11") && run.complaint().contains("main/usage/11"), "{run}");
    world.run(&["why", "main/usage/11"]).await.expect(0);
}

#[tokio::test]
async fn status_says_whether_anything_runs_and_what_needs_a_person() {
    let mut world = World::start().await;
    let missing = world.run(&["status"]).await.expect(1);
    assert!(missing.complaint().contains("there is no database"), "{missing}");

    world.add("whole", Object::csv(9));
    // Long intervals: nothing is overdue, whatever the machine is busy with.
    for key in ["poll.interval", "poll.idle_interval"] {
        world.set(key, "\"10m\"");
    }
    world.once(0).await;
    let stopped = world.run(&["status"]).await.expect(0).stdout;
    assert!(stopped.contains("not running") && stopped.contains("nothing needs a person"), "{stopped}");
    let report = world.run(&["status", "--json"]).await.expect(0).rows().remove(0);
    assert_eq!((&report["running"], &report["pid"], &report["healthy"]), (&false.into(), &Value::Null, &true.into()));
    assert_eq!(report["listings"][0]["tasks"]["success"], 1, "{report}");
    assert_eq!(report["listings"][0]["next_poll_at"], Value::Null, "nothing comes while nothing runs: {report}");
    assert_eq!((&report["downloads"]["stored"], &report["downloads"]["pending"]), (&1.into(), &0.into()));
    assert_eq!(report["storage"].as_array().unwrap().len(), 2);

    world.add_stalling("slow");
    world.set("download.idle_timeout", "\"10m\"");
    let daemon = world.spawn(&["once"]);
    world.partial_with_bytes().await;
    let running = world.run(&["status"]).await.expect(0).stdout;
    assert!(running.contains("running, pid ") && running.contains("under way  main/usage-detail/slow"), "{running}");
    let report = world.run(&["status", "--json"]).await.expect(0).rows().remove(0);
    assert_eq!((&report["running"], &report["downloads"]["active"]), (&true.into(), &1.into()), "{report}");
    assert!(report["pid"].as_u64().is_some() && report["listings"][0]["next_poll_at"].is_string(), "{report}");
    let told = world.run(&["why", "slow", "--json"]).await.expect(0).rows().remove(0);
    assert_eq!((&told["verdict"], &told["running"]), (&"downloading".into(), &true.into()), "{told}");
    daemon.signal(rustix::process::Signal::KILL);
    daemon.end().await;
    let told = world.run(&["why", "slow", "--json"]).await.expect(0).rows().remove(0);
    assert_eq!((&told["verdict"], &told["next_at"]), (&"cut_off".into(), &Value::Null), "{told}");
    let cut_off = world.run(&["status"]).await.expect(0).stdout;
    assert!(cut_off.contains("slow, attempt 1, cut off"), "{cut_off}");
}

#[tokio::test]
async fn looking_while_it_starts_keeps_no_instance_from_starting() {
    let world = World::start().await;
    world.add("1", Object::csv(9));
    world.once(0).await;
    for _ in 0..5 {
        let (mut looks, mut runs) = (world.command(["status", "--json"]), world.command(["once"]));
        let (looked, ran) = tokio::join!(finish(&mut looks), finish(&mut runs));
        looked.expect(0);
        ran.expect(0);
    }
}
