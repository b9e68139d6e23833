//! The command line, with help texts that teach.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What every use of the program begins with.
#[derive(Debug, Parser)]
#[command(
    name = "cdn-usaged",
    version,
    about = "Collects every Alibaba Cloud CDN usage export",
    long_about = "Collects every Alibaba Cloud CDN usage export.\n\n\
        CDN billing detail is exported as files: someone creates an export task, the cloud works on it, and once the task \
        has succeeded a link to its file appears in a listing for a while. This program reads the listings, records every \
        status change in a database, and downloads, verifies and archives each file.",
    after_help = "Exit status: 0 done, 1 failed or left undone, 2 wrong usage, 75 another instance holds the state \
        directory, 78 the configuration is not valid.\n\
        Results go to standard output, logs to standard error.",
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// The configuration file
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "CDN_USAGED_CONFIG",
        default_value = "/etc/cdn-usaged/config.toml"
    )]
    pub config: PathBuf,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon in the foreground, until SIGTERM or SIGINT
    #[command(long_about = "Run the daemon in the foreground, until SIGTERM or SIGINT.\n\n\
            Polls every listing on its beat, records what changes, and downloads each file as soon as it is there. SIGHUP \
            takes the configuration anew, but for storage, http and log.format; a wrong one is refused whole and the old \
            one stays. A second SIGTERM or SIGINT ends it at once.")]
    Run(RunArgs),
    /// Read every listing once, then download what is ready
    #[command(
        long_about = "Read every listing once, then download what is ready.\n\n\
            Sweeps every page of every configured listing, records what changed, and downloads the file of each task that \
            is listed as success and not yet stored, abandoned ones included. Does not wait for tasks that the cloud still \
            works on. A second run right after it does nothing.",
        after_help = "Exit status 0 only if every sweep saw the whole listing and every task listed as success is stored."
    )]
    Once(OnceArgs),
    /// Validate the configuration; with --online, also the keys and permissions
    #[command(long_about = "Validate the configuration; with --online, also the keys and permissions.\n\n\
            Without --online nothing leaves this machine. With it, STS is asked whose the keys of each account are, one signed \
            call is made for each listing, and what is missing is said: keys, a permission and the policy that gives it, the \
            network, or a clock that is off.")]
    Check(CheckArgs),
    /// Show on one screen how things are: listings, downloads, disk, and what comes next
    #[command(
        long_about = "Show on one screen how things are: listings, downloads, disk, and what comes next.\n\n\
            Whether an instance runs; when each listing was last read and when it comes next; how many tasks and downloads \
            there are of each kind; what is being downloaded and what is tried again when; what is free on the disks. The \
            last line says whether a person should look at anything. Only what is stored is read: it works while the daemon \
            runs and after it has stopped, and asks neither the daemon nor the cloud.",
        after_help = "Exit status: 0 whatever it shows. For alerts use `/healthz`, the metrics, or `healthy` of `--json`.\n\
            Times are local (TZ); the width is that of the terminal, or COLUMNS.\n\
            Examples:\n  cdn-usaged status\n  cdn-usaged status --json | jq .concerns"
    )]
    Status(StatusArgs),
    /// Show the configuration that is in force, or the schema for editors
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show tasks with their downloads
    #[command(
        long_about = "Show tasks with their downloads.\n\n\
            STATUS is the service's last word: created, success, failed, or whatever it sends next. STATE is ours: pending, \
            active, stored or abandoned. A narrow screen shows less of the names and files; a pipe and --json show all.",
        after_help = "Times are local (TZ), unless --utc; --json has them as stored, in UTC. The width is that of the \
            terminal, or COLUMNS.\n\
            Examples:\n  cdn-usaged tasks --status failed --since 7d\n  cdn-usaged tasks --state abandoned --json\n  \
            cdn-usaged tasks --since \"2026-01-31 14:00\" --account main"
    )]
    Tasks(TasksArgs),
    /// Show every transition, attempt and file of a task
    #[command(
        long_about = "Show every transition, attempt and file of a task, in the order in which they happened.\n\n\
            A transition is a change of the task that was seen in the listing; an attempt is one at downloading its file; a \
            file is a published revision. The request ids are what the vendor's support asks for.",
        after_help = "Times are local (TZ), unless --utc; --json has them as stored, in UTC.\n\
            Examples:\n  cdn-usaged history 34230590001\n  cdn-usaged history main/usage-detail/34230590001 --json"
    )]
    History(HistoryArgs),
    /// Say why a task is where it is, what was tried, and what happens next
    #[command(
        long_about = "Say why a task is where it is, what was tried, and what happens next.\n\n\
            Where the task stands, in words; the attempts at its file and what they failed of; what comes next and when; and, \
            where it does not go on by itself, what a person has to do, with the command. What comes is foretold from what is \
            stored and from the configuration: neither the daemon nor the cloud is asked.",
        after_help = "Times are local (TZ), unless --utc. With --json: the same as fields, and the sentences in `text`.\n\
            Examples:\n  cdn-usaged why 34230590001\n  cdn-usaged why main/usage/11 --json | jq -r .verdict"
    )]
    Why(WhyArgs),
    /// Show published files in the order of their ids
    #[command(
        long_about = "Show published files in the order of their ids.\n\n\
            A consumer remembers the last id that it has handled and asks for what came after it.",
        after_help = "Example:\n  cdn-usaged files --after 1200 --json"
    )]
    Files(FilesArgs),
    /// Show the expected months and days that are not archived, and what to do about each
    #[command(
        long_about = "Show the expected months and days that are not archived, and what to do about each.\n\n\
            What is expected is in [[account.expect]] of the configuration. Read-only: an export that lacks is named with the \
            parameters to create it with.",
        after_help = "Exit status 1 when a window is overdue, else 0: fit for cron.\n\
            Example:\n  cdn-usaged gaps --json"
    )]
    Gaps(GapsArgs),
    /// Show the state of every expected month and day at a glance
    #[command(
        long_about = "Show the state of every expected month and day at a glance.\n\n\
            A row for each year of months, or each month of days; a shape for each state, which the last line explains. \
            --json prints every window with the files that count.",
        after_help = "Example:\n  cdn-usaged calendar --account main --since 2025-01-01"
    )]
    Calendar(CalendarArgs),
    /// Put downloads back into the queue, also while the daemon runs
    #[command(long_about = "Put downloads back into the queue, also while the daemon runs.\n\n\
            A stored task's file is fetched again only if it is missing or damaged; a damaged one is first moved to \
            .damaged/ below the download folder. The next `once`, or the running daemon, does the work.")]
    Retry(RetryArgs),
    /// Hash the published files again and compare with what was recorded
    Verify(VerifyArgs),
    /// Watch the whole job against a simulated cloud: needs no account and no configuration
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// Run as root although another user owns the state directory
    #[arg(long)]
    pub as_root: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OnceArgs {
    /// Stop after this long, such as 30s, 10m or 2h
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<std::time::Duration>,
    /// Run as root although another user owns the state directory
    #[arg(long)]
    pub as_root: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Ask STS whose the keys are, and make one signed call for each listing
    #[arg(long)]
    pub online: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every key as it is in force, defaults included
    #[command(
        long_about = "Show every key as it is in force, defaults included.\n\n\
            The configuration file and those of conf.d beside it are read and checked as the daemon does it. What is printed is \
            a configuration that says the same. Secrets are never in it: there are none in what it is read from.",
        after_help = "Examples:\n  cdn-usaged config show --origin\n  cdn-usaged config show --json"
    )]
    Show(ConfigShowArgs),
    /// Write the JSON Schema of the configuration, for editors
    #[command(after_help = "Example:\n  cdn-usaged config schema >schema.json\n\n\
        A line \"#:schema ./schema.json\" at the beginning of a file tells editors where it is.")]
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct ConfigShowArgs {
    /// Say for each key where it comes from: default, FILE:LINE, or a variable of the environment
    #[arg(long)]
    pub origin: bool,
    /// Print one JSON object; with --origin one for each key, a line each
    #[arg(long)]
    pub json: bool,
}

