//! What was found, and the tables that say so.

use std::fmt::Write as _;

use crate::{common::Failed, measure::Taken};

/// Median and range.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
    pub count: usize,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Result<Self, Failed> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (Some(&least), Some(&most)) = (values.first(), values.last()) else {
            return Err("nothing was measured".into());
        };
        let upper = values.get(values.len() / 2).copied().unwrap_or(most);
        let lower = values.get((values.len() - 1) / 2).copied().unwrap_or(least);
        Ok(Self { median: f64::midpoint(lower, upper), least, most, count: values.len() })
    }
}

/// One figure of the comparison, and what it is to be.
#[derive(Debug, Clone)]
pub struct Finding {
    pub work: &'static str,
    pub figure: String,
    pub spread: Spread,
    /// At most this.
    pub target: Option<f64>,
}

/// What one party took for a work, run by run.
#[derive(Debug, Clone)]
pub struct Party {
    pub work: &'static str,
    pub who: &'static str,
    pub taken: Vec<Taken>,
}

/// A listing of so many tasks.
#[derive(Debug, Clone, Copy)]
pub struct Grown {
    pub tasks: u32,
    /// Into an empty database.
    pub first: Taken,
    /// Nothing changed.
    pub again: Taken,
}

#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub parties: Vec<Party>,
    pub grown: Vec<Grown>,
    /// What could not be measured, and why.
    pub absent: Vec<String>,
}

/// A ratio of two of them.
pub type Figure = fn(&Taken) -> f64;
pub const WALL: Figure = |t| t.wall_s;
pub const CPU: Figure = |t| t.cpu_s;
pub const PEAK: Figure = |t| t.peak_mib;

/// The work that findings belong to.
pub struct Entry<'r> {
    report: &'r mut Report,
    work: &'static str,
}

impl Report {
    pub fn entry(&mut self, work: &'static str) -> Entry<'_> {
        Entry { report: self, work }
    }
}

impl Entry<'_> {
    /// Keeps what a party took.
    pub fn party(&mut self, who: &'static str, taken: &[Taken]) {
        self.report.parties.push(Party { work: self.work, who, taken: taken.to_vec() });
    }

    /// Ours beside theirs, pair by pair.
    pub fn ratio(
        &mut self,
        name: &str,
        figure: Figure,
        ours: &[Taken],
        theirs: &[Taken],
        target: Option<f64>,
    ) -> Result<(), Failed> {
        self.values(name, ours.iter().zip(theirs).map(|(a, b)| figure(a) / figure(b)), target)
    }

    pub fn values(
        &mut self,
        name: &str,
        values: impl IntoIterator<Item = f64>,
        target: Option<f64>,
    ) -> Result<(), Failed> {
        let spread = Spread::of(values)?;
        let figure = name.to_owned();
        self.report.findings.push(Finding { work: self.work, figure, spread, target });
        Ok(())
    }

    pub fn absent(&mut self, why: impl Into<String>) {
        self.report.absent.push(format!("{}: {}", self.work, why.into()));
    }
}

/// Three digits that count, and no exponent.
pub fn digits(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        v if v >= 0.1 => 3,
        _ => 4,
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The figures with their targets.
pub fn targets(findings: &[Finding]) -> String {
    let mut text =
        String::from("| work | figure | median | range | runs | target | met |\n|---|---|---|---|---|---|---|\n");
    let mut last = "";
    for finding in findings {
        let Spread { median, least, most, count } = finding.spread;
        let (target, met) = match finding.target {
            None => (String::new(), ""),
            Some(target) if median <= target => (format!("at most {}", digits(target)), "yes"),
            Some(target) => (format!("at most {}", digits(target)), "**no**"),
        };
        let work = if finding.work == last { "" } else { finding.work };
        last = finding.work;
        let range = if count > 1 { format!("{}–{}", digits(least), digits(most)) } else { String::new() };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {work} | {} | {} | {range} | {count} | {target} | {met} |",
            finding.figure,
            digits(median)
        );
    }
    text
}

/// What each party took, as medians.
pub fn parties(parties: &[Party]) -> Result<String, Failed> {
    let mut text = String::from("| work | who | wall, s | processor, s | peak, MiB |\n|---|---|---|---|---|\n");
    let mut last = "";
    for party in parties {
        let median = |figure: Figure| Spread::of(party.taken.iter().map(figure)).map(|s| digits(s.median));
        let work = if party.work == last { "" } else { party.work };
        last = party.work;
        let _ = writeln!(text, "| {work} | {} | {} | {} | {} |", party.who, median(WALL)?, median(CPU)?, median(PEAK)?);
    }
    Ok(text)
}

/// The cost as the work grows.
pub fn grown(all: &[Grown]) -> String {
    let mut text = String::from(
        "| tasks | first sweep: wall, s | processor, s | peak, MiB | again: wall, s | processor, s | peak, MiB |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for Grown { tasks, first, again } in all {
        let _ = write!(text, "| {tasks} |");
        for taken in [first, again] {
            let _ = write!(text, " {} | {} | {} |", digits(taken.wall_s), digits(taken.cpu_s), digits(taken.peak_mib));
        }
        text.push('\n');
    }
    text
}
