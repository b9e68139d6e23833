//! Nothing that the network says makes this program call a machine inside.

use std::{
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use cloudsim::{LinkMode, Object, OssFault, OssMatch, TaskSpec};
use tokio::task::JoinSet;

use crate::{
    common::{DETAIL, MAIN, Run, World},
    downloads::pairs,
};

/// A service inside. Whoever connects is kept waiting, and found.
struct Inside(TcpListener);

impl Inside {
    fn listen(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Asserts that nobody has connected: the kernel would have.
    #[track_caller]
    fn assert_untouched(&self) {
        let met = self.0.accept().map(|(_, from): (_, SocketAddr)| from).map_err(|e| e.kind());
        assert_eq!(met, Err(ErrorKind::WouldBlock), "somebody has connected");
    }

    /// From now on everybody who connects is counted and sent away.
    fn count(self) -> (Arc<AtomicUsize>, JoinSet<()>) {
        let (count, mut door) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
        let counted = Arc::clone(&count);
        let listener = tokio::net::TcpListener::from_std(self.0).unwrap();
        door.spawn(async move {
            while listener.accept().await.is_ok() {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        (count, door)
    }
}

/// A cloud whose files are asked for once, with these networks allowed.
async fn world(allowed_networks: &str) -> World {
    let mut world = World::start().await;
    world.set("download.max_attempts", "1");
    world.set("download.allowed_networks", allowed_networks);
    // Who does connect is not answered, and shall not wait for long.
    world.set("download.idle_timeout", "\"2s\"");
    world
}

/// A task for each link, named by its place in the list.
fn add_links(world: &World, links: &[String]) {
    for (i, link) in links.iter().enumerate() {
        let task = TaskSpec::default().with_id(i.to_string()).with_link(LinkMode::Fixed(link.clone()));
        world.cloud.add_task(MAIN, DETAIL, task);
    }
}

/// A task for each place, whose link is good and redirects there.
fn add_redirects(world: &World, places: &[String]) {
    for (i, place) in places.iter().enumerate() {
        world.add(&i.to_string(), Object::csv(3));
        let fault = OssFault::Redirect { status: 302, location: place.clone() };
        world.cloud.script_oss(OssMatch::Task(i.to_string()), fault, u32::MAX);
    }
}

/// Asserts that the last attempt at each was given up for this reason.
async fn assert_given_up(world: &World, places: &[String], reason: &str, run: &Run) {
    for (i, place) in places.iter().enumerate() {
        let attempts = world.attempts(&i.to_string()).await;
        assert_eq!(pairs(&attempts).last(), Some(&("abandoned", reason)), "{place}: {run}");
    }
    assert_eq!(world.published(), Vec::<String>::new());
    assert!(world.partials().is_empty());
}

/// Every way to write an address of 127.0.0.0/8 that ends with this number.
fn spellings(last: u8) -> Vec<String> {
    vec![
        format!("127.0.0.{last}"),
        format!("127.0.0.{last}."),
        format!("127.{last}"),
        format!("{}", 0x7f00_0000 + u32::from(last)),
        format!("0x7f00000{last:x}"),
        format!("0x7f.{last}"),
        format!("0177.0.0.{last}"),
        format!("0177000000{last:02o}"),
        format!("①②⑦.0.0.{last}"),
        format!("%31%32%37.0.0.{last}"),
        format!("[::ffff:127.0.0.{last}]"),
        format!("[::ffff:7f00:{last}]"),
        format!("[0:0:0:0:0:ffff:7f00:000{last}]"),
    ]
}

/// Places that nobody listens at here, of every kind that is inside somewhere.
fn elsewhere() -> Vec<String> {
    let hosts = [
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[64:ff9b::10.0.0.1]",
        "[2002:7f00:1::]",
        "167772161",
        "012.0.0.1",
    ];
    hosts.iter().map(|host| format!("http://{host}/x?Signature=MARK")).collect()
}

#[tokio::test]
async fn no_link_of_a_listing_leads_inside_however_it_is_written() {
    let mut world = world("[]").await;
    let inside = Inside::listen("127.0.0.1");
    let port = inside.port();
    let names = ["localhost", "LOCALHOST", "localhost.", "any.localhost"].map(str::to_owned);
    let hosts: Vec<_> = spellings(1).into_iter().chain(names).collect();
    let here: Vec<_> = hosts.iter().map(|host| format!("http://{host}:{port}/x?Signature=MARK")).collect();
    let nearby = ["0.0.0.0", "0", "[::1]", "[::]"].map(|host| format!("http://{host}:{port}/x?Signature=MARK"));
    let links: Vec<_> = here.iter().cloned().chain(nearby).chain(elsewhere()).collect();
    add_links(&world, &links);
    let run = world.once(1).await;
    assert_given_up(&world, &links, "refused_host", &run).await;
    inside.assert_untouched();
    assert!(!run.stderr.contains("MARK"), "{run}");

    // They do lead there: whoever allows it gets there by each of them that the system knows.
    world.set("download.allowed_networks", "[\"127.0.0.0/8\"]");
    let (count, _door) = inside.count();
    let run = world.once(1).await;
    assert_given_up(&world, &here[..spellings(1).len()], "network", &run).await;
    assert!(count.load(Ordering::Relaxed) >= spellings(1).len(), "{run}");
}

#[tokio::test]
async fn no_redirect_of_an_allowed_host_leads_inside_however_it_is_written() {
    // The store itself is on 127.0.0.1, and may be reached.
    let mut world = world("[\"127.0.0.1/32\"]").await;
    let inside = Inside::listen("127.0.0.2");
    let port = inside.port();
    let mut places: Vec<_> = spellings(2).iter().map(|host| format!("http://{host}:{port}/x?Signature=MARK")).collect();
    places.push(format!("//127.0.0.2:{port}/x"));
    let leading = places.len();
    places.extend(elsewhere());
    places.push(format!("http://user:MARK@127.0.0.1:{port}/"));
    places.extend(["ftp://127.0.0.1/x", "file:///etc/passwd", "gopher://127.0.0.1:6379/_INFO"].map(str::to_owned));
    add_redirects(&world, &places);
    let run = world.once(1).await;
    assert_given_up(&world, &places, "refused_host", &run).await;
    inside.assert_untouched();
    assert_eq!(world.cloud.oss_calls().len(), places.len(), "each was asked for, and redirected");
    assert!(!run.stderr.contains("MARK"), "{run}");

    world.set("download.allowed_networks", "[\"127.0.0.0/8\"]");
    let (count, _door) = inside.count();
    let run = world.once(1).await;
    assert_given_up(&world, &places[..leading], "network", &run).await;
    assert!(count.load(Ordering::Relaxed) >= leading, "{run}");
}

#[tokio::test]
async fn a_metadata_service_is_never_asked_whatever_networks_are_allowed() {
    let hosts = [
        "100.100.100.200",
        "169.254.169.254",
        "169.254.169.254.",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "0x64.0144.25800",
        "[::ffff:169.254.169.254]",
        "[::ffff:100.100.100.200]",
        "[64:ff9b::100.100.100.200]",
        "[2002:a9fe:a9fe::]",
        "[fd00:ec2::254]",
    ];
    let places: Vec<_> = hosts.iter().map(|host| format!("http://{host}/latest/meta-data/ram/")).collect();
    for add in [add_links, add_redirects] {
        let world = world("[\"0.0.0.0/0\", \"::/0\"]").await;
        add(&world, &places);
        let run = world.once(1).await;
        assert_given_up(&world, &places, "refused_host", &run).await;
        let named = "SELECT count(*) FROM attempts WHERE error LIKE '%is a metadata service, which is never reached'";
        assert_eq!(world.number(named).await, i64::try_from(places.len()).unwrap(), "{run}");
    }
}
