//! Downloads: one large file, and many small ones.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    common::Failed,
    listing::{LARGE, MANY, ONE, signed},
    measure::{self, Taken},
    report::{CPU, PEAK, Report, WALL},
    rows::alternate,
    world::{LIFTED, Settings, World, peer},
};

const OURS: &str = "cdn-usaged";

pub fn one(world: &World, report: &mut Report) -> Result<(), Failed> {
    large(world, report, false)
}

pub fn one_over_tls(world: &World, report: &mut Report) -> Result<(), Failed> {
    large(world, report, true)
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|said| said.status.success())
}

fn certificate() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls/ca.pem")
}

fn large(world: &World, report: &mut Report, tls: bool) -> Result<(), Failed> {
    let over = if tls {
        "one file of 1 GiB over TLS, verified and flushed"
    } else {
        "one file of 1 GiB, verified and flushed"
    };
    let mut entry = report.entry(over);
    let settings = Settings { tls, ..LIFTED };
    let mut used = Vec::new();
    let mut run_ours = || {
        let ours = world.ours(&ONE, &settings)?;
        let taken = world.once(&ours)?;
        used.push(ours.dir);
        Ok(taken)
    };
    if !is_there("curl") {
        entry.absent("curl is not installed");
        let [ours] = alternate(world, false, [&mut run_ours])?;
        entry.party(OURS, &ours);
        return entry.values("peak, MiB", ours.iter().map(PEAK), Some(20.0));
    }
    let address = if tls { format!("https://{}", world.server.tls) } else { format!("http://{}", world.server.http) };
    let url = signed(&format!("{address}/files/{LARGE}"));
    let (mut hashed, mut kept) = (Vec::new(), Vec::new());
    let mut run_curl = || {
        let folder = world.fresh()?;
        let file = folder.join(LARGE);
        let mut curl = peer(Path::new("curl"));
        curl.args(["-q", "-sS", "--fail", "--cacert"]).arg(certificate()).arg("-o").arg(&file).arg(&url);
        let taken = measure::run(&mut curl)?;
        if !tls && is_there("sha256sum") {
            hashed.push(measure::run(peer(Path::new("sha256sum")).arg(&file))?);
        }
        kept.push(folder);
        Ok(taken)
    };
    let [ours, curl] = alternate(world, false, [&mut run_ours, &mut run_curl])?;
    entry.party(OURS, &ours);
    entry.party("curl", &curl);
    entry.ratio("wall, x curl", WALL, &ours, &curl, Some(if tls { 1.1 } else { 1.0 }))?;
    entry.ratio("processor, x curl", CPU, &ours, &curl, None)?;
    if !tls && hashed.len() == curl.len() {
        let both: Vec<Taken> = curl.iter().zip(&hashed).map(|(curl, hash)| curl.then(*hash)).collect();
        entry.party("curl, then sha256sum", &both);
        entry.ratio("wall, x (curl, then sha256sum)", WALL, &ours, &both, Some(0.35))?;
    }
    entry.values("peak, MiB", ours.iter().map(PEAK), Some(20.0))?;
    // Not while it is measured: what removing leaves to be done would be somebody's loss. But disks are not endless.
    for folder in used.into_iter().chain(kept) {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}

pub fn many(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("5,000 files of 20 KB, each verified, flushed, renamed and recorded");
    let mut run_ours = || {
        let ours = world.ours(&MANY, &LIFTED)?;
        let taken = world.once(&ours)?;
        let stored = world.number(&ours.database(), "SELECT count(*) FROM files WHERE verified_by = 'crc64'")?;
        if stored == i64::from(MANY.tasks) { Ok(taken) } else { Err(format!("{stored} files are stored").into()) }
    };
    // The same file names for all, so that folders grow alike.
    let links = |folder: &Path, line: &dyn Fn(&str, &str) -> String| {
        let mut text = String::new();
        for task in 0..MANY.tasks {
            let url = signed(&format!("http://{}/files/small/{task}.csv", world.server.http));
            // Writing to a string cannot fail.
            let _ = write!(text, "{}", line(&url, &format!("20260831T160000Z_20260930T155959Z_{task}.csv")));
        }
        let path = folder.join("links");
        fs::write(&path, text).map(|()| path)
    };
    let mut run_aria = || {
        let folder = world.fresh()?;
        let links = links(&folder, &|url, name| format!("{url}\n out={name}\n"))?;
        let mut aria = peer(Path::new("aria2c"));
        aria.args(["--no-conf", "-q", "-j8", "-x1", "--file-allocation=none", "-d"]).arg(&folder).arg("-i").arg(links);
        measure::run(&mut aria)
    };
    let mut run_curl = || {
        let folder = world.fresh()?;
        let line = |url: &str, name: &str| format!("url = \"{url}\"\noutput = \"{}\"\n", folder.join(name).display());
        let links = links(&folder, &line)?;
        let mut curl = peer(Path::new("curl"));
        curl.args(["-q", "-sS", "--fail", "-Z", "--parallel-max", "8", "-K"]).arg(links);
        measure::run(&mut curl)
    };
    let (has_aria, has_curl) = (is_there("aria2c"), is_there("curl"));
    let mut nothing = || Ok(Taken { wall_s: f64::NAN, cpu_s: f64::NAN, peak_mib: f64::NAN });
    let mut nothing_either = nothing;
    let [ours, aria, curl] = alternate(
        world,
        true,
        [
            &mut run_ours,
            if has_aria { &mut run_aria } else { &mut nothing },
            if has_curl { &mut run_curl } else { &mut nothing_either },
        ],
    )?;
    entry.party(OURS, &ours);
    entry.values("peak, MiB", ours.iter().map(PEAK), None)?;
    if has_aria {
        entry.party("aria2c -j8 -x1", &aria);
        entry.ratio("wall, x aria2c", WALL, &ours, &aria, Some(0.25))?;
        entry.ratio("processor, x aria2c", CPU, &ours, &aria, Some(0.45))?;
    } else {
        entry.absent("aria2c is not installed");
    }
    if has_curl {
        entry.party("curl -Z --parallel-max 8", &curl);
        entry.ratio("wall, x curl -Z", WALL, &ours, &curl, Some(2.5))?;
    } else {
        entry.absent("curl is not installed");
    }
    Ok(())
}
