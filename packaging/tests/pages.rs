//! The pages have every command, option and key, and nothing that the tools for man pages complain of.

#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::Path,
    process::Command,
};

use cdn_usaged::config::{Config, Environment};
use cdn_usaged_packaging::{Edition, Page, completions, man_pages};

const EDITION: Edition<'_> = Edition { date: "2026-01-31", version: "1.2.3" };

fn page(name: &str) -> String {
    let pages = man_pages(EDITION);
    let page = pages.into_iter().find(|page| page.path == Path::new("man").join(name));
    page.unwrap_or_else(|| panic!("there is no {name}")).text
}

/// As a reader would see it: without the font changes and escapes.
fn plain(text: &str) -> String {
    text.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace("\\-", "-").replace("\\*(Aq", "'")
}

fn each_command(command: &clap::Command, see: &mut impl FnMut(&clap::Command)) {
    see(command);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        each_command(sub, see);
    }
}

/// As the pages have it: without `help`, which is in every shell's completion.
fn program() -> clap::Command {
    let mut program = cdn_usaged::cli::command_line().disable_help_subcommand(true);
    program.build();
    program
}

#[test]
fn every_command_has_a_page_with_all_of_its_options() {
    let mut options = 0;
    let mut commands = Vec::new();
    each_command(&program(), &mut |command| {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let text = plain(&page(&format!("man1/{name}.1")));
        let about = command.get_about().unwrap().to_string();
        assert!(text.contains(&format!("\n{name} - {about}\n")), "{name}: {text}");
        for option in command.get_arguments().filter(|a| !a.is_hide_set()).filter_map(|a| a.get_long()) {
            assert!(text.contains(&format!("--{option}")), "{name} lacks --{option}: {text}");
            options += 1;
        }
        commands.push(name.to_owned());
    });
    assert!(commands.len() >= 9 && options >= 20, "{commands:?} {options}");
    let pages = man_pages(EDITION);
    let in_section_1 = pages.iter().filter(|page| page.path.starts_with("man/man1")).count();
    assert_eq!(in_section_1, commands.len(), "a page of no command");
    let program = plain(&page("man1/cdn-usaged.1"));
    for command in commands.iter().filter(|name| name.matches('-').count() == 2) {
        assert!(program.contains(&format!("\n{command}(1)\n")), "cdn-usaged(1) does not lead to {command}");
    }
}

#[test]
fn the_page_of_the_program_has_every_exit_status_that_its_help_has() {
    let help = cdn_usaged::cli::command_line().get_after_help().unwrap().to_string();
    let statuses: BTreeSet<_> = help.split(|c: char| !c.is_ascii_digit()).filter(|s| !s.is_empty()).collect();
    assert!(statuses.contains("75") && statuses.len() >= 5, "{statuses:?}");
    for name in ["man1/cdn-usaged.1", "man8/cdn-usaged.8"] {
        let text = page(name);
        for status in &statuses {
            assert!(text.contains(&format!(".TP\n.B {status}\n")), "{name} lacks status {status}");
        }
    }
}

#[test]
fn examples_are_shown_as_they_are_typed() {
    let text = plain(&page("man1/cdn-usaged-files.1"));
    assert!(text.contains(".SH EXAMPLES\n.EX\ncdn-usaged files --after 1200 --json\n.EE\n"), "{text}");
}

