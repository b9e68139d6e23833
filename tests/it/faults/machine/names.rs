//! Names that do not resolve.

use std::{fs, path::PathBuf};

use cloudsim::{AccountSpec, Object, TaskSpec};

use super::leave_out;
use crate::common::{DETAIL, Running, World, is_root};

/// The machine as the daemon sees it: names come from a file of the test alone, and none is ever asked for elsewhere.
struct Names(PathBuf);

impl Names {
    fn of(world: &World) -> Self {
        fs::write(world.path().join("nsswitch.conf"), "hosts: files\n").unwrap();
        let names = Self(world.path().join("hosts"));
        names.set("");
        names
    }

    /// In its place: the daemon sees this very file.
    fn set(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    /// The daemon in a mount namespace in which these are the names; none where that is not permitted.
    async fn daemon(&self, world: &World) -> Option<Running> {
        let (hosts, switch) = (self.0.display(), world.path().join("nsswitch.conf"));
        let script = format!("mount --bind {hosts} /etc/hosts && mount --bind {} /etc/nsswitch.conf", switch.display());
        let inner = world.after(&script, &["run"]);
        let mut command = tokio::process::Command::new("unshare");
        command
            .args(["--mount", "sh"])
            .args(inner.as_std().get_args())
            .env_clear()
            .envs(inner.as_std().get_envs().filter_map(|(key, value)| Some((key, value?))))
            .current_dir(world.path())
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        if !is_root() || !super::system("unshare", &["--mount", "true"]) {
            leave_out("names can be taken away by root alone");
            return None;
        }
        let daemon = Running::start(&mut command);
        daemon.await_events("daemon.ready", 1).await;
        Some(daemon)
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_said_and_tried_again_and_holds_up_nobody_else() {
    let mut world = World::start().await;
    world.set("download.max_attempts", "1000");
    let names = Names::of(&world);
    // The account's endpoint has a name; the other account's is an address.
    world.add_account("named", AccountSpec::new("LTAInamed", "secret-of-named"), &[DETAIL]);
    let endpoint = world.cloud.endpoint().replace("127.0.0.1", "localhost");
    world.set_endpoint_of("named", &endpoint);
    world.cloud.add_task("LTAInamed", DETAIL, TaskSpec::default().with_id("n"));
    world.add("1", Object::csv(1));
    let Some(daemon) = names.daemon(&world).await else { return };
    let failed = daemon.await_events("poll.failed", 3).await;
    assert!(failed.iter().all(|e| e["account"] == "named"), "{failed:?}");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("http://localhost") && error.contains("DNS"), "{error}");
    world.until_stored(&daemon, 1).await;

    let port = world.cloud.oss_address().port();
    // Nor does that of a link.
    world.cloud.settings().set_link_base(Some(format!("http://files.example:{port}")));
    world.add_small(&["2"]);
    let retrying = daemon.await_events("download.retrying", 3).await;
    let error = retrying[0]["error"].as_str().unwrap();
    assert!(retrying[0]["reason"] == "network" && error.contains("files.example"), "{}", retrying[0]);
    // Neither stops the polls of the other account, nor is anything given up.
    daemon.await_more("poll.completed", 3).await;
    names.set("127.0.0.1 localhost files.example\n");
    world.until_stored(&daemon, 3).await;
    let run = daemon.stop().await;
    assert!(run.events("download.abandoned").is_empty());
    world.assert_whole().await;
}
