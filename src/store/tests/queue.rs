//! Downloads from their claim to their file.

use super::*;

#[tokio::test]
async fn a_download_goes_from_its_claim_to_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!((job.attempt, job.recheck, job.link.clone()), (1, false, link("1", "one")));
    assert!(claim(&store, at(1)).await.is_none(), "it is under way");
    store.note_partial(&job.key, Some("\"E\"")).await.unwrap();
    store.intend(&job.key, &intent("main/usage-detail/x.csv", 1, "aa")).await.unwrap();
    let cut = store.cut_off().await.unwrap();
    assert_eq!((cut.len(), cut[0].job.attempt, cut[0].job.partial_etag.as_deref()), (1, 1, Some("\"E\"")));
    assert_eq!(cut[0].intent.as_ref().unwrap().path, "main/usage-detail/x.csv");
    store.stored(&job, &intent("main/usage-detail/x.csv", 1, "aa"), at(2)).await.unwrap();
    let illegal = store.stored(&job, &intent("main/usage-detail/y.csv", 2, "bb"), at(2)).await.unwrap_err();
    assert!(matches!(illegal, StoreError::Illegal { .. }), "{illegal}");
    assert_eq!(store.files_of(&key("1")).await.unwrap().len(), 1, "and the illegal step left nothing");
    let task = &store.tasks(&TaskFilter::default(), 10, 0).await.unwrap()[0];
    assert_eq!(task.state.as_deref(), Some("stored"));
    assert_eq!(
        (task.path.as_deref(), task.bytes, task.sha256.as_deref()),
        (Some("main/usage-detail/x.csv"), Some(5), Some("aa"))
    );
    assert_eq!(one::<Option<String>>(&store, "SELECT link FROM downloads").await, None, "no link outlives its use");
    assert_eq!(store.undelivered(&[listing()]).await.unwrap(), 0);
    assert_eq!(store.attempts_of(&key("1")).await.unwrap()[0].result, "stored");
    assert_eq!(store.transitions_of(&key("1")).await.unwrap().len(), 1);
    assert_eq!(store.files_after(0, 10).await.unwrap().len(), 1);
    assert!(store.files_after(1, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_oldest_task_goes_first_and_waits_for_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let mut rows = [row("a", "success"), row("b", "success")];
    rows[0].created_at = Some(at(-10));
    rows[1].created_at = Some(at(-20));
    apply(&store, &rows, at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!(job.key.id.as_str(), "b");
    let failed = failure(Reason::Network, 0, at(1), SignedDuration::ZERO, false);
    let ended = Ended { from_byte: Some(0), to_byte: Some(3), request_id: None, partial_etag: Some("\"E\"".into()) };
    store.attempt_failed(&job, &failed, &ended, at(1)).await.unwrap();
    assert_eq!(claim(&store, at(1)).await.unwrap().key.id.as_str(), "a");
    assert!(claim(&store, at(2)).await.is_none());
    let waiting = store.waiting(&[listing()], at(2)).await.unwrap();
    assert_eq!((waiting.with_link, waiting.wanted, waiting.next_due), (2, 0, Some(at(3))));
    let again = claim(&store, at(3)).await.unwrap();
    assert_eq!((again.attempt, again.failures, again.partial_etag.as_deref()), (2, 1, Some("\"E\"")));
}

#[tokio::test]
async fn slots_go_round_the_accounts_and_a_row_that_cannot_be_read_takes_none_from_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let accounts: Vec<_> = ["a", "b", "c"].map(|name| AccountName::parse(name).unwrap()).into();
    for account in &accounts {
        let listing = ListingKey { account: account.clone(), export: Export::UsageDetail };
        store.register_listing(&listing, "https://cdn.example.com").await.unwrap();
        let rows: Vec<_> = ["1", "2", "3"].map(|id| row(id, "success")).into();
        store.apply_page(&listing, 1, &rows, &[], None, None, at(0)).await.unwrap();
    }
    let claim = async |names: &[usize], slots: usize, tried: &[&str]| {
        let claim = Claim {
            accounts: names.iter().map(|&n| (accounts[n].clone(), vec![Export::UsageDetail])).collect(),
            slots,
            down: Vec::new(),
            tried: tried.iter().map(|&host| host.to_owned()).collect(),
            now: at(1),
            horizon: SignedDuration::from_mins(5),
        };
        let jobs = store.claim(claim).await?;
        Ok::<_, StoreError>(
            jobs.iter().map(|job| format!("{}{}", job.key.listing.account, job.key.id)).collect::<Vec<_>>(),
        )
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(claim(&[0, 1, 2], 0, &[]).await.unwrap(), none);
    assert_eq!(claim(&[2, 0, 1], 4, &[]).await.unwrap(), ["c1", "a1", "b1", "c2"]);
    assert_eq!(claim(&[0, 1, 2], 9, &["b.example.com:443"]).await.unwrap(), ["a2"], "one tries what was down");
    sqlx::query("UPDATE downloads SET link = 'no link' WHERE account = 'b'").execute(&store.writer).await.unwrap();
    assert_eq!(claim(&[0, 1, 2], 9, &[]).await.unwrap(), ["a3"]);
    claim(&[1, 2], 9, &[]).await.unwrap_err();
    assert_eq!(claim(&[2, 1], 9, &[]).await.unwrap(), ["c3"]);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_freeze_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1000)).await.unwrap();
    let failed = failure(Reason::Network, 0, at(1000), SignedDuration::ZERO, false);
    store.attempt_failed(&job, &failed, &Ended::default(), at(1000)).await.unwrap();
    assert!(claim(&store, at(998)).await.is_none(), "four minutes are within the horizon");
    assert!(claim(&store, at(0)).await.is_some());
}

