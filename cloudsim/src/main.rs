//! The simulator as a process of its own, for checks from outside: it starts, prints one line of JSON that says where
//! it listens and which keys it takes, and serves until its standard input ends.

use std::io::{self, Write as _};

use cloudsim::{AccountSpec, CloudSim, Export, Object, TaskSpec};
use tokio::io::AsyncReadExt as _;

const KEY_ID: &str = "LTAIcloudsimOutside";
const SECRET: &str = "cloudsim-outside-secret";
const TEMPORARY_ID: &str = "STS.cloudsimOutside";
const TEMPORARY_SECRET: &str = "a-temporary-secret";
const TOKEN: &str = "CAIS+a/token=with&everything%";

const USAGE: &str = "usage: cloudsim [TASKS]\n  TASKS  how many finished tasks each listing begins with, default 3";

#[tokio::main]
async fn main() -> io::Result<()> {
    let tasks = match std::env::args().nth(1) {
        None => 3,
        Some(text) => match text.parse::<u64>() {
            Ok(tasks) => tasks,
            Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidInput, USAGE)),
        },
    };
    let cloud = CloudSim::start().await?;
    cloud.add_account(AccountSpec::new(KEY_ID, SECRET));
    cloud.add_account_keys(KEY_ID, AccountSpec::new(TEMPORARY_ID, TEMPORARY_SECRET).with_token(TOKEN));
    for export in Export::ALL {
        cloud.add_tasks(KEY_ID, export, (0..tasks).map(|n| TaskSpec::default().with_object(Object::csv(n % 100))));
    }
    let line = serde_json::json!({
        "endpoint": cloud.endpoint(),
        "oss": cloud.oss_address().to_string(),
        "access_key_id": KEY_ID,
        "access_key_secret": SECRET,
        "temporary": {
            "access_key_id": TEMPORARY_ID,
            "access_key_secret": TEMPORARY_SECRET,
            "security_token": TOKEN,
        },
    });
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()?;
    drop(out);
    let mut input = tokio::io::stdin();
    let mut sink = [0; 1024];
    // Ends with the input.
    while input.read(&mut sink).await? > 0 {}
    Ok(())
}
