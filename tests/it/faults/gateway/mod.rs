//! What the gateway does wrong. Each test has it go wrong in the middle of a daemon's life, and then everything is
//! stored.

mod accounts;
mod answers;
mod keys;
mod listings;
mod rows;
mod throttling;

use std::net::SocketAddr;

use cloudsim::{GatewayFault, GatewayMatch};
use serde_json::Value;
use tokio::{
    io::copy_bidirectional,
    net::{TcpSocket, TcpStream},
    task::JoinSet,
};

use crate::common::{Running, World};

/// Asserts that all tasks of the test are stored, and that each was seen to change once: all were successes from the start.
async fn assert_nothing_lost(world: &World, daemon: Running, count: i64) {
    world.assert_all_stored(daemon, count).await;
    assert_eq!(world.number("SELECT count(*) FROM transitions").await, count, "one is missing, or one came twice");
    assert_eq!(world.number("SELECT count(*) FROM files").await, count);
}

fn of<'a>(events: &'a [Value], account: &str) -> Vec<&'a Value> {
    events.iter().filter(|e| e["account"] == account).collect()
}

/// How a fault that fails polls shows.
struct Failing {
    name: &'static str,
    fault: GatewayFault,
    /// Within the error of the poll.
    said: &'static str,
    /// How often a poll tries its call.
    attempts: u64,
}

/// Has each fault last for some polls, with a task that comes meanwhile: the poll says what is wrong, costs a bounded
/// number of calls and invents nothing; the task is stored as soon as the fault is over.
async fn assert_outlasted(world: &World, faults: Vec<Failing>) {
    world.add_small(&["before"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    let count = faults.len();
    for (n, Failing { name, fault, said, attempts }) in faults.into_iter().enumerate() {
        let failed = daemon.events("poll.failed").len();
        let called = world.cloud.gateway_call_count();
        world.cloud.script_gateway(GatewayMatch::Any, fault, u32::MAX);
        daemon.await_more("poll.failed", 1).await;
        world.add_small(&[name]);
        let last = daemon.await_more("poll.failed", 1).await.pop().unwrap();
        let calls = world.cloud.gateway_call_count() - called;
        assert!(last["error"].as_str().unwrap().contains(said), "{name}: {last}");
        let polls = (daemon.events("poll.failed").len() - failed) as u64;
        // One poll had begun before the fault, and one is under way.
        assert!(calls <= attempts * (polls + 1) + 1, "{name}: {calls} calls in {polls} polls");
        assert_eq!(world.state(name).await, None, "{name}");
        world.cloud.clear_scripts();
        daemon
            .until(&format!("{name} is over and its task stored"), async || world.count("stored").await == n + 2)
            .await;
    }
    assert_nothing_lost(world, daemon, i64::try_from(count).unwrap() + 1).await;
}

/// An address of its own in front of the gateway. Nobody listens there until it is opened, and nobody else can.
struct Door(TcpSocket);

impl Door {
    fn closed() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(socket)
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Lets everybody through for as long as the tasks are kept.
    fn open(self, world: &World) -> JoinSet<()> {
        let gateway = world.cloud.endpoint().trim_start_matches("http://").to_owned();
        let listener = self.0.listen(64).unwrap();
        let mut doing = JoinSet::new();
        doing.spawn(async move {
            let mut visits = JoinSet::new();
            loop {
                let (mut visitor, _) = listener.accept().await.unwrap();
                let gateway = gateway.clone();
                visits.spawn(async move {
                    let mut inside = TcpStream::connect(gateway).await.unwrap();
                    let _ = copy_bidirectional(&mut visitor, &mut inside).await;
                });
            }
        });
        doing
    }
}
