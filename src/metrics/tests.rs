use std::{
    collections::BTreeSet,
    io::Write as _,
    process::{Command, Stdio},
};

use super::*;
use crate::model::download::DownloadState;

fn listing(account: &str, export: Export) -> ListingKey {
    ListingKey { account: AccountName::parse(account).unwrap(), export }
}

fn main_detail() -> ListingKey {
    listing("main", Export::UsageDetail)
}

fn metrics(listings: &[ListingKey]) -> Metrics {
    let metrics = Metrics::new().unwrap();
    metrics.set_listings(listings);
    metrics
}

/// The samples of a text, as series and value.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn value(metrics: &Metrics, series: &str) -> Option<f64> {
    samples(&metrics.render()).get(series).copied()
}

fn counted(listing: &ListingKey, word: &str, count: u64) -> Counted {
    Counted { listing: listing.clone(), word: word.to_owned(), count }
}

/// Something in every family, hostile words included.
fn busy() -> Metrics {
    let detail = main_detail();
    let metrics = metrics(&[detail.clone(), listing("second", Export::Usage)]);
    let at = Timestamp::from_millisecond(1_767_225_600_250).unwrap();
    for code in ["OK", "transport", "Throttling.User", "x\"} 1\n# HELP y", "back\\slash"] {
        metrics.api_request(&detail.account, detail.export.action(), code, Duration::from_millis(30));
        metrics.api_request(&detail.account, code, code, Duration::from_secs(99));
        metrics.transition(&detail, code);
    }
    metrics.poll(&detail, PollResult::Ok);
    metrics.successful_poll_at(&detail, at);
    metrics.consistent_sweep_at(&detail, at);
    metrics.download_attempt(&detail, AttemptResult::Stored);
    metrics.download_bytes(&detail, 4096);
    metrics.row_rejected(2);
    metrics.store_error();
    metrics.credentials_expire(&detail.account, Some(at));
    metrics.credentials_not_refreshed(&detail.account);
    metrics.storage_free_bytes(Folder::State, u64::MAX);
    metrics.storage_free_bytes(Folder::Download, 1 << 40);
    metrics.task_counts(&[
        counted(&detail, "success", 7),
        counted(&detail, "刷\"\n", 2),
        counted(&detail, "halted", 3),
    ]);
    metrics.download_counts(&[counted(&detail, "stored", 5)]);
    busy_beside(&metrics, &detail, at);
    metrics
}

fn busy_beside(metrics: &Metrics, detail: &ListingKey, at: Timestamp) {
    metrics.permit_waited(&detail.account, Duration::from_millis(1500));
    metrics.permit_waited(&detail.account, Duration::from_millis(250));
    metrics.throttled(&detail.account, Duration::from_secs(4));
    metrics.credentials_rejected(&detail.account, true);
    metrics.poll_took(true, Duration::from_secs(3));
    metrics.poll_took(false, Duration::from_millis(30));
    metrics.poll_interval(detail, Duration::from_secs(600));
    metrics.full_sweep_interval(Duration::from_secs(21_600));
    metrics.download_failed(detail, Reason::Integrity);
    metrics.in_progress(2, 4_294_967_296);
    metrics.storage_min_free_bytes(1 << 30);
    metrics.storage_low(true);
    metrics.config_reloaded(Some(at));
    metrics.config_reloaded(None);
    metrics.outstanding(&outstanding(detail, Some(at)));
}

fn outstanding(listing: &ListingKey, since: Option<Timestamp>) -> Outstanding {
    Outstanding {
        listing: listing.clone(),
        total: Some(11),
        is_suspect: true,
        undelivered: [(DownloadState::Pending, 3), (DownloadState::Active, 1), (DownloadState::Abandoned, 2)],
        lost: 4,
        undelivered_since: since,
        oldest_created_at: since,
    }
}

