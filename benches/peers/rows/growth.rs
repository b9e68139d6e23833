//! What it costs as the work grows.

use crate::{
    common::Failed,
    listing::GROWING,
    measure::Taken,
    report::{CPU, Figure, Grown, PEAK, Report, Spread, WALL},
    world::{LIFTED, LISTING_ONLY, World},
};

/// The largest takes its time.
const RUNS_MAX: usize = 2;

pub fn growth(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut grown = Vec::new();
    for listing in GROWING {
        world.full(&listing)?;
        let (mut first, mut again) = (Vec::new(), Vec::new());
        for _ in 0..world.runs.min(RUNS_MAX) {
            world.settle()?;
            first.push(world.sweep(&world.ours(&listing, &LISTING_ONLY)?, &listing)?);
            world.settle()?;
            again.push(world.once(&world.ours_after(&listing, &listing, &LIFTED)?)?);
        }
        grown.push(Grown { tasks: listing.tasks, first: median(&first)?, again: median(&again)? });
    }
    report.grown.clone_from(&grown);
    let mut entry = report.entry("1,000 to 300,000 tasks");
    let [_, tenth, .., most] = grown.as_slice() else { return Err("nothing has grown".into()) };
    let each = |grown: &Grown, taken: &Taken| taken.cpu_s / f64::from(grown.tasks);
    entry.values(
        "first sweep: processor a task with 300,000, x with 10,000",
        [each(most, &most.first) / each(tenth, &tenth.first)],
        Some(1.25),
    )?;
    entry.values(
        "nothing changed: processor a task with 300,000, x with 10,000",
        [each(most, &most.again) / each(tenth, &tenth.again)],
        Some(1.25),
    )?;
    entry.values("first sweep: peak with 300,000, MiB", [most.first.peak_mib], None)
}

fn median(taken: &[Taken]) -> Result<Taken, Failed> {
    let of = |figure: Figure| Spread::of(taken.iter().map(figure)).map(|spread| spread.median);
    Ok(Taken { wall_s: of(WALL)?, cpu_s: of(CPU)?, peak_mib: of(PEAK)? })
}
