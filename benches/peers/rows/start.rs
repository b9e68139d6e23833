//! From the start of the process to the word that it is ready.

use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

use cdn_usaged::clock;
use rustix::process::Signal;

use crate::{
    common::Failed,
    listing::{GROWING, Listing, MOST},
    measure::signal,
    report::Report,
    world::{LIFTED, Ours, World},
};

const STARTS: usize = 11;
const READY_MAX: Duration = Duration::from_secs(60);

pub fn start(world: &World, report: &mut Report) -> Result<(), Failed> {
    let mut entry = report.entry("start with 300,000 tasks to READY, warm");
    entry.values("ms", starts(world, &MOST)?, Some(30.0))?;
    let [few, ..] = GROWING;
    entry.values("ms, with 1,000 tasks", starts(world, &few)?, None)
}

/// The first one is not counted: it brings the file into memory.
fn starts(world: &World, listing: &Listing) -> Result<Vec<f64>, Failed> {
    let ours = world.ours_after(listing, listing, &LIFTED)?;
    (0..=STARTS).map(|_| ready_after_ms(&ours)).skip(1).collect()
}

fn ready_after_ms(ours: &Ours) -> Result<f64, Failed> {
    // Names of sockets are short, and the folder's may be long.
    let place = tempfile::tempdir()?;
    let path = place.path().join("notify");
    let manager = UnixDatagram::bind(&path)?;
    manager.set_read_timeout(Some(READY_MAX))?;
    let mut command: Command = ours.command("run");
    let began = clock::instant();
    let mut child = command.env("NOTIFY_SOCKET", &path).spawn()?;
    let mut heard = vec![0; 4096];
    // Ends: each turn takes what was said, or fails for the silence.
    let ready = loop {
        match manager.recv(&mut heard) {
            Ok(bytes) if heard.get(..bytes).is_some_and(|said| said.windows(7).any(|word| word == b"READY=1")) => {
                break Ok(began.elapsed().as_secs_f64() * 1e3);
            }
            Ok(_) => {}
            Err(e) => break Err(e),
        }
    };
    signal(child.id(), Signal::TERM)?;
    child.wait()?;
    Ok(ready?)
}
