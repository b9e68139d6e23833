//! What the page says of a scene that is fixed, held to `tests/fixtures/page/scene.html`; `tests/page/` shows that file to a
//! browser. Set `GOLDEN=write` to write it anew, and look at it before it is committed.

use std::{fs, path::Path};

use jiff::{SignedDuration, Timestamp, civil::date};

use super::{
    facts::{Disk, Facts, Row, Transfer},
    view,
};
use crate::{
    completeness::Expected,
    fetch::Space,
    model::{
        download::{DownloadState, Reason},
        overview::Concern,
        task::{AccountName, Export, ListingKey},
        window::{
            DataType, Expectation, Horizon, Kind, NamePattern, State, TaskFacts, assess,
            sample::{beijing, task, with},
        },
    },
    store::{Given, Listing, RecentRow, Retrying},
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-09-10T08:30:00Z")
}

fn key(account: &str, export: Export) -> ListingKey {
    ListingKey { account: AccountName::parse(account).unwrap(), export }
}

fn stored(shas: &[&str], task: TaskFacts) -> TaskFacts {
    with(DownloadState::Stored, None, shas, task)
}

fn months() -> Vec<TaskFacts> {
    vec![
        stored(&["a"], task("1", "success", (2022, 1, 1), (2025, 4, 30))),
        stored(&["b"], task("2", "success", (2025, 6, 1), (2026, 5, 31))),
        stored(&["c", "d"], task("3", "success", (2026, 6, 1), (2026, 6, 30))),
        with(DownloadState::Abandoned, Some(Reason::Gone), &[], task("4", "success", (2026, 7, 1), (2026, 7, 31))),
        TaskFacts { created_at: Some(at("2026-09-09T08:00:00Z")), ..task("5", "created", (2026, 8, 1), (2026, 8, 31)) },
    ]
}

fn days() -> Vec<TaskFacts> {
    vec![
        stored(&["a"], task("1", "success", (2025, 1, 1), (2026, 7, 13))),
        stored(&["b"], task("2", "success", (2026, 7, 15), (2026, 9, 4))),
        task("7", "failed", (2026, 9, 7), (2026, 9, 7)),
        task("8", "created", (2026, 9, 8), (2026, 9, 8)),
    ]
}

fn expect(listing: ListingKey, kind: Kind, name: &str, from: (i16, i8, i8), due: i64, tasks: &[TaskFacts]) -> Expected {
    let expectation = Expectation {
        export: listing.export,
        kind,
        zone: beijing(),
        name: NamePattern::new(name),
        data: Some(DataType::Flow),
        from: date(from.0, from.1, from.2),
        due: SignedDuration::from_hours(due),
    };
    let assessed = assess(&expectation, tasks, now(), &Horizon::DOCUMENTED);
    Expected { listing, expectation, assessed }
}

fn recent(task_id: &str, name: &str, from: Option<&str>, to: &str, minute: i8) -> RecentRow {
    RecentRow {
        account: "main".to_owned(),
        export: "usage-detail".to_owned(),
        task_id: task_id.to_owned(),
        name: Some(name.to_owned()),
        kind: if from.is_some() { "status" } else { "first" }.to_owned(),
        from_status: from.map(str::to_owned),
        to_status: to.to_owned(),
        observed_at: format!("2026-09-10T08:{minute:02}:11.000Z"),
    }
}