/// The keys that the configuration's reader allows in a place, by what it says of one that is none.
fn allowed(before: &str) -> Vec<String> {
    let text = format!("{before}\nno_such_key_at_all = 1\n");
    let error = Config::parse(&text, Path::new("/c.toml"), &Environment::empty()).unwrap_err().to_string();
    let line = error.lines().find(|line| line.contains("no_such_key_at_all")).unwrap_or_else(|| panic!("{error}"));
    let list = line.split("(allowed: ").nth(1).unwrap_or_else(|| panic!("{line}"));
    list.trim_end_matches(')').split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_is_in_section_5_below_its_section_with_its_default() {
    let text = plain(&page("man5/cdn-usaged.toml.5"));
    let sections = allowed("");
    assert!(sections.len() >= 8, "{sections:?}");
    let mut places: Vec<String> =
        sections.iter().map(|s| if s == "account" { "[[account]]".to_owned() } else { format!("[{s}]") }).collect();
    places.extend(["[account.credentials]", "[[account.expect]]"].map(str::to_owned));
    let mut keys = 0;
    for place in &places {
        let heading = format!(".SS {place}\n");
        let part = text.split(&heading).nth(1).unwrap_or_else(|| panic!("there is no {place}: {text}"));
        let part = part.split("\n.S").next().unwrap();
        // Some keys of credentials belong to one source.
        let befores = if place == "[account.credentials]" {
            ["default", "files", "profile", "ecs-ram-role", "oidc-role", "ram-role", "uri"]
                .map(|source| format!("[[account]]\n{place}\nsource = '{source}'"))
                .to_vec()
        } else if place == "[[account.expect]]" {
            vec![format!("[[account]]\n{place}")]
        } else {
            vec![place.clone()]
        };
        let known: BTreeSet<String> = befores.iter().flat_map(|before| allowed(before)).collect();
        let is_section = |key: &str| place == "[[account]]" && ["credentials", "expect"].contains(&key);
        for key in known.iter().filter(|key| !is_section(key)) {
            let is_named = part.lines().any(|line| line.starts_with(&format!("{key} = ")));
            assert!(is_named, "{place} lacks {key}: {part}");
            keys += 1;
        }
    }
    assert!(keys >= 30, "only {keys} keys were found");
    assert!(text.contains(".TP\ninterval = \"1m\"\nThe pause between polls"), "{text}");
}

#[test]
fn every_section_of_the_shipped_configuration_is_in_section_5() {
    let text = plain(&page("man5/cdn-usaged.toml.5"));
    let shipped = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/default.toml")).unwrap();
    let mut found = 0;
    for section in shipped.lines().map(|l| l.trim_start_matches('#')).filter(|l| l.starts_with('[')) {
        assert!(text.contains(&format!(".SS {section}\n")), "{section}");
        found += 1;
    }
    assert!(found >= 9, "{found}");
}

#[test]
fn every_page_has_its_date_its_version_and_no_place_holder() {
    for Page { path, text } in man_pages(EDITION) {
        let title = text.lines().find(|line| line.starts_with(".TH ")).unwrap_or_else(|| panic!("{}", path.display()));
        let title = plain(title);
        assert!(title.contains(" 2026-01-31 \"cdn-usaged 1.2.3\" "), "{title}");
        assert!(!text.contains('@') || !text.contains("@KEYS@"), "{}", path.display());
        for holder in ["@DATE@", "@VERSION@", "@KEYS@"] {
            assert!(!text.contains(holder), "{}: {holder}", path.display());
        }
    }
}

#[test]
fn every_page_that_a_page_leads_to_exists_or_is_the_systems() {
    let pages = man_pages(EDITION);
    let names: BTreeSet<String> = pages
        .iter()
        .map(|page| {
            let file = page.path.file_name().unwrap().to_str().unwrap();
            let (name, section) = file.rsplit_once('.').unwrap();
            format!("{name}({section})")
        })
        .collect();
    let mut found = 0;
    for page in &pages {
        let text = plain(&page.text).replace(" (", "(");
        for word in text.split(|c: char| c.is_whitespace() || c == ',' || c == ';') {
            if word.starts_with("cdn-usaged") && word.contains('(') {
                assert!(names.contains(word.trim_end_matches('.')), "{}: {word}", page.path.display());
                found += 1;
            }
        }
    }
    assert!(found >= 20, "{found}");
}

#[test]
fn every_shell_completes_every_command() {
    let scripts = completions();
    let shells: Vec<_> = scripts.iter().map(|s| s.path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    assert_eq!(shells, ["bash", "zsh", "fish"]);
    for Page { path, text } in &scripts {
        each_command(&program(), &mut |command| {
            assert!(text.contains(command.get_name()), "{} lacks {}", path.display(), command.get_name());
        });
        assert!(text.contains("--abandoned") || text.contains("-l abandoned"), "{}", path.display());
    }
}

/// Runs a tool; none where it is not installed.
fn tool(name: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(name).args(arguments).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => Some(format!(
            "{}{}",
            if name == "mandoc" { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() },
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            // Past the capture of the test's output: a check that was not made is to be seen.
            let _ = writeln!(io::stderr(), "not run, as it is not installed: {name}");
            None
        }
        Err(e) => panic!("{name}: {e}"),
    }
}

#[test]
fn mandoc_and_man_have_no_warning() {
    let dir = tempfile::tempdir().unwrap();
    let lint = |path: &Path| {
        let path = path.to_str().unwrap();
        [
            ("mandoc", ["-T", "lint", "-W", "warning", path].as_slice()),
            ("man", &["--warnings", "-E", "UTF-8", "-l", path]),
        ]
        .map(|(name, arguments)| tool(name, arguments))
    };
    for page in man_pages(EDITION) {
        let path = dir.path().join(page.path.file_name().unwrap());
        fs::write(&path, page.text).unwrap();
        for said in lint(&path).into_iter().flatten() {
            assert_eq!(said, "", "{}", page.path.display());
        }
    }
    // Shows that they look.
    let path = dir.path().join("wrong.1");
    fs::write(&path, ".TH wrong 1\n.SH NAME\nwrong \\- wrong\n.nosuch\n\\[nosuch]\n.br\n.sp\n").unwrap();
    for said in lint(&path).into_iter().flatten() {
        assert_ne!(said, "");
    }
}
