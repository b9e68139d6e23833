//! Sweeps: everything that is listed, read and recorded.

use std::path::Path;

use crate::{
    common::Failed,
    listing::{AFTER, BEFORE, CHANGED, QUIET},
    measure::{self, Taken},
    report::{CPU, Entry, PEAK, Report, WALL},
    rows::alternate,
    strace,
    world::{LIFTED, LISTING_ONLY, Settings, World},
};

const NO_SDK: &str = "the official SDK is not there, so that nothing is compared with it: see CONTRIBUTING.md";
const OURS: &str = "cdn-usaged";
const SDK: &str = "official SDK, only listing";

/// One listing by us and by the SDK in turns; by us alone where there is none.
fn beside_the_sdk(
    world: &World,
    entry: &mut Entry<'_>,
    (cpu, wall): (f64, f64),
    mut ours: impl FnMut() -> Result<Taken, Failed>,
) -> Result<Vec<Taken>, Failed> {
    let Some(python) = &world.python else {
        entry.absent(NO_SDK);
        let [ours] = alternate(world, true, [&mut ours])?;
        entry.party(OURS, &ours);
        return Ok(ours);
    };
    world.server.serve(&BEFORE, false)?;
    let mut sdk = || measure::run(&mut world.sdk(python, &BEFORE));
    let [ours, sdk] = alternate(world, true, [&mut ours, &mut sdk])?;
    entry.party(OURS, &ours);
    entry.party(SDK, &sdk);
    entry.ratio("processor, x SDK", CPU, &ours, &sdk, Some(cpu))?;
    entry.ratio("wall, x SDK", WALL, &ours, &sdk, Some(wall))?;
    Ok(ours)
}

pub fn sweep(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("full sweep of 100,000 tasks into an empty database");
    let ours = || world.sweep(&world.ours(&BEFORE, &LISTING_ONLY)?, &BEFORE);
    let ours = beside_the_sdk(world, &mut entry, (0.65, 0.75), ours)?;
    entry.values("peak, MiB", ours.iter().map(PEAK), Some(20.0))
}

pub fn again(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("the same again, nothing changed");
    world.full(&BEFORE)?;
    let ours = || world.once(&world.ours_after(&BEFORE, &BEFORE, &LIFTED)?);
    beside_the_sdk(world, &mut entry, (0.25, 0.25), ours)?;
    // What a run flushes that reads one page is what every run does.
    let (all, page) = (world.ours_after(&BEFORE, &BEFORE, &LIFTED)?, world.ours_after(&QUIET, &QUIET, &LIFTED)?);
    match (strace::flushes(&all.command("once"), &all.dir)?, strace::flushes(&page.command("once"), &page.dir)?) {
        (Some(all), Some(page)) => {
            entry.values("flushes beyond those of a listing of one page", [all as f64 - page as f64], Some(0.0))?;
        }
        _ => entry.absent("strace is not installed, so that flushes are not counted"),
    }
    changed(world, report)
}

/// Counts what is not as it was, in a copy of the database and in the one that the run wrote to.
fn changed(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("the same, 50 tasks changed");
    let before = world.full(&BEFORE)?;
    let ours = world.ours_after(&BEFORE, &AFTER, &LIFTED)?;
    let taken = world.once(&ours)?;
    entry.party(OURS, &[taken]);
    for (table, written) in
        [("tasks", CHANGED), ("transitions", CHANGED), ("listings", 1), ("downloads", 0), ("files", 0)]
    {
        let rows = differing(world, &before, &ours.database(), table)?;
        if rows != i64::from(written) {
            return Err(format!("{rows} rows of {table} were written, not {written}").into());
        }
        entry.values(&format!("rows of {table} written"), [rows as f64], Some(f64::from(written)))?;
    }
    Ok(())
}

/// Rows of a table that are new or other than before.
fn differing(world: &World, before: &Path, after: &Path, table: &str) -> Result<i64, Failed> {
    world.number_beside(
        after,
        before,
        &format!("SELECT count(*) FROM (SELECT * FROM main.{table} EXCEPT SELECT * FROM before.{table})"),
    )
}

pub fn paced(world: &World, report: &mut Report) -> Result<(), Failed> {
    const CALLS_PER_SECOND: u32 = 100;
    let mut entry = report.entry("the same at 100 calls a second");
    let settings = Settings { calls_per_second: CALLS_PER_SECOND, burst: 5, ..LISTING_ONLY };
    let taken = world.sweep(&world.ours(&BEFORE, &settings)?, &BEFORE)?;
    entry.party(OURS, &[taken]);
    let pages = f64::from(BEFORE.pages());
    entry.values("wall, x pages / 100 s", [taken.wall_s * f64::from(CALLS_PER_SECOND) / pages], Some(1.03))
}
