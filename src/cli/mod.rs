//! The commands, one file each, and what their outcomes mean to the shell.

mod args;
mod around;
mod calendar;
mod check;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod files;
mod gaps;
mod history;
mod once;
mod output;
mod owner;
mod progress;
mod retry;
mod run;
mod screen;
mod status;
mod table;
mod task_ref;
mod tasks;
mod verify;
mod why;
mod window_json;
mod windows;

#[cfg(test)]
mod golden_tests;

use std::{
    fmt,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use self::{
    args::{Cli, Command, ConfigCommand},
    progress::{AboveBars, Bars},
};
use crate::{
    assembly::AssemblyError,
    config::{ConfigError, Environment, Loaded},
    egress::EgressError,
    logging,
    store::{LockError, OpenError, StoreError},
    text::visible,
};

/// Exit status: another instance holds the state directory (`EX_TEMPFAIL`).
const HELD: u8 = 75;
/// Exit status: the configuration is not valid, or a secret is open to others (`EX_CONFIG`).
const CONFIG: u8 = 78;

/// Why a command ends with something else than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    status: u8,
    /// Empty when what there is to say has been said.
    text: String,
}

impl Failure {
    /// Any failure: status 1.
    fn other(error: impl fmt::Display) -> Self {
        Self { status: 1, text: error.to_string() }
    }

    /// Wrong usage: status 2.
    fn usage(error: impl fmt::Display) -> Self {
        Self { status: 2, text: error.to_string() }
    }

    /// A configuration that is not valid, or a secret that is open: status 78.
    fn config(error: impl fmt::Display) -> Self {
        Self { status: CONFIG, text: error.to_string() }
    }

    /// What there is to say.
    fn text(&self) -> &str {
        &self.text
    }

    /// Status 1 after everything has been said.
    const fn silent() -> Self {
        Self { status: 1, text: String::new() }
    }
}

impl From<ConfigError> for Failure {
    fn from(e: ConfigError) -> Self {
        Self::config(e)
    }
}

impl From<LockError> for Failure {
    fn from(e: LockError) -> Self {
        let status = if matches!(e, LockError::Held { .. }) { HELD } else { 1 };
        Self { status, text: e.to_string() }
    }
}

/// Errors that are status 1 and say themselves what to do.
macro_rules! other {
    ($($error:ty),*) => { $(impl From<$error> for Failure {
        fn from(e: $error) -> Self {
            Self::other(e)
        }
    })* };
}
other!(AssemblyError, OpenError, StoreError, EgressError, io::Error);

/// What the command line takes: for man pages and completions.
#[must_use]
pub fn command_line() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Parses the arguments, runs the command, and turns its outcome into an exit status.
#[must_use]
pub fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Whoever read our output has gone, as `head` does: nobody is left to complain to.
            if !failure.text.is_empty() && failure.text != output::BROKEN_PIPE {
                // Line by line: the text's own ends of lines are meant.
                let lines: Vec<_> = failure.text.split('\n').map(visible).collect();
                let _ = writeln!(io::stderr(), "cdn-usaged: {}", lines.join("\n"));
            }
            ExitCode::from(failure.status)
        }
    }
}

fn start() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // A reload in the first milliseconds must not end a daemon: its handlers come before its arguments are read.
    let may_run = std::env::args_os().any(|argument| argument == "run");
    let signals = may_run.then(|| runtime.block_on(async { run::Signals::install() })).transpose()?;
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(e) => {
            // Help and version are no errors, and go to standard output.
            let _ = e.print();
            let status = u8::try_from(e.exit_code()).unwrap_or(2);
            return if status == 0 { Ok(()) } else { Err(Failure { status, text: String::new() }) };
        }
    };
    let outcome = command(cli, &runtime, signals);
    // What still runs on a thread of its own after a second signal is not waited for.
    runtime.shutdown_background();
    outcome
}

fn command(cli: Cli, runtime: &tokio::runtime::Runtime, signals: Option<run::Signals>) -> Result<(), Failure> {
    #[cfg(feature = "demo")]
    if let Command::Demo(args) = &cli.command {
        return demo::run(args);
    }
    if let Command::Config(ConfigCommand::Schema) = &cli.command {
        return config::write_schema();
    }
    let environment = Environment::process();
    let loaded = Loaded::load(&cli.config, &environment)?;
    if let Command::Config(ConfigCommand::Show(args)) = &cli.command {
        return config::show(&loaded, args);
    }
    let Loaded { config, files, .. } = loaded;
    let bars = Bars::new();
    let log = logging::init(&config.log, AboveBars(bars.clone())).map_err(Failure::config)?;
    runtime.block_on(async {
        match cli.command {
            Command::Run(args) => {
                owner::refuse_root(&cli.config, &config.storage.state_dir, "run", args.as_root)?;
                let signals = signals.map_or_else(run::Signals::install, Ok)?;
                run::run(&cli.config, config, environment, log, signals).await
            }
            Command::Once(args) => once::run(&cli.config, config, environment, &args, &bars).await,
            Command::Check(args) => check::run(&files, &config, environment, &args).await,
            Command::Status(args) => status::run(&cli.config, &config, &args).await,
            Command::Tasks(args) => tasks::run(&config, &args).await,
            Command::History(args) => history::run(&config, &args).await,
            Command::Why(args) => why::run(&config, &args).await,
            Command::Files(args) => files::run(&config, &args).await,
            Command::Gaps(args) => gaps::run(&config, &args).await,
            Command::Calendar(args) => calendar::run(&config, &args).await,
            Command::Retry(args) => retry::run(&cli.config, &config, &args).await,
            Command::Verify(args) => verify::run(&config, &args).await,
            // Answered above.
            Command::Config(_) => Ok(()),
            #[cfg(feature = "demo")]
            Command::Demo(_) => Ok(()),
        }
    })
}