#[tokio::test]
async fn an_id_that_was_issued_anew_ahead_of_the_clock_is_looked_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(1)).await.unwrap();
    let anew = TaskSnapshot { created_at: Some(at(-99)), ..row("1", "success") };
    apply(&store, &[TaskSnapshot { link: None, ..anew.clone() }], at(1000)).await;
    // The clock is set back, and the listing shows its link.
    apply(&store, std::slice::from_ref(&anew), at(10)).await;
    let job = claim(&store, at(11)).await.unwrap();
    store.unchanged(&job, &Ended::default(), at(12)).await.unwrap();
    apply(&store, &[anew], at(20)).await;
    assert!(claim(&store, at(21)).await.is_none(), "not at every poll until the clock has caught up");
}

#[tokio::test]
async fn after_too_many_failures_it_is_abandoned_and_a_later_sweep_or_a_retry_brings_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    for n in 0..3 {
        let now = at(10 + i64::from(n) * 10);
        let job = claim(&store, now).await.unwrap();
        let failed = failure(Reason::Network, job.failures, now, SignedDuration::ZERO, false);
        assert_eq!(failed.after.abandoned, n == 2);
        store.attempt_failed(&job, &failed, &Ended::default(), now).await.unwrap();
    }
    let state = "SELECT state FROM downloads";
    assert_eq!(one::<String>(&store, state).await, "abandoned");
    assert!(claim(&store, at(100)).await.is_none());
    assert_eq!(store.undelivered(&[listing()]).await.unwrap(), 1);
    assert_eq!(apply(&store, &[row("1", "success")], at(100)).await, Applied::default(), "an ordinary poll leaves it");
    let rows = [row("1", "success")];
    let revive = store.apply_page(&listing(), 1, &rows, &[], None, Some(at(30)), at(100)).await.unwrap();
    assert!(!revive.queued, "given up after that sweep began");
    let revive = store.apply_page(&listing(), 1, &rows, &[], None, Some(at(31)), at(100)).await.unwrap();
    assert!(revive.queued);
    let job = claim(&store, at(101)).await.unwrap();
    assert_eq!((job.attempt, job.failures), (1, 0));
    assert!(!store.requeue(&key("1"), at(101), || Ok(())).await.unwrap(), "an attempt under way is left alone");
    store.attempt_interrupted(&job, &Ended::default(), at(102)).await.unwrap();
    assert!(store.requeue(&key("1"), at(103), || Ok(())).await.unwrap());
    assert!(!store.requeue(&key("none"), at(103), || Ok(())).await.unwrap());
    assert_eq!(one::<String>(&store, state).await, "pending");
    let results: Vec<String> = store.attempts_of(&key("1")).await.unwrap().into_iter().map(|a| a.result).collect();
    assert_eq!(results, ["failed", "failed", "abandoned", "interrupted"]);
}

