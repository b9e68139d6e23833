//! Tells what happens, as it happens: the message of each event that a spectator cares about.

use std::{
    fmt,
    io::{self, Write as _},
};

use tokio::time::Instant;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::{cli::progress::Bars, clock, text};

/// Writes to standard output, above the bars.
#[derive(Debug, Clone)]
pub(super) struct Narrator {
    bars: Bars,
    began: Instant,
}

#[derive(Default)]
struct Told {
    event: String,
    message: String,
    changed: u64,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "event" => value.clone_into(&mut self.event),
            "message" => value.clone_into(&mut self.message),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "changed" {
            self.changed = value;
        }
    }
}

impl Narrator {
    pub(super) fn new(bars: Bars) -> Self {
        Self { bars, began: clock::instant() }
    }

    /// The layer that listens.
    pub(super) fn layer<S: Subscriber>(&self) -> impl Layer<S> {
        Listener(self.clone())
    }

    /// One line, with the time since the beginning.
    pub(super) fn say(&self, line: &str) {
        let line = format!("{:6.1} s  {}\n", self.began.elapsed().as_secs_f64(), text::visible(&text::redact(line)));
        // Nobody may be reading; the outcome is told by the exit status all the same.
        self.bars.above(|| drop(io::stdout().write_all(line.as_bytes())));
    }
}

struct Listener(Narrator);

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() > Level::INFO {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        // A poll that found nothing new, several times a second, is no news.
        let quiet = told.event == "poll.completed" && told.changed == 0;
        if !quiet && !told.event.is_empty() {
            self.0.say(&told.message);
        }
    }
}