/// Three listings, each state of a window, a file under way and one that waits.
fn scene() -> Facts {
    let (main, usage, branch) =
        (key("main", Export::UsageDetail), key("main", Export::Usage), key("branch", Export::UsageDetail));
    let well = |total, poll: &str| Listing {
        total: Some(total),
        last_poll_at: Some(at(poll)),
        last_consistent_sweep_at: Some(at("2026-09-10T05:12:40Z")),
        ..Listing::default()
    };
    let failing = Listing {
        error: Some(
            "DescribeUserUsageDataExportTask failed after 8 attempts: the service answers Forbidden.RAM".to_owned(),
        ),
        ..well(44, "2026-09-10T07:41:12Z")
    };
    let rows = vec![
        Row { key: branch.clone(), known: well(618, "2026-09-10T08:29:57Z") },
        Row { key: main.clone(), known: well(287, "2026-09-10T08:29:55Z") },
        Row { key: usage.clone(), known: failing },
    ];
    let disk = |folder, path: &str, free_gib: u64| Disk {
        folder,
        path: path.into(),
        space: Some(Space { free_bytes: free_gib << 30, total_bytes: 200 << 30 }),
    };
    Facts {
        now: now(),
        since: at("2026-09-07T03:12:00Z"),
        concerns: vec![Concern::Failing(usage.clone()), Concern::Abandoned(1), Concern::Lacking(4)],
        expected: vec![
            expect(main.clone(), Kind::Month, "traffic*", (2022, 1, 1), 14 * 24, &months()),
            expect(
                usage.clone(),
                Kind::Month,
                "*",
                (2025, 1, 1),
                14 * 24,
                &[stored(&["a"], task("1", "success", (2025, 1, 1), (2026, 8, 31)))],
            ),
            expect(branch.clone(), Kind::Day, "*", (2025, 1, 1), 72, &days()),
        ],
        undone: [("pending", 2), ("active", 1), ("abandoned", 1)]
            .map(|(word, count)| Given { listing: main.clone(), state: word.to_owned(), reason: None, count, bytes: 0 })
            .into(),
        transfers: vec![Transfer {
            task: "main/usage-detail/34230590009".to_owned(),
            attempt: Some(2),
            since: Some(at("2026-09-10T08:29:19Z")),
            done_bytes: 181 << 20,
            received_bytes: 164 << 20,
            total_bytes: Some(256 << 20),
        }],
        retrying: vec![Retrying {
            account: "main".to_owned(),
            export: "usage-detail".to_owned(),
            task_id: "34230590007".to_owned(),
            attempt: 3,
            not_before: "2026-09-10T08:31:40.000Z".to_owned(),
            reason: Some("network".to_owned()),
        }],
        recent: vec![
            recent("34230590009", "traffic, August", Some("created"), "success", 29),
            recent("34230590011", "requests, August", None, "created", 21),
            recent("34230590005", "refresh & prefetch", Some("created"), "failed", 17),
            recent("34230590007", "traffic, July", Some("created"), "success", 2),
        ],
        disks: vec![disk("state", "/var/lib/cdn-usaged", 118), disk("download", "/srv/exports", 61)],
        min_free_bytes: 1 << 30,
        rows,
    }
}

#[test]
fn the_page_of_a_fixed_scene_is_what_the_golden_file_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/page/scene.html");
    // A line for each block, so that what changes can be read.
    let page = view::page(&scene()).replace(env!("CARGO_PKG_VERSION"), "0.0.0");
    let page = ["<section", "<article", "<li", "<svg", "<g ", "<tr", "<details"]
        .iter()
        .fold(page, |page, tag| page.replace(tag, &format!("\n{tag}")));
    if std::env::var("GOLDEN").is_ok_and(|v| v == "write") {
        fs::write(&path, format!("{page}\n")).unwrap();
    }
    assert_eq!(fs::read_to_string(&path).unwrap_or_default().trim_end(), page);
}

#[test]
fn every_state_of_a_window_has_its_shape_its_word_and_its_place_in_the_legend() {
    let facts = scene();
    let page = view::page(&facts);
    let mut shapes = std::collections::BTreeSet::new();
    for state in State::ALL {
        let windows = facts.expected.iter().flat_map(|e| &e.assessed.windows);
        assert!(windows.filter(|w| w.state == state).count() > 0, "the scene has none that is {state:?}");
        let path = format!("<path class=\"{}\" d=\"M", state.as_str());
        assert!(page.matches(&path).count() >= 2, "{state:?} is in a calendar and in the legend");
        let key = page.rsplit(&path).next().unwrap().split('"').next().unwrap();
        assert!(shapes.insert(key.to_owned()), "{state:?} has the shape of another");
        assert!(
            page.contains(&format!(" {}</span>", crate::model::window::words::state(state))),
            "{state:?} is counted"
        );
    }
}

