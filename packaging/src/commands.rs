//! Section 1: the program, and each command.

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};
use clap_mangen::{
    Man,
    roff::{Roff, bold, italic, roman},
};

use crate::{Edition, Page, body, definitions};

/// What follows the options on the page of the program.
const TAIL: &str = include_str!("../man/cdn-usaged.1.tail");

/// The pages of the program and of all of its commands.
pub(crate) fn pages(edition: Edition<'_>) -> Vec<Page> {
    // `help` repeats what the pages say.
    let mut program = cdn_usaged::cli::command_line().disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    below(&program, edition, &mut pages);
    pages
}

/// The page of a command, and those of the commands below it.
fn below(command: &Command, edition: Edition<'_>, pages: &mut Vec<Page>) {
    pages.push(page(command, edition));
    for each in command.get_subcommands().filter(|each| !each.is_hide_set()) {
        below(each, edition, pages);
    }
}

fn page(command: &Command, edition: Edition<'_>) -> Page {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let man = Man::new(command.clone())
        .date(edition.date)
        .source(format!("cdn-usaged {}", edition.version))
        .manual("cdn-usaged manual");
    let mut text = Vec::new();
    // A Vec takes all that is written.
    let _ = man.render_title(&mut text);
    let _ = man.render_name_section(&mut text);
    text.extend_from_slice(synopsis(command).as_bytes());
    let _ = man.render_description_section(&mut text);
    let _ = man.render_options_section(&mut text);
    if command.get_subcommands().any(|each| !each.is_hide_set()) {
        let _ = man.render_subcommands_section(&mut text);
    }
    // Each part begins with the definitions that a page needs once.
    let text = String::from_utf8_lossy(&text).replace(&definitions(), "");
    // Two breaks with nothing between them, before the values that an option may have, are one empty line.
    let mut text = format!("{}{}", definitions(), text.replace(".br\n\n.br\n", ".sp\n"));
    if name == "cdn-usaged" {
        text.push_str(TAIL);
    } else {
        let said = command.get_after_long_help().or_else(|| command.get_after_help());
        text.push_str(&after_help(&said.map(ToString::to_string).unwrap_or_default()));
        text.push_str(&see_also(&name));
    }
    Page { path: PathBuf::from(format!("man/man1/{name}.1")), text }
}

/// Every option with the name of its value, which clap's own synopsis leaves out.
fn synopsis(command: &Command) -> String {
    let mut words = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name()))];
    for option in command.get_arguments().filter(|each| !each.is_positional() && !each.is_hide_set()) {
        let Some(long) = option.get_long() else { continue };
        words.extend([roman(" ["), bold(format!("--{long}"))]);
        if option.get_action().takes_values() {
            words.extend([roman(" "), italic(value_name(option))]);
        }
        words.push(roman("]"));
    }
    for positional in command.get_positionals() {
        let (open, close) = if positional.is_required_set() { ("", "") } else { ("[", "]") };
        let more = if matches!(positional.get_action(), ArgAction::Append) { "..." } else { "" };
        words.extend([roman(format!(" {open}")), italic(value_name(positional)), roman(format!("{close}{more}"))]);
    }
    if command.get_subcommands().any(|each| !each.is_hide_set()) {
        words.extend([roman(" "), italic("COMMAND"), roman(" ...")]);
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text(words);
    body(&roff)
}

fn value_name(argument: &Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    if names.is_empty() { argument.get_id().as_str().to_uppercase() } else { names.join(" ") }
}

/// What a command's help ends with: its examples as they are typed, and under which conditions it fails.
fn after_help(text: &str) -> String {
    let mut roff = Roff::new();
    let mut heading = "";
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    while let Some(line) = lines.next() {
        let is_example = line.starts_with("Example") && line.ends_with(':');
        let now = match line {
            _ if is_example => "EXAMPLES",
            _ if line.starts_with("Exit status") => "EXIT STATUS",
            _ => "NOTES",
        };
        if now != heading {
            roff.control("SH", [now]);
            heading = now;
        }
        if !is_example {
            roff.text([roman(line.trim())]);
            continue;
        }
        roff.control("EX", []);
        while let Some(typed) = lines.next_if(|line| line.starts_with(' ')) {
            roff.text([bold(typed.trim())]);
        }
        roff.control("EE", []);
    }
    body(&roff)
}

fn see_also(name: &str) -> String {
    let mut others = vec!["cdn-usaged(1)", "cdn-usaged.toml(5)"];
    if name == "cdn-usaged-run" {
        others.push("cdn-usaged(8)");
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let last = others.len() - 1;
    for (at, other) in others.iter().enumerate() {
        let (page, section) = other.split_at(other.find('(').unwrap_or(other.len()));
        roff.text([bold(page), roman(format!("{section}{}", if at == last { "" } else { "," }))]);
    }
    body(&roff)
}