#[tokio::test]
async fn a_refused_link_is_wanted_until_the_listing_brings_another() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(5)).await.unwrap();
    let failed = failure(Reason::Expired, 0, at(5), at(5).duration_since(job.link_at), job.link_was_refused);
    assert_eq!((failed.after.failures, failed.after.wants_link), (0, true), "an old link is nobody's failure");
    store.attempt_failed(&job, &failed, &Ended::default(), at(5)).await.unwrap();
    assert_eq!(store.wanted(&listing()).await.unwrap(), [(TaskId::parse("1").unwrap(), Some(1))]);
    assert!(claim(&store, at(60)).await.is_none());

    let same = apply(&store, &[row("1", "success")], at(6)).await;
    assert!(same.refreshed.is_empty());
    assert!(claim(&store, at(6)).await.is_none(), "the same link again waits for its time");
    let job = claim(&store, at(8)).await.unwrap();
    assert!(job.link_was_refused);
    let failed = failure(Reason::Expired, 0, at(8), SignedDuration::from_hours(1), job.link_was_refused);
    assert_eq!(failed.after.failures, 1);
    store.attempt_failed(&job, &failed, &Ended::default(), at(8)).await.unwrap();

    let mut fresh = row("1", "success");
    fresh.link = Some(link("1", "two"));
    let applied = apply(&store, &[fresh], at(9)).await;
    assert_eq!(applied.refreshed, [TaskId::parse("1").unwrap()]);
    let job = claim(&store, at(9)).await.unwrap();
    assert_eq!((job.link_was_refused, job.link_at, job.attempt), (false, at(9), 3));
}

#[tokio::test]
async fn a_success_without_a_link_waits_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let bare = TaskSnapshot { link: None, ..row("1", "success") };
    assert!(!apply(&store, std::slice::from_ref(&bare), at(0)).await.queued);
    assert!(claim(&store, at(1)).await.is_none());
    let waiting = store.waiting(&[listing()], at(1)).await.unwrap();
    assert_eq!((waiting.with_link, waiting.wanted), (0, 1));
    assert_eq!(apply(&store, &[bare], at(1)).await, Applied::default());
    assert_eq!(apply(&store, &[row("1", "success")], at(2)).await.refreshed.len(), 1);
    assert!(claim(&store, at(2)).await.is_some());
}

#[tokio::test]
async fn a_task_that_is_no_longer_success_is_not_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    apply(&store, &[row("1", "created")], at(1)).await;
    assert!(claim(&store, at(2)).await.is_none());
    assert_eq!(store.waiting(&[listing()], at(2)).await.unwrap(), Waiting::default());
    apply(&store, &[row("1", "success")], at(3)).await;
    assert!(claim(&store, at(3)).await.is_some());
    assert_replay(&store).await;
}

