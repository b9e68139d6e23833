//! The simulator as a process of its own, for checks from outside: it starts, prints one line of JSON that says where
//! it listens and which keys it takes, and serves until its standard input ends. Lines of standard input tell it what to
//! do meanwhile; each is answered with one line of JSON.

use std::{
    io::{self, Write as _},
    net::{Ipv4Addr, SocketAddr},
    ops::RangeFrom,
    time::Duration,
};

use cloudsim::{AccountSpec, CloudSim, Export, Generated, Object, OssFault, OssMatch, TaskSpec};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

const KEY_ID: &str = "LTAIcloudsimOutside";
const SECRET: &str = "cloudsim-outside-secret";
const TEMPORARY_ID: &str = "STS.cloudsimOutside";
const TEMPORARY_SECRET: &str = "a-temporary-secret";
const TOKEN: &str = "CAIS+a/token=with&everything%";

const USAGE: &str = "usage: cloudsim [TASKS [GATEWAY_PORT OSS_PORT]]
  TASKS         how many finished tasks each listing begins with, default 3
  GATEWAY_PORT  where the gateway listens on 127.0.0.1, default any free port
  OSS_PORT      where the object store listens, default any free port
then, a line each on standard input:
  task BYTES    one more finished task, whose file has so many bytes
  secret TEXT   the secret of the key from now on
  pace BYTES    every file comes with so many bytes a second; 0: as fast as it can";

/// A body that is slowed down comes in so many pieces a second.
const PIECES_PER_SECOND: u64 = 20;

#[tokio::main]
async fn main() -> io::Result<()> {
    let (tasks, gateway, oss) = arguments().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, USAGE))?;
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let cloud = CloudSim::start_at(at(gateway), at(oss)).await?;
    cloud.add_account(AccountSpec::new(KEY_ID, SECRET));
    cloud.add_account_keys(KEY_ID, AccountSpec::new(TEMPORARY_ID, TEMPORARY_SECRET).with_token(TOKEN));
    let mut ids = first_id(&cloud)..;
    for export in Export::ALL {
        let specs = (0..tasks).zip(&mut ids).map(|(n, id)| finished(id, Object::csv(n % 100)));
        cloud.add_tasks(KEY_ID, export, specs);
    }
    say(&json!({
        "endpoint": cloud.endpoint(),
        "oss": cloud.oss_address().to_string(),
        "access_key_id": KEY_ID,
        "access_key_secret": SECRET,
        "temporary": {
            "access_key_id": TEMPORARY_ID,
            "access_key_secret": TEMPORARY_SECRET,
            "security_token": TOKEN,
        },
    }))?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    // Ends with the input.
    while let Some(line) = lines.next_line().await? {
        say(&obey(&cloud, &line, &mut ids).unwrap_or_else(|| json!({ "error": USAGE })))?;
    }
    Ok(())
}

fn arguments() -> Option<(u64, u16, u16)> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Some((3, 0, 0)),
        [tasks] => Some((tasks.parse().ok()?, 0, 0)),
        [tasks, gateway, oss] => Some((tasks.parse().ok()?, gateway.parse().ok()?, oss.parse().ok()?)),
        _ => None,
    }
}

/// The number of the first task: microseconds since 1970. The cloud gives no id twice, and so does a simulator that is
/// started again for the same database.
fn first_id(cloud: &CloudSim) -> u64 {
    cloud.clock().now().as_microsecond().unsigned_abs()
}

fn finished(id: u64, object: Object) -> TaskSpec {
    TaskSpec::default().with_id(id.to_string()).with_object(object)
}

/// Does what a line asks for; none when it asks for nothing that is known.
fn obey(cloud: &CloudSim, line: &str, ids: &mut RangeFrom<u64>) -> Option<Value> {
    let (word, value) = line.split_once(' ')?;
    match word {
        "task" => {
            let seed = cloud.task_count(KEY_ID, Export::UsageDetail) as u64;
            let object = Object::generated(seed, value.parse().ok()?, Generated::Csv);
            let id = cloud.add_task(KEY_ID, Export::UsageDetail, finished(ids.next()?, object));
            Some(json!({ "task": id }))
        }
        "secret" => {
            cloud.set_account_keys(KEY_ID, AccountSpec::new(KEY_ID, value));
            Some(json!({ "secret": value }))
        }
        "pace" => {
            let pace: u64 = value.parse().ok()?;
            cloud.clear_scripts();
            if pace > 0 {
                let every = Duration::from_millis(1000 / PIECES_PER_SECOND);
                let slow = OssFault::Slow { bytes: pace.div_ceil(PIECES_PER_SECOND), every };
                cloud.script_oss(OssMatch::Any, slow, u32::MAX);
            }
            Some(json!({ "pace": pace }))
        }
        _ => None,
    }
}

fn say(line: &Value) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
