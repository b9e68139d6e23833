//! A start after a crash, on a real database and real files.

use std::{
    io::{self, Write},
    sync::Mutex,
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{
    assembly,
    config::{Config, Environment},
    egress::Surroundings,
    fetch::Mode,
    logging::tests::everybody_listens,
    model::{
        link::SignedUrl,
        task::{AccountName, Export, ListingKey, Status, TaskId, TaskSnapshot},
    },
    observer::Observer,
    store::Store,
};

const BODY: &[u8] = b"a,b\n1,2\n";
const PATH: &str = "main/usage/published.csv";

/// How attempts ended.
#[derive(Default)]
struct Heard(Mutex<Vec<AttemptResult>>);

impl Observer for Heard {
    fn attempted(&self, _: &ListingKey, result: AttemptResult, bytes: u64) {
        assert_eq!(bytes, 0);
        self.0.lock().unwrap().push(result);
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn has(&self, word: &str) -> usize {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap().matches(word).count()
    }
}

/// A process ended in the middle of an attempt, which had a whole file and perhaps the intent to publish it.
async fn crashed(dir: &TempDir, with_intent: bool) -> (Arc<Queue>, Arc<Heard>) {
    let text = format!("[storage]\nstate_dir = {:?}\nmin_free = '0B'\n[[account]]\nname = 'main'\n", dir.path());
    let config = Config::parse(&text, dir.path(), &Environment::empty()).unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let listing = ListingKey { account: AccountName::parse("main").unwrap(), export: Export::Usage };
    store.register_listing(&listing, "https://cdn.example.com").await.unwrap();
    let row = TaskSnapshot {
        id: TaskId::parse("1").unwrap(),
        name: None,
        status: Status::parse("success").unwrap(),
        created_at: Some(Timestamp::UNIX_EPOCH),
        updated_at: None,
        range_start: None,
        range_end: None,
        link: Some(SignedUrl::parse("https://b.example.com/1?Signature=x").unwrap()),
    };
    let now = clock::now();
    store.apply_page(&listing, 1, &[row], &[], None, None, now).await.unwrap();
    let horizon = SignedDuration::from_mins(5);
    let job = store.claim_next(&listing.account, &[Export::Usage], now, horizon).await.unwrap().unwrap();
    let area = Area::open(dir.path().join("exports")).unwrap();
    std::fs::write(area.partial(&job.key), BODY).unwrap();
    if with_intent {
        let intent = Intent {
            path: PATH.into(),
            revision: 1,
            returns: false,
            bytes: BODY.len() as u64,
            sha256: hex::encode(Sha256::digest(BODY)),
            crc64: "17".into(),
            etag: None,
            verified_by: "crc64".into(),
            remote_updated_at: None,
            attempt: 1,
            started_at: clock::rfc3339(now),
            resumed_bytes: 0,
            request_id: None,
        };
        store.intend(&job.key, &intent).await.unwrap();
    }
    let settings = assembly::settings(&config, &Surroundings::Loopback, Mode::Daemon).unwrap();
    let heard = Arc::new(Heard::default());
    let observer = Arc::clone(&heard) as Arc<dyn Observer>;
    (Arc::new(Queue::new(store, area, &config.storage, settings, Arc::default(), observer)), heard)
}

#[tokio::test]
async fn a_stop_while_files_are_hashed_is_served_and_leaves_them_to_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, heard) = crashed(&dir, true).await;
    let cancel = CancellationToken::new();
    cancel.cancel();
    let before = queue.last_beat();
    queue.recover(&cancel).await.unwrap();
    assert!(queue.last_beat() > before, "hashing shows that nothing hangs");
    assert_eq!(queue.store.cut_off().await.unwrap().len(), 1);
    assert!(heard.0.lock().unwrap().is_empty());

    queue.recover(&CancellationToken::new()).await.unwrap();
    assert!(queue.store.cut_off().await.unwrap().is_empty());
    assert_eq!(std::fs::read(queue.area.root().join(PATH)).unwrap(), BODY);
}

#[tokio::test]
async fn a_file_that_is_published_late_is_told_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, heard) = crashed(&dir, true).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).finish();
    everybody_listens();
    let _log = tracing::subscriber::set_default(subscriber);
    queue.recover(&CancellationToken::new()).await.unwrap();
    assert_eq!(*heard.0.lock().unwrap(), [AttemptResult::Stored]);
    assert_eq!((log.has("download.stored"), log.has(PATH) > 0), (1, true));
    // In order: nothing is done or said again.
    queue.recover(&CancellationToken::new()).await.unwrap();
    assert_eq!(heard.0.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn an_attempt_without_a_file_is_counted_as_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, heard) = crashed(&dir, false).await;
    queue.recover(&CancellationToken::new()).await.unwrap();
    assert_eq!(*heard.0.lock().unwrap(), [AttemptResult::Interrupted]);
    assert_eq!(queue.area.list_partials().unwrap().len(), 1, "to be resumed");
}

#[tokio::test]
async fn a_queue_that_runs_recovers_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, heard) = crashed(&dir, true).await;
    let cancel = CancellationToken::new();
    let recovered = async {
        while !queue.in_order.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
        cancel.cancel();
    };
    let (ended, ()) = tokio::join!(queue.run(&cancel), recovered);
    ended.unwrap();
    assert_eq!(*heard.0.lock().unwrap(), [AttemptResult::Stored]);
}