#[test]
fn a_row_of_the_calendar_says_in_words_what_its_shapes_say() {
    let page = view::page(&scene());
    assert!(page.contains("<title>2026-07: 1\u{2013}13 archived, 14 overdue, 15\u{2013}31 archived</title>"));
    assert!(
        page.contains("<th scope=\"row\">2026-07</th><td>1\u{2013}13 archived, 14 overdue, 15\u{2013}31 archived</td>")
    );
    assert!(
        page.contains(
            "<title>2026-09: 1\u{2013}4 archived, 5\u{2013}6 overdue, 7 failed, 8 pending, 9 missing</title>"
        )
    );
}

#[test]
fn words_of_the_network_are_words_and_links_are_none() {
    let mut facts = scene();
    let hostile =
        "</q><script>alert(1)</script>\" onload='x' \u{202e}\u{1b}[2J https://b.example.com/x?Signature=MARK&Expires=1";
    let words = || hostile.to_owned();
    facts.recent = vec![RecentRow {
        account: words(),
        export: words(),
        task_id: words(),
        name: Some(words()),
        kind: words(),
        from_status: Some(words()),
        to_status: words(),
        observed_at: words(),
    }];
    facts.rows[0].known.error = Some(words());
    facts.retrying[0].reason = Some(words());
    facts.retrying[0].not_before = words();
    facts.transfers[0].task = words();
    facts.expected[0].expectation.name = NamePattern::new(hostile);
    let page = view::page(&facts) + &view::unreadable(hostile);
    assert!(page.matches("alert(1)").count() >= 9, "{page}");
    let scripts = page.matches("<script").count();
    assert_eq!(scripts, page.matches("<script src=\"/page.js\" defer></script>").count(), "{page}");
    for never in ["MARK", "\u{202e}", "\u{1b}", " onload='"] {
        assert!(!page.contains(never), "{never:?} in {page}");
    }
}

#[test]
fn a_page_without_news_says_so_and_one_with_all_well_names_nothing() {
    let empty = Facts {
        concerns: Vec::new(),
        expected: Vec::new(),
        undone: Vec::new(),
        transfers: Vec::new(),
        retrying: Vec::new(),
        recent: Vec::new(),
        rows: vec![Row { key: key("main", Export::Usage), known: Listing::default() }],
        ..scene()
    };
    let page = view::page(&empty);
    for said in [
        "All is well",
        "Nothing is expected",
        "Nothing has been seen yet",
        "not read yet",
        "never",
        "<b>0</b> under way",
    ] {
        assert!(page.contains(said), "{said:?} in {page}");
    }
    let low = Facts { min_free_bytes: 100 << 30, concerns: vec![Concern::LowSpace("download")], ..empty };
    let page = view::page(&low);
    assert!(page.contains("less than min_free 100GiB") && page.contains("storage.download_dir"), "{page}");
}

#[test]
fn what_is_shown_does_not_grow_with_what_is_overdue() {
    let expected = expect(key("main", Export::UsageDetail), Kind::Day, "*", (2023, 1, 1), 36, &[]);
    let windows = expected.assessed.windows.len();
    let page = view::page(&Facts { expected: vec![expected], ..scene() });
    assert!(windows > 1300, "{windows}");
    assert!(page.len() < windows * 60 + 15_000, "{} bytes for {windows} windows", page.len());
    assert_eq!(page.matches("<details").count(), 2);
}

#[test]
fn a_month_of_which_every_other_day_is_lost_is_told_to_its_end() {
    let odd: Vec<TaskFacts> = (0..16)
        .map(|n| {
            let day = (2024, 1, 2 * n + 1);
            stored(&["a"], task(&day.2.to_string(), "success", day, day))
        })
        .collect();
    let expected = expect(key("main", Export::UsageDetail), Kind::Day, "*", (2024, 1, 1), 36, &odd);
    let page = view::page(&Facts { expected: vec![expected], ..scene() });
    for end in ["</title>", "</td>"] {
        assert!(page.contains(&format!("29 archived, 30 beyond reach, 31 archived{end}")), "{end}");
    }
}
