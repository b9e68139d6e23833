//! Configurations of several files.

use std::fs;

use rustix::process::Signal;

use crate::common::{World, command, finish};

/// Writes a file of `conf.d`.
fn part(world: &World, name: &str, text: &str) {
    let folder = world.path().join("conf.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn what_is_in_force_is_shown_with_its_origin_and_without_a_secret() {
    let world = World::start().await;
    part(&world, "10-poll.toml", "[poll]\npage_size = 7\n[[account]]\nname = \"main\"\nexports = [\"usage\"]\n");
    let path = world.path().display();
    let mut shown = world.command(["config", "show", "--origin"]);
    let run = finish(shown.env("CDN_USAGED_LOG", "warn")).await.expect(0);
    for (key, origin) in [
        ("page_size = 7 ", format!(" # {path}/conf.d/10-poll.toml:2")),
        ("exports = [\"usage\"]", format!(" # {path}/conf.d/10-poll.toml:5")),
        ("idle_interval = \"20ms\"", format!(" # {path}/config.toml:")),
        ("burst = 1000", format!(" # {path}/config.toml:")),
        ("max_size = \"4GiB\"", " # default".to_owned()),
        ("level = \"warn\"", " # $CDN_USAGED_LOG".to_owned()),
    ] {
        let found = run.stdout.lines().any(|l| l.starts_with(key) && l.contains(&origin));
        assert!(found, "{key} {origin}: {run}");
    }
    let json = world.run(&["config", "show", "--json"]).await.expect(0);
    assert_eq!(json.rows()[0]["poll"]["page_size"], 7);
    let lines = world.run(&["config", "show", "--json", "--origin"]).await.expect(0).rows();
    let exports = lines.iter().find(|l| l["key"] == "account[0].exports").unwrap();
    assert_eq!((exports["account"].as_str(), exports["line"].as_u64()), (Some("main"), Some(5)));
    for text in [&run.stdout, &json.stdout] {
        assert!(!text.contains("secret-of-main") && !text.contains("LTAI"), "{text}");
    }
    // What is shown is a configuration of its own.
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("config.toml");
    fs::write(&file, world.run(&["config", "show"]).await.expect(0).stdout).unwrap();
    let again =
        finish(command(copy.path()).arg("--config").arg(&file).args(["config", "show", "--json"])).await.expect(0);
    assert_eq!(again.stdout, json.stdout);
    assert_eq!(world.cloud.gateway_call_count(), 0);
}

#[tokio::test]
async fn the_schema_needs_no_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let run = finish(command(dir.path()).args(["config", "schema"])).await.expect(0);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/schema.json");
    assert_eq!(run.stdout, fs::read_to_string(shipped).unwrap());
}

#[tokio::test]
async fn a_wrong_file_beside_a_right_one_starts_nothing_and_is_named() {
    let world = World::start().await;
    part(&world, "10-a.toml", "[poll]\npage_size = 7\n");
    let run = world.run(&["check"]).await.expect(0);
    assert!(run.stdout.contains("config.toml and 1 file of conf.d are valid: 1 account"), "{run}");
    for (text, said) in [
        ("\n[poll]\npage_size = 51\n", "conf.d/20-b.toml:3: poll.page_size: is 51, which is not within 1 to 50"),
        ("[poll\n", "conf.d/20-b.toml:1: not valid TOML: "),
    ] {
        part(&world, "20-b.toml", text);
        for words in [["check"].as_slice(), &["once"], &["run"], &["config", "show"]] {
            let run = world.run(words).await.expect(78);
            assert!(run.complaint().contains(said), "{words:?}: {run}");
            assert_eq!(run.stdout, "");
        }
    }
    assert_eq!(world.cloud.gateway_call_count(), 0);
}

#[tokio::test]
async fn a_reload_takes_the_files_of_the_folder_or_none_of_them() {
    let world = World::start().await;
    world.add_small(&["1"]);
    let daemon = world.daemon().await;
    world.until_stored(&daemon, 1).await;
    part(&world, "10-a.toml", "[poll]\ninterval = \"30ms\"\n");
    part(&world, "20-b.toml", "[poll]\nintervall = \"30ms\"\n");
    daemon.signal(Signal::HUP);
    let said = daemon.await_events("config.rejected", 1).await;
    assert!(said[0]["error"].as_str().unwrap().contains("conf.d/20-b.toml:2: poll.intervall"), "{}", said[0]);
    part(&world, "20-b.toml", "[download]\nmax_attempts = 5\n");
    daemon.signal(Signal::HUP);
    let said = daemon.await_events("config.reloaded", 1).await;
    assert_eq!(said[0]["changed"], "poll.interval,download.max_attempts");
    world.add_small(&["2"]);
    world.until_stored(&daemon, 2).await;
    daemon.stop().await;
}
