//! The program beside what one would use instead, on loopback, in one run: curl, aria2c, sha256sum and the official Python
//! SDK.
//!
//! ```text
//! CDN_USAGED_OUTSIDE_PYTHON="$(cloudsim/outside/equip)" cargo bench --bench peers
//! cargo bench --bench peers -- --only sweep,many --runs 3
//! cargo bench --bench peers -- --write        # docs/performance.md and its plots
//! ```
//!
//! It needs nginx (Debian's `nginx-light` will do) and some 15 GiB of disk. Peers that are not installed are named and left
//! out. All run in turns in fresh folders, which go at the very end: ext4 gets slow where thousands of files were just removed.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/database.rs"]
mod database;
mod document;
mod listing;
mod machine;
mod measure;
mod plot;
#[path = "../common/processor.rs"]
mod processor;
mod report;
mod rows;
mod server;
mod strace;
mod world;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
};

use clap::Parser;
use common::Failed;
use report::Report;
use rows::ROWS;
use world::World;

/// Measures the program beside its peers.
#[derive(Debug, Parser)]
struct Arguments {
    /// Pairs of each comparison.
    #[arg(long, env = "CDN_USAGED_PEERS_RUNS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    runs: u16,
    /// Only these rows.
    #[arg(long, env = "CDN_USAGED_PEERS_ONLY", value_delimiter = ',')]
    only: Vec<String>,
    /// Another binary than the one that was built with this benchmark, such as the installed one.
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_cdn-usaged"))]
    binary: PathBuf,
    /// Says which rows there are.
    #[arg(long)]
    list: bool,
    /// Writes docs/performance.md and its plots, with the rows that were measured.
    #[arg(long)]
    write: bool,
    /// What cargo gives to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Failed> {
    let arguments = Arguments::parse();
    let mut out = io::stdout();
    if arguments.list {
        for row in ROWS {
            writeln!(out, "{:<8} {}", row.name, row.about)?;
        }
        return Ok(());
    }
    if let Some(unknown) = arguments.only.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
        return Err(format!("there is no row {unknown}: --list names them").into());
    }
    let python = python();
    let wanted: Vec<_> = ROWS
        .iter()
        .filter(|row| arguments.only.is_empty() || arguments.only.iter().any(|name| name == row.name))
        .collect();
    let with_large = wanted.iter().any(|row| row.is_large);
    let world = World::new(usize::from(arguments.runs), arguments.binary.canonicalize()?, python.clone(), with_large)?;
    let facts = machine::facts(world.scratch(), python.is_some())?;
    for fact in &facts {
        writeln!(out, "{fact}")?;
    }
    let (mut report, mut failed) = (Report::default(), Vec::new());
    for row in wanted {
        writeln!(out, "… {}", row.about)?;
        let (findings, parties) = (report.findings.len(), report.parties.len());
        // One that cannot be measured does not cost the others.
        if let Err(e) = (row.measure)(&world, &mut report) {
            writeln!(out, "{}: {e}", row.name)?;
            failed.push(row.name);
        }
        writeln!(out, "{}", report::targets(report.findings.get(findings..).unwrap_or_default()))?;
        writeln!(out, "{}", report::parties(report.parties.get(parties..).unwrap_or_default())?)?;
        // Row by row: what was measured is not lost with what comes after it.
        if arguments.write {
            document::write(&facts, arguments.runs, &report)?;
        }
    }
    if !failed.is_empty() {
        return Err(format!("could not be measured: {}", failed.join(", ")).into());
    }
    writeln!(out, "{}", document::measured(&facts, arguments.runs, &report)?)?;
    Ok(())
}

/// The Python of `cloudsim/outside/equip`, if it is there and works.
fn python() -> Option<PathBuf> {
    let path = std::env::var_os("CDN_USAGED_OUTSIDE_PYTHON").map(PathBuf::from)?;
    let loads = Command::new(&path).args(["-c", "import alibabacloud_cdn20180510.client"]).status();
    loads.is_ok_and(|ended| ended.success()).then_some(path)
}