/// Strict about what the format asks for.
fn check_syntax(text: &str) {
    assert!(text.ends_with('\n'));
    let (mut helped, mut typed, mut seen) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut current = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty());
            assert!(helped.insert(name.to_owned()), "{name} is helped twice");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(helped.contains(name) && typed.insert(name.to_owned()), "{line}");
            assert!(name.starts_with("cdn_usaged_") || name.starts_with("process_"), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            name.clone_into(&mut current);
        } else {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let name = series.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name);
            assert!(name == current || family == current, "{line} is not of {current}");
            assert!(seen.insert(series.to_owned()), "{series} is there twice");
        }
    }
    assert_eq!(typed.len(), 40);
}

#[test]
fn the_end_of_keys_is_shown_for_those_that_have_one_and_configured_accounts_alone() {
    let detail = main_detail();
    let metrics = metrics(std::slice::from_ref(&detail));
    let end = "cdn_usaged_credentials_expiry_timestamp_seconds{account=\"main\"}";
    let failures = "cdn_usaged_credentials_refresh_failures_total{account=\"main\"}";
    assert_eq!((value(&metrics, end), value(&metrics, failures)), (None, Some(0.0)));
    let at = Timestamp::from_millisecond(1_767_225_600_250).unwrap();
    metrics.credentials_expire(&detail.account, Some(at));
    metrics.credentials_not_refreshed(&detail.account);
    assert_eq!((value(&metrics, end), value(&metrics, failures)), (Some(1_767_225_600.25), Some(1.0)));
    metrics.credentials_expire(&detail.account, None);
    assert_eq!(value(&metrics, end), None);
    metrics.credentials_expire(&detail.account, Some(at));
    metrics.set_listings(&[listing("second", Export::Usage)]);
    metrics.credentials_expire(&detail.account, Some(at));
    metrics.credentials_not_refreshed(&detail.account);
    assert_eq!((value(&metrics, end), value(&metrics, failures)), (None, None));
}

#[test]
fn what_is_rendered_is_the_text_format() {
    check_syntax(&busy().render());
}

