//! docs/performance.md: what was measured stands between two marks, and what is said of it around them stays.

use std::{fmt::Write as _, fs, path::Path};

use cdn_usaged::clock;

use crate::{
    common::Failed,
    plot,
    report::{Report, grown, parties, targets},
};

const BEGIN: &str = "<!-- measured: cargo bench --bench peers -- --write -->\n";
const END: &str = "<!-- measured: end -->";

/// Everything that was measured.
pub fn measured(facts: &[String], runs: u16, report: &Report) -> Result<String, Failed> {
    let mut text = format!("Measured on {}, {runs} pairs of each comparison:\n\n", clock::now().strftime("%Y-%m-%d"));
    for fact in facts {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "- {fact}");
    }
    let _ = write!(text, "\n{}", targets(&report.findings));
    if !report.parties.is_empty() {
        let _ = write!(text, "\nMedians of what each took:\n\n{}", parties(&report.parties)?);
    }
    if !report.grown.is_empty() {
        let _ = write!(text, "\nAs the work grows:\n\n{}", grown(&report.grown));
    }
    for absent in &report.absent {
        let _ = write!(text, "\nNot measured: {absent}.\n");
    }
    Ok(text)
}

/// Puts it into the document, and the plots beside it.
pub fn write(facts: &[String], runs: u16, report: &Report) -> Result<(), Failed> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let path = docs.join("performance.md");
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("docs/performance.md has lost the mark where figures begin")?;
    let (_, after) = rest.split_once(END).ok_or("docs/performance.md has lost the mark where figures end")?;
    fs::write(&path, format!("{before}{BEGIN}\n{}\n{END}{after}", measured(facts, runs, report)?))?;
    plot::write(&docs.join("performance"), report)
}