/// An export, as the configuration spells it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ExportArg {
    UsageDetail,
    Usage,
}

impl ExportArg {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UsageDetail => "usage-detail",
            Self::Usage => "usage",
        }
    }
}

/// A state of a download.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StateArg {
    Pending,
    Active,
    Stored,
    Abandoned,
}

impl StateArg {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Stored => "stored",
            Self::Abandoned => "abandoned",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TasksArgs {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Only this export
    #[arg(long, value_enum)]
    pub export: Option<ExportArg>,
    /// Only this status, the service's word: created, success, failed or another
    #[arg(long, value_name = "WORD")]
    pub status: Option<String>,
    /// Only this state of the download
    #[arg(long, value_enum)]
    pub state: Option<StateArg>,
    /// Only tasks whose newest transition is not older: a day or time (2026-01-31, "2026-01-31 14:00", 2026-01-31T14:00:00Z) or how long ago (7d, 12h)
    #[arg(long, value_name = "TIME_OR_DURATION")]
    pub since: Option<String>,
    /// Show times in UTC, and take those of --since as such
    #[arg(long)]
    pub utc: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// ID, or ACCOUNT/EXPORT/ID where an id occurs more than once
    pub task: String,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// ID, or ACCOUNT/EXPORT/ID where an id occurs more than once
    pub task: String,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// Only files with a larger id
    #[arg(long, value_name = "ID", default_value_t = 0)]
    pub after: i64,
    /// Show times in UTC
    #[arg(long)]
    pub utc: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct GapsArgs {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Only this export
    #[arg(long, value_enum)]
    pub export: Option<ExportArg>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CalendarArgs {
    /// Only this account
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// Only this export
    #[arg(long, value_enum)]
    pub export: Option<ExportArg>,
    /// Only windows that begin on this day or later, such as 2026-01-31; by default those of the last twelve months
    #[arg(long, value_name = "DAY")]
    pub since: Option<String>,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    /// ID, or ACCOUNT/EXPORT/ID where an id occurs more than once
    #[arg(value_name = "TASK", required_unless_present = "abandoned", conflicts_with = "abandoned")]
    pub tasks: Vec<String>,
    /// Every abandoned download
    #[arg(long)]
    pub abandoned: bool,
    /// Run as root although another user owns the state directory
    #[arg(long)]
    pub as_root: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Print one JSON object a line, for every file
    #[arg(long)]
    pub json: bool,
}

#[cfg(feature = "demo")]
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Where to put the files and the database; a fresh folder below the temporary folder by default
    #[arg(long, value_name = "PATH")]
    pub dir: Option<PathBuf>,
}

/// A length of time, as the configuration spells it.
pub(crate) fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::config::parse_duration(text)
}