#[tokio::test]
async fn a_stored_task_with_a_newer_update_time_is_looked_at_again_once_a_day_and_stays_stored() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(1)).await.unwrap();
    let mut newer = row("1", "success");
    newer.updated_at = Some(at(10));
    assert!(apply(&store, std::slice::from_ref(&newer), at(11)).await.queued);
    let job = claim(&store, at(12)).await.unwrap();
    assert_eq!((job.recheck, job.stored_etag.as_deref(), job.attempt), (true, Some("\"E\""), 1));
    assert_eq!(one::<String>(&store, "SELECT state FROM downloads").await, "stored");
    store.unchanged(&job, &Ended::default(), at(12)).await.unwrap();
    assert_eq!(apply(&store, &[newer.clone()], at(13)).await, Applied::default());
    newer.updated_at = Some(at(20));
    assert!(!apply(&store, std::slice::from_ref(&newer), at(21)).await.queued, "not twice a day");
    assert!(apply(&store, std::slice::from_ref(&newer), at(12 + 24 * 60)).await.queued);
    let job = claim(&store, at(3000)).await.unwrap();
    store
        .stored(&job, &Intent { remote_updated_at: text(Some(at(20))), ..intent("p1.r2", 2, "bb") }, at(3001))
        .await
        .unwrap();
    assert_eq!(one::<String>(&store, "SELECT path FROM downloads").await, "p1.r2");
    let job = {
        newer.created_at = Some(at(15));
        assert!(apply(&store, &[newer], at(3002)).await.queued, "issued anew: at once");
        claim(&store, at(3003)).await.unwrap()
    };
    for failures in 0..3 {
        let failed = failure(Reason::Network, failures, at(3003), SignedDuration::ZERO, false);
        if failures > 0 {
            assert!(claim(&store, at(3010 + i64::from(failures) * 10)).await.is_some());
        }
        store.attempt_failed(&job, &failed, &Ended::default(), at(3003)).await.unwrap();
    }
    assert_eq!(one::<String>(&store, "SELECT state FROM downloads").await, "stored", "whatever comes of it");
    assert!(claim(&store, at(9000)).await.is_none());
    assert_replay(&store).await;
}

#[tokio::test]
async fn what_a_run_owes_is_due_at_once_and_tasks_can_be_filtered() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success"), row("2", "created")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    let failed = failure(Reason::Http, 1, at(1), SignedDuration::ZERO, false);
    store.attempt_failed(&job, &failed, &Ended::default(), at(1)).await.unwrap();
    store.make_due(&[listing()]).await.unwrap();
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!((job.attempt, job.failures), (1, 0));
    store.poll_failed(&listing(), "no route").await.unwrap();
    assert_eq!(store.listing(&listing()).await.unwrap().unwrap().error.as_deref(), Some("no route"));
    let by = |f: TaskFilter| {
        let store = store.clone();
        async move { store.tasks(&f, 10, 0).await.unwrap().len() }
    };
    assert_eq!(by(TaskFilter { status: Some("created".into()), ..TaskFilter::default() }).await, 1);
    assert_eq!(by(TaskFilter { state: Some("active".into()), ..TaskFilter::default() }).await, 1);
    assert_eq!(by(TaskFilter { account: Some("other".into()), ..TaskFilter::default() }).await, 0);
    assert_eq!(by(TaskFilter { export: Some("usage-detail".into()), ..TaskFilter::default() }).await, 2);
    assert_eq!(by(TaskFilter { task_id: Some("2".into()), ..TaskFilter::default() }).await, 1);
    assert_eq!(by(TaskFilter { since: text(Some(at(0))), ..TaskFilter::default() }).await, 2);
    assert_eq!(by(TaskFilter { since: text(Some(at(1))), ..TaskFilter::default() }).await, 0);
    assert!(store.path().ends_with("usage.db"));
}

#[tokio::test]
async fn a_recheck_that_is_given_up_rests_for_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    store.stored(&job, &intent("p1", 1, "aa"), at(1)).await.unwrap();
    let newer = TaskSnapshot { updated_at: Some(at(10)), ..row("1", "success") };
    apply(&store, std::slice::from_ref(&newer), at(11)).await;
    for failures in 0..3 {
        let now = at(20 + i64::from(failures) * 10);
        let job = claim(&store, now).await.unwrap();
        let failed = failure(Reason::Gone, failures, now, SignedDuration::ZERO, false);
        store.attempt_failed(&job, &failed, &Ended::default(), now).await.unwrap();
        let fresh = TaskSnapshot { link: Some(link("1", &failures.to_string())), ..newer.clone() };
        if failures < 2 {
            apply(&store, &[fresh], now).await;
        }
    }
    assert!(!apply(&store, std::slice::from_ref(&newer), at(41)).await.queued);
    assert!(claim(&store, at(60)).await.is_none());
    assert!(apply(&store, &[newer], at(41 + 24 * 60)).await.queued);
}

