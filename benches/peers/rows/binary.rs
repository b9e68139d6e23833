//! The size of what is installed.

use std::{fs, path::Path, process::Command};

use crate::{common::Failed, report::Report, world::World};

const BINARY: &str = env!("CARGO_BIN_EXE_cdn-usaged");

/// Of what was built with this benchmark. Built without `demo` in the same folder, since nearly all of it is the same; then the usual one is put back.
pub fn binary(_: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("release binary, stripped");
    entry.values("MiB", [size_mib()?], Some(9.0))?;
    build(&["--no-default-features"])?;
    let without = size_mib();
    build(&[])?;
    entry.values("MiB, without the feature demo", [without?], None)
}

fn size_mib() -> Result<f64, Failed> {
    Ok(fs::metadata(BINARY)?.len() as f64 / 1024.0 / 1024.0)
}

fn build(more: &[&str]) -> Result<(), Failed> {
    // CARGO is set by it for whatever it runs.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--release",
        "--locked",
        "--bin",
        "cdn-usaged",
    ]);
    if let Some(target) = Path::new(BINARY).ancestors().nth(2) {
        build.arg("--target-dir").arg(target);
    }
    let ended = build.args(more).status()?;
    if ended.success() { Ok(()) } else { Err(format!("building the binary ended with {ended}").into()) }
}
