use std::path::Path;

use tokio::sync::watch;

use super::*;
use crate::{
    config::Environment,
    model::{
        link::SignedUrl,
        task::{Status, TaskId, TaskSnapshot},
        window::News,
    },
    observer::{Observer as _, Turn},
};

/// Two accounts of which months are expected, from so long ago that most are beyond reach and some overdue.
async fn windows(dir: &Path) -> Windows {
    let mut text = format!("[storage]\nstate_dir = {dir:?}\n");
    for name in ["main", "branch"] {
        text += &format!("[[account]]\nname = '{name}'\n[[account.expect]]\nfrom = '2018-08'\n");
    }
    let config = Config::parse(&text, Path::new("c.toml"), &Environment::empty()).unwrap();
    let store = Store::open(dir).await.unwrap();
    for listing in assembly::listings(&config) {
        store.register_listing(&listing, "https://cdn.example.com").await.unwrap();
    }
    let watch = Arc::new(Watch::new(&config).unwrap());
    Windows { store, watch, config: watch::Sender::new(Arc::new(config)).subscribe() }
}

impl Windows {
    async fn look_now(&self, must_settle: bool) {
        let config = Arc::clone(&self.config.borrow());
        while !self.look(&config, must_settle).await.unwrap() {}
    }

    fn listing(&self, account: usize) -> ListingKey {
        let account = &self.config.borrow().accounts[account];
        ListingKey { account: account.name.clone(), export: account.expect[0].export }
    }

    fn polled(&self, account: usize, error: Option<&str>) {
        let (interval, duration) = (Duration::from_secs(60), Duration::from_secs(1));
        let turn = Turn { error, consistent: None, interval, duration, rejected: false };
        self.watch.polled(&self.listing(account), turn);
    }

    /// How many windows anything is said of: that are overdue, and that are beyond reach.
    async fn said(&self) -> (usize, usize) {
        let said = self.store.said().await.unwrap();
        let of = |news| said.values().filter(|said| **said == news).count();
        (of(News::Overdue), of(News::BeyondReach))
    }
}

#[tokio::test]
async fn a_listing_that_cannot_be_read_leaves_its_own_windows_unsaid_and_an_outage_calls_none_lost() {
    let dir = tempfile::tempdir().unwrap();
    let windows = windows(dir.path()).await;
    windows.look_now(false).await;
    windows.polled(0, Some("nobody listens there"));
    windows.polled(1, Some("nobody listens there"));
    windows.look_now(false).await;
    assert_eq!(windows.said().await, (0, 0), "a poll that failed has read nothing");

    windows.polled(1, None);
    windows.look_now(false).await;
    let (overdue, lost) = windows.said().await;
    assert!(overdue > 5 && lost > 50, "what was read is said: {overdue} {lost}");

    windows.look_now(true).await;
    assert_eq!(windows.said().await, (2 * overdue, lost), "after a while it is overdue, and nothing is lost");

    windows.polled(0, None);
    windows.look_now(true).await;
    assert_eq!(windows.said().await, (2 * overdue, 2 * lost));
}

#[tokio::test]
async fn a_download_that_waits_leaves_the_windows_of_its_listing_unsaid() {
    let dir = tempfile::tempdir().unwrap();
    let windows = windows(dir.path()).await;
    let row = TaskSnapshot {
        id: TaskId::parse("1").unwrap(),
        name: None,
        status: Status::parse("success").unwrap(),
        created_at: None,
        updated_at: None,
        range_start: None,
        range_end: None,
        link: Some(SignedUrl::parse("https://b.example.com/x?Signature=one").unwrap()),
    };
    windows.store.apply_page(&windows.listing(0), 1, &[row], &[], None, None, clock::now()).await.unwrap();
    windows.polled(0, None);
    windows.look_now(false).await;
    assert_eq!(windows.said().await, (0, 0));
    windows.polled(1, None);
    windows.look_now(false).await;
    let (overdue, lost) = windows.said().await;
    assert!(overdue > 5 && lost > 50, "{overdue} {lost}");
    windows.look_now(true).await;
    assert_eq!(windows.said().await, (2 * overdue, lost));
}
