//! What is in force, and where each key of it comes from.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use toml::Value;
use url::Url;

use super::{HostRule, LogFormat, ProxyChoice, error::Place, units::show_duration};
use crate::model::task::{AccountName, Export};

/// A key as it is in force. The keys that are read are declared where they are read, in `sections.rs` and `account.rs`, and
/// nowhere else: this is their record.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The table, such as `poll` or `account[0].credentials`, accounts counted over all files.
    pub section: String,
    /// The key.
    pub key: &'static str,
    /// What it may be.
    pub(super) shape: Shape,
    /// What it is when no file and no variable says anything.
    pub(super) default: Option<Value>,
    /// What it is. Nothing: it is not set, and has no default.
    pub value: Option<Value>,
    /// Who says so.
    pub origin: Origin,
}

impl Entry {
    /// The full path, such as `account[0].credentials.source`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of a file.
    File {
        /// Which of the files that were read.
        file: usize,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: &'static str,
    },
}

impl From<Place> for Origin {
    fn from(place: Place) -> Self {
        match place {
            Place::Line { file, line } => Self::File { file, line },
            // A value always stands in a line.
            Place::File { file } => Self::File { file, line: 1 },
            Place::Environment => Self::Default,
        }
    }
}

/// What a key may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Text, one of these words where there are any.
    Text { words: &'static [&'static str] },
    /// A list of texts.
    Texts,
    /// A list of some of these words, at least one, each once.
    Words { words: &'static [&'static str] },
    /// True or false.
    Boolean,
    /// A whole number, both ends included.
    Integer { low: u32, high: u32 },
    /// Text such as "1m", both ends included.
    Duration { low: Duration, high: Duration },
    /// Text such as "1GiB", or a number of bytes, both ends included.
    Size { low: u64, high: u64 },
}

/// A value in the form in which a file would give it, from which the same value is read.
pub(super) trait Shown {
    /// Nothing when there is no value.
    fn shown(&self) -> Option<Value>;
}

/// What is written as text.
macro_rules! as_text {
    ($($kind:ty: $this:ident => $text:expr),* $(,)?) => {
        $(impl Shown for $kind {
            fn shown(&self) -> Option<Value> {
                let $this = self;
                Some(Value::String($text))
            }
        })*
    };
}
as_text! {
    String: s => s.clone(),
    &str: s => (*s).to_owned(),
    PathBuf: s => path_text(s),
    AccountName: s => s.to_string(),
    SocketAddr: s => s.to_string(),
    IpNet: s => s.to_string(),
    Duration: s => show_duration(*s),
    Export: s => s.as_str().to_owned(),
    LogFormat: s => s.as_str().to_owned(),
    HostRule: s => s.to_string(),
    Url: s => url_text(s),
}

impl Shown for ProxyChoice {
    fn shown(&self) -> Option<Value> {
        match self {
            Self::Direct => "none".shown(),
            Self::Url(url) => url.shown(),
        }
    }
}

impl Shown for bool {
    fn shown(&self) -> Option<Value> {
        Some(Value::Boolean(*self))
    }
}

impl Shown for u32 {
    fn shown(&self) -> Option<Value> {
        Some(Value::Integer(i64::from(*self)))
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Option<Value> {
        self.as_ref().and_then(Shown::shown)
    }
}

impl<T: Shown> Shown for Vec<T> {
    fn shown(&self) -> Option<Value> {
        Some(Value::Array(self.iter().filter_map(Shown::shown).collect()))
    }
}

/// A path came as text, so nothing is lost.
fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Without the slash that a parsed URL has, and nobody writes.
fn url_text(url: &Url) -> String {
    let text = url.as_str();
    if url.path() == "/" { text.strip_suffix('/').unwrap_or(text) } else { text }.to_owned()
}
