//! What is wrong with a configuration, in the words that the user sees.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

/// A configuration that cannot be used. The text may span lines: one for each problem.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "the configuration {} cannot be read: {error}; {}or name another with --config PATH or CDN_USAGED_CONFIG",
        path.display(),
        if error.kind() == io::ErrorKind::NotFound {
            "create it (config/default.toml and config/examples/ in the sources show how), "
        } else {
            "see that it is a file and that this user may read it, "
        }
    )]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A file of `conf.d`, or that folder, cannot be read.
    #[error(
        "the configuration {} cannot be read: {error}; mend it, or take it out of {} (every file there that ends in .toml \
         is read)",
        path.display(),
        folder.display()
    )]
    UnreadablePart {
        /// What cannot be read.
        path: PathBuf,
        /// The folder of the parts.
        folder: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The files were read, and these problems were found in them.
    #[error("{}", Lines { files, problems })]
    Invalid {
        /// The files, in the order in which they count.
        files: Vec<PathBuf>,
        /// At least one, in the order of the files.
        problems: Vec<Problem>,
    },
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// The full path of the key, such as `account[0].credentials.source`, counted from 0 in its own file; empty when there
    /// is none.
    pub key: String,
    /// What is wrong and what is allowed. Holds no line of the file, and no value where secrets are kept.
    pub what: String,
}

/// Where a problem was found. The order is the one in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In a line of a file.
    Line {
        /// Which of the files that were read.
        file: usize,
        /// From 1.
        line: usize,
    },
    /// Nowhere in particular in a file: something is missing.
    File {
        /// Which of the files that were read.
        file: usize,
    },
    /// In a variable of the environment, not in the file.
    Environment,
}

struct Lines<'a> {
    files: &'a [PathBuf],
    problems: &'a [Problem],
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Problem { place, key, what }) in self.problems.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            let path = |file: usize| self.files.get(file).map_or(Path::new("?"), PathBuf::as_path).display();
            match *place {
                Place::Line { file, line } => write!(f, "{}:{line}: ", path(file))?,
                Place::File { file } => write!(f, "{}: ", path(file))?,
                Place::Environment => f.write_str("environment: ")?,
            }
            if !key.is_empty() {
                write!(f, "{key}: ")?;
            }
            f.write_str(what)?;
        }
        Ok(())
    }
}