#[tokio::test]
async fn the_file_of_an_id_that_is_issued_anew_is_fetched_whenever_that_is_seen_and_whatever_the_update_time_says() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let timeless =
        |status: &str, minute: i64| TaskSnapshot { updated_at: None, created_at: Some(at(minute)), ..row("1", status) };
    apply(&store, &[timeless("success", -100)], at(0)).await;
    let job = claim(&store, at(1)).await.unwrap();
    apply(&store, &[timeless("success", -50)], at(2)).await;
    store.stored(&job, &intent("p1", 1, "aa"), at(3)).await.unwrap();
    assert!(apply(&store, &[timeless("success", -50)], at(4)).await.queued, "issued anew during the transfer");
    let job = claim(&store, at(5)).await.unwrap();
    store.stored(&job, &intent("p2", 2, "bb"), at(6)).await.unwrap();
    assert!(!apply(&store, &[timeless("success", -50)], at(7)).await.queued);

    apply(&store, &[timeless("created", -20)], at(8)).await;
    assert!(apply(&store, &[timeless("success", -20)], at(9)).await.queued, "issued anew as unfinished");
}

#[tokio::test]
async fn of_two_rows_of_one_task_on_a_page_the_second_does_not_undo_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    for n in 0..3 {
        let job = claim(&store, at(n * 10 + 1)).await.unwrap();
        let failed = failure(Reason::Network, job.failures, at(n * 10 + 1), SignedDuration::ZERO, false);
        store.attempt_failed(&job, &failed, &Ended::default(), at(n * 10 + 1)).await.unwrap();
    }
    let twice =
        ["two", "three"].map(|signature| TaskSnapshot { link: Some(link("1", signature)), ..row("1", "success") });
    store.apply_page(&listing(), 1, &twice, &[], None, Some(at(50)), at(50)).await.unwrap();
    let job = claim(&store, at(51)).await.unwrap();
    assert_eq!((job.attempt, job.link), (1, link("1", "three")));
}

#[tokio::test]
async fn a_task_that_is_issued_anew_without_a_link_does_not_get_the_file_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    apply(&store, &[row("1", "success")], at(0)).await;
    let anew = TaskSnapshot { created_at: Some(at(5)), link: None, ..row("1", "success") };
    apply(&store, &[anew], at(6)).await;
    assert!(claim(&store, at(7)).await.is_none());
    assert_eq!(store.waiting(&[listing()], at(7)).await.unwrap().wanted, 1);
}

#[tokio::test]
async fn a_listing_is_in_hand_while_a_download_of_it_has_a_link_or_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await;
    let other = ListingKey { export: Export::Usage, ..listing() };
    store.register_listing(&other, "https://cdn.example.com").await.unwrap();
    let in_hand = async |asked: &[ListingKey]| store.in_hand(asked).await.unwrap().into_iter().collect::<Vec<_>>();
    let both = [other.clone(), listing()];
    assert_eq!(in_hand(&both).await, []);
    let linkless = TaskSnapshot { link: None, ..row("2", "success") };
    store.apply_page(&other, 1, &[linkless], &[], None, None, at(0)).await.unwrap();
    assert_eq!(in_hand(&both).await, [], "what waits for a link may wait for ever");
    apply(&store, &[row("1", "success")], at(0)).await;
    assert_eq!(in_hand(&both).await, [listing()]);
    assert_eq!(in_hand(std::slice::from_ref(&other)).await, []);
    let job = claim(&store, at(1)).await.unwrap();
    assert_eq!(in_hand(&both).await, [listing()], "under way");
    let failed = failure(Reason::Network, 0, at(2), SignedDuration::ZERO, false);
    let ended = Ended { from_byte: None, to_byte: None, request_id: None, partial_etag: None };
    store.attempt_failed(&job, &failed, &ended, at(2)).await.unwrap();
    assert_eq!(in_hand(&both).await, [listing()], "it is tried again");
}
