//! From a file to a [`Config`], or to everything that is wrong with it.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use toml::de::DeTable;

use super::{
    Config, ConfigError, Environment, account,
    error::{Place, Problem},
    reader::{Problems, Section},
    sections,
};

/// The largest file that is read, in bytes: a thousand accounts need a few hundred KiB.
const FILE_MAX_BYTES: u64 = 4 << 20;

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// When it cannot be read, or with every problem that was found in it.
    pub fn load(path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        let text = read(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
        Self::parse(&text, path, env)
    }

    /// Checks a text; `path` is only named in messages.
    ///
    /// # Errors
    /// With every problem that was found.
    pub fn parse(text: &str, path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        check(text, env).map_err(|problems| ConfigError::Invalid { path: path.to_owned(), problems })
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILE_MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn check(text: &str, env: &Environment) -> Result<Config, Vec<Problem>> {
    let problems = Problems::new(text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(e) => {
            // Only the parser's own words: its display quotes the line, which may hold a pasted secret.
            let place = e.span().map_or(Place::File, |span| problems.line(span.start));
            problems.add(place, "", format!("not valid TOML: {}", e.message()));
            return Err(problems.into_found());
        }
    };
    let mut root = Section::root(&problems, document.get_ref());
    let config = Config {
        storage: sections::storage(root.section("storage"), env),
        poll: sections::poll(root.section("poll")),
        rate_limit: sections::rate_limit(root.section("rate_limit")),
        retry: sections::retry(root.section("retry")),
        download: sections::download(root.section("download")),
        log: sections::log(root.section("log"), env),
        http: sections::http(root.section("http")),
        accounts: account::accounts(&mut root),
    };
    root.finish();
    let found = problems.into_found();
    if found.is_empty() { Ok(config) } else { Err(found) }
}
