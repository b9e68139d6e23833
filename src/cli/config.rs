//! `config`: what is in force and where it comes from, and the schema for editors.

use super::{Failure, args::ConfigShowArgs, output::Out};
use crate::config::{Loaded, schema};

/// Shows what is in force.
pub(crate) fn show(loaded: &Loaded, args: &ConfigShowArgs) -> Result<(), Failure> {
    let mut out = Out::new();
    match (args.json, args.origin) {
        (true, true) => loaded.to_json_lines().try_for_each(|line| out.json(&line))?,
        (true, false) => out.json(&loaded.to_json())?,
        (false, with_origin) => lines(&mut out, &loaded.to_toml(with_origin))?,
    }
    out.finish()
}

/// Writes the schema.
pub(crate) fn write_schema() -> Result<(), Failure> {
    let mut out = Out::new();
    lines(&mut out, &schema())?;
    out.finish()
}

/// Line by line: the text's own ends of lines are meant.
fn lines(out: &mut Out, text: &str) -> Result<(), Failure> {
    text.lines().try_for_each(|line| out.line(line))
}
