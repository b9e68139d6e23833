//! The official clients against the simulator: what they sign is accepted, what they expect is answered.

use std::{error::Error, process::Stdio, time::Duration};

use cloudsim::{AccountSpec, CloudSim, Export, Object, TaskSpec};
use tokio::process::Command;

const EQUIP: &str = "set CDN_USAGED_OUTSIDE_PYTHON=\"$(cloudsim/outside/equip)\"";
const KEY_ID: &str = "LTAIcloudsimOutside";
const TEMPORARY_ID: &str = "STS.cloudsimOutside";
const TOKEN: &str = "CAIS+a/token=with&everything%";

/// Long enough for a slow machine that imports the clients for the first time.
const DEADLINE: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_clients_are_content() -> Result<(), Box<dyn Error>> {
    let Some(python) = std::env::var_os("CDN_USAGED_OUTSIDE_PYTHON").filter(|path| !path.is_empty()) else {
        assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "not equipped: {EQUIP}");
        println!("not equipped, nothing was checked: {EQUIP}");
        return Ok(());
    };
    let cloud = CloudSim::start().await?;
    cloud.add_account(AccountSpec::new(KEY_ID, "cloudsim-outside-secret"));
    cloud.add_account_keys(KEY_ID, AccountSpec::new(TEMPORARY_ID, "a-temporary-secret").with_token(TOKEN));
    for export in Export::ALL {
        let tasks = (1..=5).map(|n| TaskSpec::default().with_object(Object::csv(n * 10)));
        cloud.add_tasks(KEY_ID, export, tasks);
    }
    let line = serde_json::json!({
        "endpoint": cloud.endpoint(),
        "oss": cloud.oss_address().to_string(),
        "access_key_id": KEY_ID,
        "access_key_secret": "cloudsim-outside-secret",
        "temporary": {
            "access_key_id": TEMPORARY_ID,
            "access_key_secret": "a-temporary-secret",
            "security_token": TOKEN,
        },
    });
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/outside/check.py");
    let mut command = Command::new(python);
    command.arg(script).arg(line.to_string()).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(DEADLINE, command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    println!("{said}");
    assert!(said.lines().any(|line| line == "ok all"), "{said}\n{complained}");
    let calls = cloud.gateway_calls();
    for v3 in [true, false] {
        assert!(calls.iter().any(|call| call.v3 == v3 && call.outcome == "OK"), "both signatures were to be used");
    }
    assert!(cloud.oss_calls().iter().any(|call| call.status == 206));
    Ok(())
}
