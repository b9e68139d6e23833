//! How many instructions the work takes that is done for each page or call: a figure that a busy machine does not move, so
//! that a change of a few per cent shows. Counted by callgrind (Debian: `apt-get install valgrind`).
//!
//! `cargo run --release -p cdn-usaged-instructions` compares with `benches/instructions/recorded.txt`, and fails where a figure is
//! more than 3 % away from it, whichever way: what became cheaper is to be recorded, too, or it would be lost again unseen. With
//! `-- --record` it writes that file anew. With another compiler or valgrind than that file names, figures are shown and not judged.
//!
//! This program runs itself under callgrind, twice for each case, and divides what the second run has more by the rounds
//! that it makes more. So what comes before the rounds does not count, and what other threads do for them does: SQLite has a
//! thread of its own. Counts are of a processor as valgrind shows it, which has no instructions for SHA-256.

mod cases;

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, ExitCode},
};

use cases::{CASES, Case};

/// What goes wrong ends it.
type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How far a figure may be from the recorded one, in per mille. What hashing with random seeds and the places of the allocator
/// move is below 5, what another patch level of the compiler or of the C library moves mostly below 20.
const TOLERANCE: u64 = 30;

const COMMAND: &str = "cargo run --release -p cdn-usaged-instructions";

fn main() -> Result<ExitCode, Failed> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => compare(),
        ["--record"] => record(),
        ["--rounds", name, rounds] => {
            let case = CASES.iter().find(|case| case.name == name).ok_or("there is no such case")?;
            (case.run)(rounds.parse()?, 2 * case.rounds)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("usage: {COMMAND} [-- --record]").into()),
    }
}

fn compare() -> Result<ExitCode, Failed> {
    let mut out = io::stdout();
    let (text, tools) = (fs::read_to_string(path())?, tools()?);
    let recorded = parse(&text)?;
    let recorded_with = text.lines().next().unwrap_or_default().trim_start_matches("# ");
    let mut off = Vec::new();
    for case in &CASES {
        let now = instructions(case)?;
        let before = *recorded.get(case.name).ok_or_else(|| format!("{} is not recorded", case.name))?;
        let mille = now.abs_diff(before) * 1000 / before.max(1);
        let sign = if now < before { '-' } else { '+' };
        let change = format!("{sign}{}.{} %", mille / 10, mille % 10);
        writeln!(out, "{:<10} {now:>12} {change:>9}  {}", case.name, case.what)?;
        if mille >= TOLERANCE {
            off.push(case.name);
        }
    }
    if recorded_with != tools {
        writeln!(out, "not judged: recorded with {recorded_with}, this is {tools}")?;
        return Ok(ExitCode::SUCCESS);
    }
    if off.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let (off, file) = (off.join(", "), path());
    writeln!(
        out,
        "more than {} % away from {}: {off}. Find out why. If it shall be so: {COMMAND} -- --record, and say why in the commit",
        TOLERANCE / 10,
        file.display()
    )?;
    Ok(ExitCode::FAILURE)
}

fn record() -> Result<ExitCode, Failed> {
    let mut text = format!("# {}\n", tools()?);
    for case in &CASES {
        let line = format!("{:<10} {:>12}  {}\n", case.name, instructions(case)?, case.what);
        write!(io::stdout(), "{line}")?;
        text.push_str(&line);
    }
    fs::write(path(), text)?;
    Ok(ExitCode::SUCCESS)
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("recorded.txt")
}

fn parse(text: &str) -> Result<BTreeMap<&str, u64>, Failed> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (name, count) = words.next().zip(words.next()).ok_or_else(|| format!("not a figure: {line}"))?;
            Ok((name, count.parse()?))
        })
        .collect()
}

/// What figures may depend on.
fn tools() -> Result<String, Failed> {
    let rustc = first_line(Command::new(env::var_os("RUSTC").unwrap_or("rustc".into())).arg("--version"))?;
    let valgrind = first_line(Command::new("valgrind").arg("--version"))?;
    Ok(format!("{}, {rustc}, {valgrind}", env::consts::ARCH))
}

fn first_line(command: &mut Command) -> Result<String, Failed> {
    let output = command.output().map_err(|e| format!("{}: {e}", command.get_program().display()))?;
    Ok(String::from_utf8(output.stdout)?.lines().next().unwrap_or_default().to_owned())
}

/// Of one round.
fn instructions(case: &Case) -> Result<u64, Failed> {
    let (once, twice) = (counted(case.name, case.rounds)?, counted(case.name, 2 * case.rounds)?);
    Ok(twice.checked_sub(once).ok_or("more rounds took fewer instructions")? / u64::from(case.rounds))
}

/// Of a whole run of this program.
fn counted(name: &str, rounds: u32) -> Result<u64, Failed> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--rounds", name, &rounds.to_string()])
        .output()
        .map_err(|e| format!("valgrind: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{name} ended with {}:\n{said}", output.status).into());
    }
    let total = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    total.ok_or_else(|| format!("callgrind gave no count:\n{said}").into())
}
