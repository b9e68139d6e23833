//! The rows of the table. Each measures one kind of work.

mod binary;
mod daemon;
mod files;
mod growth;
mod listings;
mod start;

use crate::{common::Failed, measure::Taken, report::Report, world::World};

/// A row: its name, what it is about, and how it is measured.
pub struct Row {
    pub name: &'static str,
    pub about: &'static str,
    /// Whether it fetches the large file.
    pub is_large: bool,
    pub measure: fn(&World, &mut Report) -> Result<(), Failed>,
}

/// In the order of the table.
pub const ROWS: &[Row] = &[
    Row {
        name: "sweep",
        is_large: false,
        about: "a full sweep of 100,000 tasks beside the official SDK",
        measure: listings::sweep,
    },
    Row {
        name: "again",
        is_large: false,
        about: "the same again: nothing changed, then 50 tasks",
        measure: listings::again,
    },
    Row { name: "paced", is_large: false, about: "the same at 100 calls a second", measure: listings::paced },
    Row { name: "quick", is_large: false, about: "a quick poll that finds nothing new", measure: daemon::quick },
    Row { name: "file", is_large: true, about: "one file of 1 GiB beside curl and sha256sum", measure: files::one },
    Row { name: "tls", is_large: true, about: "the same over TLS", measure: files::one_over_tls },
    Row { name: "many", is_large: false, about: "5,000 small files beside aria2c and curl", measure: files::many },
    Row { name: "start", is_large: false, about: "from start to READY with 300,000 tasks", measure: start::start },
    Row { name: "idle", is_large: false, about: "ten accounts with nothing to do", measure: daemon::idle },
    Row {
        name: "fleet",
        is_large: false,
        about: "a hundred accounts, polled every minute over TLS",
        measure: daemon::fleet,
    },
    Row { name: "growth", is_large: false, about: "1,000 to 300,000 tasks", measure: growth::growth },
    Row { name: "binary", is_large: false, about: "the size of the binary", measure: binary::binary },
];

/// One run of one party.
type Party<'p> = &'p mut dyn FnMut() -> Result<Taken, Failed>;

/// Runs the parties in turns, so that what the machine does meanwhile falls on all of them alike. What each took, in the order
/// of the parties. Unless they are too large, one run of each goes first and is not counted.
fn alternate<const N: usize>(
    world: &World,
    warm_up: bool,
    mut parties: [Party<'_>; N],
) -> Result<[Vec<Taken>; N], Failed> {
    let mut taken = [const { Vec::new() }; N];
    for round in 0..world.runs + usize::from(warm_up) {
        for (party, taken) in parties.iter_mut().zip(&mut taken) {
            world.settle()?;
            let run = party()?;
            if round > 0 || !warm_up {
                taken.push(run);
            }
        }
    }
    Ok(taken)
}
