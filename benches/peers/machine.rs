//! What it was measured on, and with what.

use std::{fs, path::Path, process::Command};

use crate::{common::Failed, server};

/// One line for each fact.
pub fn facts(scratch: &Path, sdk: bool) -> Result<Vec<String>, Failed> {
    let cpu = fs::read_to_string("/proc/cpuinfo")?;
    let value =
        |name: &str| cpu.lines().find_map(|line| line.strip_prefix(name)?.split_once(": ").map(|(_, value)| value));
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let has_sha = value("flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "sha_ni"));
    let memory = fs::read_to_string("/proc/meminfo")?;
    let memory_kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    let mut facts = vec![
        format!(
            "{cores} cores of {}, {} SHA-NI, {} GiB",
            value("model name").unwrap_or("an unknown processor"),
            if has_sha { "with" } else { "without" },
            memory_kib / 1024 / 1024
        ),
        format!(
            "Linux {}, {} on {}",
            fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
            file_system(scratch)?,
            if cpu.contains("hypervisor") { "a virtual disk" } else { "a disk" }
        ),
        format!("load before the first row: {}", fs::read_to_string("/proc/loadavg")?.trim()),
    ];
    facts.push(format!("nginx: {}", first_line(Command::new(server::program()).arg("-v"))));
    for peer in ["curl", "aria2c", "sha256sum"] {
        facts.push(format!("{peer}: {}", first_line(Command::new(peer).arg("--version"))));
    }
    if sdk {
        let pinned = include_str!("../../cloudsim/outside/requirements.txt");
        let version =
            pinned.lines().find(|line| line.starts_with("alibabacloud-cdn")).unwrap_or("of an unknown version");
        facts.push(format!("official SDK: {version}, {}", first_line(Command::new("python3").arg("--version"))));
    }
    Ok(facts)
}

fn first_line(command: &mut Command) -> String {
    let Ok(said) = command.output() else { return "not installed".to_owned() };
    let said = if said.stdout.is_empty() { said.stderr } else { said.stdout };
    let said = String::from_utf8_lossy(&said);
    // Behind the version curl lists all of its libraries.
    said.lines().next().unwrap_or_default().split(" libcurl").next().unwrap_or_default().to_owned()
}

/// The type of the file system that a folder is on.
fn file_system(folder: &Path) -> Result<String, Failed> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let found = mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        })
        .filter(|(place, _)| folder.starts_with(place))
        .max_by_key(|(place, _)| place.len());
    Ok(found.map_or("an unknown file system", |(_, kind)| kind).to_owned())
}
