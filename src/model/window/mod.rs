//! Completeness: (what is expected, what the store knows, now) -> the state of every month or day, and why.
//!
//! An [`Expectation`] has windows, months or days in its zone, each of which begins where the one before it ends.
//! [`assess`] holds what is known of the listing's tasks against them. It is the only rule there is: commands, metrics,
//! log lines and the status page show what it says, in the [`words`] that it has.

mod assess;
mod deadline;
mod expectation;
mod facts;
mod news;
mod span;
mod summary;
pub mod words;

pub use self::{
    assess::{Assessed, Counts, Early, Ignored, State, Undelivered, WindowState, assess},
    deadline::{EXPORT_MAX, Horizon},
    expectation::{DataType, Expectation, Kind, NamePattern, Window},
    facts::{DownloadFacts, Fate, FileFacts, TaskFacts},
    news::{News, news},
    span::Span,
    summary::Summary,
};

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
