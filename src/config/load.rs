//! From files to a [`Config`], or to everything that is wrong with them.

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::{
    Config, ConfigError, Entry, Environment, account,
    error::{Place, Problem},
    network,
    parts::{self, Part},
    reader::{Reading, Section},
    sections,
};

/// A configuration, and how it came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The files that were read: the one that was named, then those of `conf.d`, in the order in which they count.
    pub files: Vec<PathBuf>,
    /// Every key, and where it comes from.
    pub entries: Vec<Entry>,
}

impl Loaded {
    /// Reads and checks a file, and those of the folder `conf.d` beside it.
    ///
    /// # Errors
    /// When one cannot be read, or with every problem that was found in them.
    pub fn load(path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        Self::of(parts::read(path)?, env)
    }

    pub(super) fn of(parts: Vec<Part>, env: &Environment) -> Result<Self, ConfigError> {
        let files = parts.iter().map(|part| part.path.clone()).collect();
        let (config, entries, problems) = read(&parts, env);
        match config.filter(|_| problems.is_empty()) {
            Some(config) => Ok(Self { config, files, entries }),
            None => Err(ConfigError::Invalid { files, problems }),
        }
    }
}

impl Config {
    /// Reads and checks a file, and those of the folder `conf.d` beside it.
    ///
    /// # Errors
    /// When one cannot be read, or with every problem that was found in them.
    pub fn load(path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        Loaded::load(path, env).map(|loaded| loaded.config)
    }

    /// Checks a text; `path` is only named in messages.
    ///
    /// # Errors
    /// With every problem that was found.
    pub fn parse(text: &str, path: &Path, env: &Environment) -> Result<Self, ConfigError> {
        let part = Part { path: path.to_owned(), text: text.to_owned() };
        Loaded::of(vec![part], env).map(|loaded| loaded.config)
    }
}

/// What the parts say, and what is wrong with them. Without a configuration where one is no TOML.
pub(super) fn read(parts: &[Part], env: &Environment) -> (Option<Config>, Vec<Entry>, Vec<Problem>) {
    let reading = Reading::new(parts.iter().map(|part| part.text.as_str()).collect());
    let mut documents = Vec::new();
    for (file, part) in parts.iter().enumerate() {
        match DeTable::parse(&part.text) {
            Ok(document) => documents.push(document.into_inner()),
            Err(e) => {
                // Only the parser's own words: its display quotes the line, which may hold a pasted secret.
                let place = e.span().map_or(Place::File { file }, |span| reading.line(file, span.start));
                reading.add(place, "", format!("not valid TOML: {}", e.message()));
            }
        }
    }
    let config = (documents.len() == parts.len()).then(|| {
        let mut root = Section::root(&reading, documents.iter());
        let config = Config {
            storage: sections::storage(root.section("storage"), env),
            poll: sections::poll(root.section("poll")),
            rate_limit: sections::rate_limit(root.section("rate_limit")),
            retry: sections::retry(root.section("retry")),
            download: sections::download(root.section("download")),
            log: sections::log(root.section("log"), env),
            http: sections::http(root.section("http")),
            gateway: network::gateway(root.section("gateway")),
            tls: network::tls(root.section("tls")),
            accounts: account::accounts(&mut root),
        };
        root.finish();
        config
    });
    let (problems, entries) = reading.into_found();
    (config, entries, problems)
}
