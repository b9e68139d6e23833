//! What is looked at, and what has to stay as it is.

use std::{fmt::Write as _, fs, path::PathBuf};

use crate::{
    Daemon,
    common::{Failed, status},
    database::number,
};

/// Of a half later than the first, a figure may be so much more than in the one before, in percent. Medians of hundreds of
/// looks do not swing that far; a leak of a kibibyte a second does.
const GROWTH_MAX_PERCENT: u64 = 10;

/// One look.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Resident memory, KiB.
    resident: u64,
    descriptors: u64,
    threads: u64,
    /// The database without its log, bytes.
    database: u64,
    /// Tasks, transitions, attempts and files together.
    rows: u64,
}

/// One number of a look.
type Figure = fn(&Look) -> u64;

/// Everything that was seen so far.
pub struct Figures {
    pid: u32,
    database: PathBuf,
    looks: Vec<Look>,
}

impl Figures {
    pub fn new(daemon: &Daemon) -> Self {
        Self { pid: daemon.child.id(), database: daemon.database.clone(), looks: Vec::new() }
    }

    /// Looks once. Before there is a database, there is nothing to look at.
    pub async fn look(&mut self) -> Result<(), Failed> {
        let (Some(resident), Some(threads)) = (status(self.pid, "VmRSS"), status(self.pid, "Threads")) else {
            return Err("the daemon is gone".into());
        };
        if !self.database.exists() {
            return Ok(());
        }
        let rows = "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM transitions)
            + (SELECT count(*) FROM attempts) + (SELECT count(*) FROM files)";
        self.looks.push(Look {
            resident,
            descriptors: u64::try_from(fs::read_dir(format!("/proc/{}/fd", self.pid))?.count())?,
            threads,
            database: fs::metadata(&self.database)?.len(),
            rows: u64::try_from(number(&self.database, rows).await?)?,
        });
        Ok(())
    }

    /// The last look.
    pub fn line(&self) -> String {
        self.looks.last().map_or_else(String::new, |look| {
            format!(
                "{:>6} KiB resident, {:>3} descriptors, {:>2} threads, {:>8} rows, {:>7} KiB database, {:>4} bytes a row",
                look.resident,
                look.descriptors,
                look.threads,
                look.rows,
                look.database / 1024,
                look.database / look.rows.max(1)
            )
        })
    }

    /// The median of each quarter.
    pub fn table(&self) -> String {
        let mut text = String::from(
            "\n| quarter | resident, KiB | descriptors | threads | rows | database, KiB | bytes a row |\n|---|---|---|---|---|---|---|\n",
        );
        for quarter in 0..4 {
            let of = |figure: Figure| self.median(quarter, figure);
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} |",
                quarter + 1,
                of(|l| l.resident),
                of(|l| l.descriptors),
                of(|l| l.threads),
                of(|l| l.rows),
                of(|l| l.database / 1024),
                of(bytes_a_row)
            );
        }
        text
    }

    /// Refuses a figure that grew from the second quarter to the last: the first is for warming up.
    pub fn judge(&self) -> Result<(), Failed> {
        let figures: [(&str, Figure); 4] = [
            ("resident memory", |l| l.resident),
            ("descriptors", |l| l.descriptors),
            ("threads", |l| l.threads),
            ("bytes a row", bytes_a_row),
        ];
        for (name, figure) in figures {
            let (before, after) = (self.median(1, figure), self.median(3, figure));
            if after * 100 > before * (100 + GROWTH_MAX_PERCENT) {
                return Err(format!("{name} grew from {before} to {after}").into());
            }
        }
        Ok(())
    }

    fn median(&self, quarter: usize, figure: Figure) -> u64 {
        let quarter_of = self.looks.len() / 4;
        let mut all: Vec<u64> = self.looks.iter().skip(quarter * quarter_of).take(quarter_of).map(figure).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or(0)
    }
}

fn bytes_a_row(look: &Look) -> u64 {
    look.database / look.rows.max(1)
}
