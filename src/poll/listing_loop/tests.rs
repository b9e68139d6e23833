//! What a loop takes from the database.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use cloudsim::{AccountSpec, CloudSim, Export, Order, TaskSpec};
use jiff::Timestamp;

use super::*;
use crate::{
    assembly::{Assembly, World},
    config::{Config, Environment},
    egress::Surroundings,
    fetch::{Area, Mode},
    model::{
        download::{Reason, after_failure},
        sweep::{IdSet, Verdict},
        task::ListingKey,
    },
    observer::Observer,
    store::{Ended, Failure, Store, TaskFilter},
};

const MINUTE: Duration = Duration::from_secs(60);

/// The intervals that loops wait in.
#[derive(Default)]
struct Heard(Mutex<Vec<Duration>>);

impl Observer for Heard {
    fn waits(&self, _: &ListingKey, interval: Duration) {
        self.0.lock().unwrap().push(interval);
    }
}

async fn start(dir: &Path, cloud: &CloudSim) -> (ListingLoop, Arc<Heard>) {
    cloud.add_account(AccountSpec::new("LTAImain", "secret-of-main"));
    for (name, text) in [("id", "LTAImain"), ("secret", "secret-of-main")] {
        fs::write(dir.join(name), text).unwrap();
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let text = format!(
        "[storage]\nstate_dir = {dir:?}\n[[account]]\nname = 'main'\nendpoint = {:?}\nexports = ['usage']\n\
         [account.credentials]\nsource = 'files'\naccess_key_id_file = {:?}\naccess_key_secret_file = {:?}\n",
        cloud.endpoint(),
        dir.join("id"),
        dir.join("secret"),
    );
    let environment = Environment::empty();
    let config = Config::parse(&text, Path::new("test.toml"), &environment).unwrap();
    let store = Store::open(dir).await.unwrap();
    let heard = Arc::new(Heard::default());
    let world = World {
        config: &config,
        environment: &environment,
        surroundings: Surroundings::Loopback,
        store: &store,
        observer: &(Arc::clone(&heard) as Arc<dyn Observer>),
    };
    let area = Area::open(dir.join("exports")).unwrap();
    let assembly = Assembly::new(&world, area, Mode::Daemon).await.unwrap();
    let listing_loop = ListingLoop {
        poller: assembly.pollers().next().unwrap().clone(),
        gate: Arc::default(),
        keys: Vec::new(),
        wanted: Arc::default(),
        failures_max: 3,
    };
    (listing_loop, heard)
}

async fn swept(of: &ListingLoop, beat: bool, at: Timestamp) {
    let verdict = Verdict { consistent: true, total: Some(0), seen: IdSet::default(), has_unreadable: false };
    let listing = &of.poller.listing;
    of.poller.store.finish_sweep(listing, &verdict, at, SignedDuration::ZERO, beat, at).await.unwrap();
}

async fn beat_of(of: &ListingLoop) -> Option<Timestamp> {
    of.poller.store.listing(&of.poller.listing).await.unwrap().unwrap().last_beat_at
}

#[tokio::test]
async fn a_start_in_the_slow_beat_says_so_before_it_waits() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudSim::start().await.unwrap());
    let (listing_loop, heard) = start(dir.path(), &cloud).await;
    swept(&listing_loop, true, clock::now()).await;
    let first = listing_loop.first_poll().await.unwrap();
    assert!(first > clock::instant() + MINUTE);
    assert_eq!(*heard.0.lock().unwrap(), [10 * MINUTE]);
}

#[tokio::test]
async fn a_sweep_that_is_due_outlives_a_restart() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudSim::start().await.unwrap());
    let (listing_loop, heard) = start(dir.path(), &cloud).await;
    swept(&listing_loop, true, clock::now()).await;
    let beat = beat_of(&listing_loop).await;
    let (store, listing) = (&listing_loop.poller.store, &listing_loop.poller.listing);
    store.poll_succeeded(listing, Some(0), true, clock::now()).await.unwrap();
    listing_loop.first_poll().await.unwrap();
    assert_eq!(*heard.0.lock().unwrap(), [MINUTE]);
    let stop = CancellationToken::new();
    assert_eq!(listing_loop.poll(&stop).await.unwrap(), Some(true), "a sweep");
    assert_eq!(beat_of(&listing_loop).await, beat, "out of the beat");
    assert_eq!(listing_loop.poll(&stop).await.unwrap(), None, "one was enough");
}

#[tokio::test]
async fn sweeps_that_come_between_do_not_put_off_the_beat() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudSim::start().await.unwrap());
    let (listing_loop, _) = start(dir.path(), &cloud).await;
    let last = clock::now() - SignedDuration::from_hours(6);
    swept(&listing_loop, true, last).await;
    swept(&listing_loop, false, clock::now()).await;
    let stop = CancellationToken::new();
    assert_eq!(listing_loop.poll(&stop).await.unwrap(), Some(true));
    assert!(beat_of(&listing_loop).await > Some(last));
}

#[tokio::test]
async fn what_is_new_behind_a_page_that_a_walk_reads_is_swept_for() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudSim::start().await.unwrap());
    let (listing_loop, _) = start(dir.path(), &cloud).await;
    let (poller, stop) = (&listing_loop.poller, CancellationToken::new());
    cloud.settings().set_order(Order::NewestFirst);
    cloud.add_task("LTAImain", Export::Usage, TaskSpec::default().with_id("old"));
    poller.full_sweep(Some(clock::now()), &stop).await.unwrap();
    let (now, horizon) = (clock::now(), SignedDuration::from_mins(5));
    let account = poller.listing.account.clone();
    let job = poller.store.claim_next(&account, &[poller.listing.export], now, horizon).await.unwrap().unwrap();
    let after = after_failure(0, 3, Reason::Expired, SignedDuration::ZERO, false);
    let failure = Failure { reason: Reason::Expired, error: "refused".into(), after, not_before: now };
    poller.store.attempt_failed(&job, &failure, &Ended::default(), now).await.unwrap();
    cloud.add_tasks("LTAImain", Export::Usage, (0..60).map(|_| TaskSpec::default()));
    assert!(poller.serve_wanted(3, &stop).await.unwrap().looked);
    assert!(poller.store.wanted(&poller.listing).await.unwrap().is_empty(), "the link is there");
    assert_eq!(listing_loop.poll(&stop).await.unwrap(), Some(true), "a sweep");
    assert_eq!(cloud.task_count("LTAImain", Export::Usage), 61);
    assert_eq!(poller.store.tasks(&TaskFilter::default(), 100, 0).await.unwrap().len(), 61);
}
