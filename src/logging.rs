//! How log lines are written: JSON for machines, text for people, on standard error; or to the journal, with its fields.
//!
//! Every message and every value passes [`redact`](crate::text::redact), the last defence against a signed link in a line; and
//! nothing in a line can end it early or drive a terminal.

mod journal;
mod line;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use tracing::{Event, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, Registry,
    filter::Targets,
    fmt::MakeWriter,
    layer::{Context, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

use self::journal::Journal;
use crate::{
    clock,
    config::{Log, LogFormat},
};

/// The targets of this program begin with this.
const OURS: &str = "cdn_usaged";
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// Why logging cannot be set up, or a filter not be used.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// `log.level` or `CDN_USAGED_LOG` is wrong.
    #[error(
        "{0:?} is not a level or a filter; allowed: off, error, warn, info, debug, trace, or a comma list of \
         cdn_usaged[::module]=level"
    )]
    Filter(String),
    /// Logging was set up before.
    #[error("logging is set up already")]
    Twice,
    /// The subscriber that the handle belongs to is gone.
    #[error("logging has ended")]
    Gone,
}

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Json,
    /// One sentence a line, for people.
    Text {
        /// Whether the level is coloured.
        colour: bool,
    },
}

/// Changes the level while the program runs.
#[derive(Debug, Clone)]
pub struct Handle(reload::Handle<Targets, Registry>);

impl Handle {
    /// Takes another `log.level`.
    ///
    /// # Errors
    /// When it is not a level or a filter; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), LoggingError> {
        let filter = filter(level)?;
        self.0.reload(filter).map_err(|_| LoggingError::Gone)
    }
}

/// Sets up logging for the whole process. `writer` leads to standard error.
///
/// # Errors
/// When the filter or the format cannot be used, or logging was set up before.
pub fn init<W>(log: &Log, writer: W) -> Result<Handle, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let is_terminal = io::stderr().is_terminal();
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let plain = dumb || std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    let text = Format::Text { colour: is_terminal && !plain };
    let lines = match log.format {
        LogFormat::Text => Lines::written(text, writer),
        LogFormat::Json => Lines::written(Format::Json, writer),
        LogFormat::Journald => Lines::sent(journal::SOCKET.into(), writer),
        // First: a service may well have a terminal as its standard error, but then systemd names no journal for it.
        LogFormat::Auto if is_journal_here() => Lines::sent(journal::SOCKET.into(), writer),
        LogFormat::Auto if is_terminal => Lines::written(text, writer),
        LogFormat::Auto => Lines::written(Format::Json, writer),
    };
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter));
    subscriber.try_init().map_err(|_| LoggingError::Twice)?;
    Ok(Handle(handle))
}

/// The layer that writes lines, for a subscriber of one's own.
pub fn layer<S, W>(format: Format, filter: Targets, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    Lines::written(format, writer).with_filter(filter)
}

/// The layer that sends lines to the journal that listens at `socket`. A line that it does not take is written to
/// `writer` as JSON.
pub fn journald_layer<S, W>(socket: PathBuf, filter: Targets, writer: W) -> impl Layer<S>
where
    S: Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
{
    Lines::sent(socket, writer).with_filter(filter)
}

/// Whether systemd has connected standard error to the journal.
fn is_journal_here() -> bool {
    std::env::var("JOURNAL_STREAM").is_ok_and(|named| journal::is_stream(&named, io::stderr()))
}

/// Reads `log.level`: a level for this program's targets, or a comma list of `cdn_usaged[::module]=level`, in which
/// one bare level may stand for the targets that are not named. Everything else stays at warn.
///
/// # Errors
/// When it is neither.
pub fn filter(text: &str) -> Result<Targets, LoggingError> {
    let refused = || LoggingError::Filter(text.to_owned());
    let level = |word: &str| {
        let known = LEVELS.into_iter().find(|(name, _)| word.trim().eq_ignore_ascii_case(name));
        known.map(|(_, level)| level).ok_or_else(refused)
    };
    let mut filter = Targets::new().with_default(LevelFilter::WARN);
    for part in text.split(',') {
        let (target, word) = part.split_once('=').unwrap_or((OURS, part));
        let target = target.trim();
        let module = target.strip_prefix(OURS).ok_or_else(refused)?;
        let is_path = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        if !(module.is_empty() || module.len() > 2 && module.starts_with("::") && module.chars().all(is_path)) {
            return Err(refused());
        }
        filter = filter.with_target(target, level(word)?);
    }
    Ok(filter)
}

struct Lines<W> {
    /// Comes first; what it does not take is written.
    journal: Option<Journal>,
    format: Format,
    writer: W,
}

impl<W> Lines<W> {
    const fn written(format: Format, writer: W) -> Self {
        Self { journal: None, format, writer }
    }

    fn sent(socket: PathBuf, writer: W) -> Self {
        Self { journal: Journal::at(socket).ok(), format: Format::Json, writer }
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber,
    W: for<'w> MakeWriter<'w> + 'static,
{
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line::Line::of(event, clock::rfc3339(clock::now()));
        if self.journal.as_ref().is_some_and(|journal| journal.send(&line)) {
            return;
        }
        let mut bytes = match self.format {
            Format::Json => line.json(),
            Format::Text { colour } => line.text(colour),
        };
        bytes.push('\n');
        // One write for a line, so that lines of two threads do not mix. When it fails there is nowhere to say so.
        let _ = io::Write::write_all(&mut self.writer.make_writer_for(event.metadata()), bytes.as_bytes());
    }
}

#[cfg(test)]
pub(crate) mod tests;