#[test]
fn promtool_is_content() {
    let child =
        Command::new("promtool").args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return,
        Err(e) => panic!("{e}"),
    };
    let text = busy().render();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn every_promised_series_is_there_from_the_start_at_0() {
    let text = metrics(&[main_detail()]).render();
    let samples = samples(&text);
    let of = "account=\"main\",export=\"usage-detail\"";
    let mut expected = vec![
        "cdn_usaged_api_requests_total{account=\"main\",action=\"DescribeUserUsageDetailDataExportTask\",code=\"OK\"}"
            .to_owned(),
        "cdn_usaged_api_request_duration_seconds_count".to_owned(),
        "cdn_usaged_rows_rejected_total".to_owned(),
        "cdn_usaged_store_errors_total".to_owned(),
        format!("cdn_usaged_download_bytes_total{{{of}}}"),
        format!("cdn_usaged_last_successful_poll_timestamp_seconds{{{of}}}"),
        format!("cdn_usaged_last_consistent_sweep_timestamp_seconds{{{of}}}"),
    ];
    for result in ["ok", "inconsistent", "failed"] {
        expected.push(format!("cdn_usaged_polls_total{{{of},result=\"{result}\"}}"));
    }
    for series in ["api_permit_wait_seconds_total", "api_throttled_seconds_total", "credentials_rejected"] {
        expected.push(format!("cdn_usaged_{series}{{account=\"main\"}}"));
    }
    for series in ["storage_low", "storage_min_free_bytes", "downloads_in_progress", "downloads_in_progress_bytes"] {
        expected.push(format!("cdn_usaged_{series}"));
    }
    expected.push(format!("cdn_usaged_poll_interval_seconds{{{of}}}"));
    for reason in Reason::ALL {
        expected.push(format!("cdn_usaged_download_failures_total{{{of},reason=\"{}\"}}", reason.as_str()));
    }
    for to in ["created", "success", "failed", "unlisted", "other"] {
        expected.push(format!("cdn_usaged_transitions_total{{{of},to=\"{to}\"}}"));
    }
    for result in ["stored", "unchanged", "failed", "abandoned", "interrupted"] {
        expected.push(format!("cdn_usaged_download_attempts_total{{{of},result=\"{result}\"}}"));
    }
    for series in expected {
        assert_eq!(samples.get(&series), Some(&0.0), "{series} in\n{text}");
    }
    let build = format!("cdn_usaged_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples.get(&build), Some(&1.0));
}

#[test]
fn what_is_counted_is_shown() {
    let metrics = busy();
    let of = "account=\"main\",export=\"usage-detail\"";
    let action = "DescribeUserUsageDetailDataExportTask";
    let code =
        |code: &str| format!("cdn_usaged_api_requests_total{{account=\"main\",action=\"{action}\",code=\"{code}\"}}");
    for (series, expected) in [
        (code("OK"), 1.0),
        (code("transport"), 1.0),
        (code("Throttling.User"), 1.0),
        (code("other"), 2.0),
        ("cdn_usaged_api_requests_total{account=\"main\",action=\"other\",code=\"other\"}".to_owned(), 2.0),
        ("cdn_usaged_api_request_duration_seconds_count".to_owned(), 10.0),
        ("cdn_usaged_api_request_duration_seconds_bucket{le=\"0.05\"}".to_owned(), 5.0),
        (format!("cdn_usaged_polls_total{{{of},result=\"ok\"}}"), 1.0),
        (format!("cdn_usaged_last_successful_poll_timestamp_seconds{{{of}}}"), 1_767_225_600.25),
        (format!("cdn_usaged_last_consistent_sweep_timestamp_seconds{{{of}}}"), 1_767_225_600.25),
        (format!("cdn_usaged_transitions_total{{{of},to=\"other\"}}"), 5.0),
        (format!("cdn_usaged_download_attempts_total{{{of},result=\"stored\"}}"), 1.0),
        (format!("cdn_usaged_download_bytes_total{{{of}}}"), 4096.0),
        ("cdn_usaged_rows_rejected_total".to_owned(), 2.0),
        ("cdn_usaged_store_errors_total".to_owned(), 1.0),
        ("cdn_usaged_storage_free_bytes{folder=\"download\"}".to_owned(), 1_099_511_627_776.0),
        (format!("cdn_usaged_tasks{{{of},status=\"success\"}}"), 7.0),
        (format!("cdn_usaged_tasks{{{of},status=\"created\"}}"), 0.0),
        (format!("cdn_usaged_tasks{{{of},status=\"other\"}}"), 5.0),
        (format!("cdn_usaged_downloads{{{of},state=\"stored\"}}"), 5.0),
        (format!("cdn_usaged_downloads{{{of},state=\"abandoned\"}}"), 0.0),
        ("cdn_usaged_api_permit_wait_seconds_total{account=\"main\"}".to_owned(), 1.75),
        ("cdn_usaged_api_throttled_seconds_total{account=\"main\"}".to_owned(), 4.0),
        ("cdn_usaged_api_throttled_seconds_total{account=\"second\"}".to_owned(), 0.0),
        ("cdn_usaged_credentials_rejected{account=\"main\"}".to_owned(), 1.0),
        ("cdn_usaged_poll_duration_seconds_sum{mode=\"full\"}".to_owned(), 3.0),
        ("cdn_usaged_poll_duration_seconds_count{mode=\"quick\"}".to_owned(), 1.0),
        (format!("cdn_usaged_poll_interval_seconds{{{of}}}"), 600.0),
        ("cdn_usaged_full_sweep_interval_seconds".to_owned(), 21_600.0),
        (format!("cdn_usaged_download_failures_total{{{of},reason=\"integrity\"}}"), 1.0),
        ("cdn_usaged_downloads_in_progress".to_owned(), 2.0),
        ("cdn_usaged_downloads_in_progress_bytes".to_owned(), 4_294_967_296.0),
        ("cdn_usaged_storage_min_free_bytes".to_owned(), 1_073_741_824.0),
        ("cdn_usaged_storage_low".to_owned(), 1.0),
        ("cdn_usaged_config_last_reload_successful".to_owned(), 0.0),
        ("cdn_usaged_config_last_reload_success_timestamp_seconds".to_owned(), 1_767_225_600.25),
        (format!("cdn_usaged_listing_tasks{{{of}}}"), 11.0),
        (format!("cdn_usaged_listing_suspect{{{of}}}"), 1.0),
        (format!("cdn_usaged_undelivered_tasks{{{of},state=\"pending\"}}"), 3.0),
        (format!("cdn_usaged_undelivered_tasks{{{of},state=\"abandoned\"}}"), 2.0),
        (format!("cdn_usaged_lost_tasks{{{of}}}"), 4.0),
        (format!("cdn_usaged_oldest_undelivered_task_timestamp_seconds{{{of}}}"), 1_767_225_600.25),
        (format!("cdn_usaged_task_expiry_timestamp_seconds{{{of}}}"), 1_767_225_600.25 + 89.0 * 86_400.0),
        ("cdn_usaged_tasks{account=\"second\",export=\"usage\",status=\"success\"}".to_owned(), 0.0),
    ] {
        assert_eq!(value(&metrics, &series), Some(expected), "{series} in\n{}", metrics.render());
    }
}

#[test]
fn a_status_that_no_task_has_any_more_is_at_0() {
    let metrics = busy();
    metrics.task_counts(&[counted(&main_detail(), "failed", 9)]);
    let status = |word| {
        value(&metrics, &format!("cdn_usaged_tasks{{account=\"main\",export=\"usage-detail\",status=\"{word}\"}}"))
    };
    assert_eq!((status("success"), status("failed"), status("other")), (Some(0.0), Some(9.0), Some(0.0)));
}

#[test]
fn when_nothing_is_undelivered_any_more_its_times_are_0_again() {
    let metrics = busy();
    metrics.outstanding(&outstanding(&main_detail(), None));
    for name in ["oldest_undelivered_task_timestamp_seconds", "task_expiry_timestamp_seconds"] {
        let series = format!("cdn_usaged_{name}{{account=\"main\",export=\"usage-detail\"}}");
        assert_eq!(value(&metrics, &series), Some(0.0), "{series}");
    }
}

#[test]
fn windows_are_shown_where_any_are_expected_and_go_with_the_expectation_or_the_listing() {
    let (detail, usage) = (main_detail(), listing("main", Export::Usage));
    let metrics = metrics(&[detail.clone(), usage.clone()]);
    assert!(!metrics.render().contains("window"), "nothing is shown before anything was looked at");
    let at = |second| Some(Timestamp::from_second(second).unwrap());
    let summary = Summary {
        counts: [(State::Archived, 30), (State::Overdue, 2)].into(),
        overdue_since: at(100),
        export_by: at(200),
        deliver_by: None,
    };
    metrics.windows(&[(detail.clone(), summary.clone()), (usage.clone(), summary.clone())].into());
    let of = |name: &str, export: &str, state: &str| {
        value(&metrics, &format!("cdn_usaged_{name}{{account=\"main\",export=\"{export}\"{state}}}"))
    };
    for state in State::ALL {
        let shown = of("windows", "usage-detail", &format!(",state=\"{}\"", state.as_str()));
        #[expect(clippy::cast_precision_loss, reason = "30")]
        let expected = summary.count(state) as f64;
        assert_eq!(shown, Some(expected), "{state:?}");
    }
    let time = |name: &str, export| of(&format!("window_{name}_timestamp_seconds"), export, "");
    let times = |export| ["overdue_since", "export_by", "deliver_by"].map(|name| time(name, export));
    assert_eq!(times("usage-detail"), [Some(100.0), Some(200.0), Some(0.0)]);
    // Expected no longer; and a listing that is not configured.
    metrics.windows(&[(detail.clone(), Summary::default()), (listing("second", Export::Usage), summary)].into());
    assert_eq!(times("usage-detail"), [Some(0.0); 3]);
    assert_eq!(times("usage"), [None; 3]);
    assert!(!metrics.render().contains("account=\"second\""));
    metrics.set_listings(&[usage]);
    assert!(!metrics.render().contains("window"), "{}", metrics.render());
}

#[test]
fn the_process_tells_of_itself_and_its_counter_never_falls() {
    let metrics = metrics(&[]);
    let first = samples(&metrics.render());
    let second = samples(&metrics.render());
    for series in ["process_resident_memory_bytes", "process_open_fds", "process_max_fds"] {
        assert!(first[series] >= 1.0, "{series} is {}", first[series]);
    }
    assert!(first["process_open_fds"] <= first["process_max_fds"]);
    assert!(first["process_start_time_seconds"] > 1.7e9);
    assert!(first["process_cpu_seconds_total"] > 0.0);
    assert!(second["process_cpu_seconds_total"] >= first["process_cpu_seconds_total"]);
}

#[test]
fn a_removed_account_leaves_nothing_and_what_it_still_does_is_not_counted() {
    let metrics = busy();
    let gone = main_detail();
    assert!(metrics.render().contains("account=\"main\""));
    metrics.set_listings(&[listing("second", Export::Usage)]);
    let count_late = || {
        metrics.api_request(&gone.account, gone.export.action(), "OK", Duration::ZERO);
        metrics.poll(&gone, PollResult::Failed);
        metrics.successful_poll_at(&gone, Timestamp::UNIX_EPOCH);
        metrics.consistent_sweep_at(&gone, Timestamp::UNIX_EPOCH);
        metrics.transition(&gone, "success");
        metrics.download_attempt(&gone, AttemptResult::Failed);
        metrics.download_bytes(&gone, 1);
        metrics.task_counts(&[counted(&gone, "success", 7)]);
        metrics.download_counts(&[counted(&gone, "stored", 7)]);
        busy_beside(&metrics, &gone, Timestamp::UNIX_EPOCH);
    };
    count_late();
    let text = metrics.render();
    assert!(!text.contains("account=\"main\""), "{text}");
    assert!(text.contains("account=\"second\""), "{text}");
    metrics.set_listings(std::slice::from_ref(&gone));
    count_late();
    let text = metrics.render();
    assert!(text.contains("account=\"main\"") && !text.contains("account=\"second\""), "{text}");
}

#[test]
fn a_removed_export_leaves_the_other_one_as_it_is() {
    let (detail, usage) = (main_detail(), listing("main", Export::Usage));
    let metrics = metrics(&[detail.clone(), usage.clone()]);
    metrics.poll(&detail, PollResult::Ok);
    metrics.api_request(&detail.account, detail.export.action(), "OK", Duration::ZERO);
    metrics.api_request(&usage.account, usage.export.action(), "OK", Duration::ZERO);
    metrics.set_listings(std::slice::from_ref(&detail));
    let text = metrics.render();
    assert!(!text.contains("export=\"usage\"") && !text.contains(usage.export.action()), "{text}");
    assert_eq!(
        value(&metrics, "cdn_usaged_polls_total{account=\"main\",export=\"usage-detail\",result=\"ok\"}"),
        Some(1.0)
    );
    // A call of the removed listing ends late; it goes with the account.
    metrics.api_request(&usage.account, usage.export.action(), "OK", Duration::ZERO);
    metrics.set_listings(&[]);
    assert!(!metrics.render().contains("account="), "{}", metrics.render());
}
