//! Progress on a terminal: a bar of bytes for each transfer, under the lines that are logged. Elsewhere nothing is
//! drawn.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal as _, Write},
    time::Duration,
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::interval;
use tracing_subscriber::fmt::MakeWriter;

use crate::{fetch::Board, model::task::TaskKey, text};

/// How often the bars move: smooth to the eye, cheap to draw.
const TICK: Duration = Duration::from_millis(100);

/// The bars, and the writers whose lines do not mix with them.
#[derive(Debug, Clone)]
pub(crate) struct Bars(MultiProgress);

impl Bars {
    /// Bars on standard error, if that is a terminal.
    pub(crate) fn new() -> Self {
        let target = if io::stderr().is_terminal() {
            ProgressDrawTarget::stderr_with_hz(10)
        } else {
            ProgressDrawTarget::hidden()
        };
        Self(MultiProgress::with_draw_target(target))
    }

    /// Shows what is on the board until dropped.
    pub(crate) async fn follow(&self, board: &Board) {
        if self.0.is_hidden() {
            return std::future::pending().await;
        }
        let mut bars: BTreeMap<TaskKey, ProgressBar> = BTreeMap::new();
        let mut tick = interval(TICK);
        loop {
            tick.tick().await;
            let transfers = board.transfers();
            bars.retain(|key, bar| {
                let running = transfers.iter().any(|(other, _)| other == key);
                if !running {
                    bar.finish_and_clear();
                    self.0.remove(bar);
                }
                running
            });
            for (key, progress) in transfers {
                let bar = bars.entry(key.clone()).or_insert_with(|| self.0.add(bar_for(&key)));
                if let Some(total) = progress.total_bytes() {
                    bar.set_length(total);
                }
                bar.set_position(progress.done_bytes());
            }
        }
    }

    /// Runs what writes to the terminal while the bars are out of the way.
    pub(crate) fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the bars off the screen.
    pub(crate) fn clear(&self) {
        // What cannot be cleared was never drawn.
        let _ = self.0.clear();
    }
}

fn bar_for(key: &TaskKey) -> ProgressBar {
    let style = ProgressStyle::with_template("  {msg} [{bar:24}] {bytes}/{total_bytes} {bytes_per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0)
        .with_style(style.progress_chars("=> "))
        .with_message(text::visible(&key.to_string()).into_owned())
}

/// Writes whole lines to standard error, above the bars.
#[derive(Debug, Clone)]
pub(crate) struct AboveBars(pub(crate) Bars);

impl Write for AboveBars {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.above(|| io::stderr().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
