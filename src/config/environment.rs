//! What is read from the process environment, as a value: tests pass their own instead of changing the process's.

use std::{collections::HashMap, ffi::OsString, fmt, path::PathBuf, sync::Arc};

/// A look-up of environment variables. An empty variable counts as one that is not set, as in the official SDKs.
#[derive(Clone)]
pub struct Environment(Source);

#[derive(Clone)]
enum Source {
    Process,
    Given(Arc<HashMap<String, OsString>>),
}

impl Environment {
    /// The environment of this process, looked up at every use.
    #[must_use]
    pub const fn process() -> Self {
        Self(Source::Process)
    }

    /// These variables and no others.
    pub fn of<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<String>,
        V: Into<OsString>,
    {
        let given = variables.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        Self(Source::Given(Arc::new(given)))
    }

    /// No variable at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::of::<String, OsString>([])
    }

    /// A variable as text. One that is not UTF-8 counts as not set: none of those read as text can be.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.raw(name)?.into_string().ok()
    }

    /// A variable as a path.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.raw(name).map(PathBuf::from)
    }

    /// True when the variable reads `true` or `1`, in any case.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.text(name).is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1")
    }

    fn raw(&self, name: &str) -> Option<OsString> {
        let value = match &self.0 {
            Source::Process => std::env::var_os(name),
            Source::Given(map) => map.get(name).cloned(),
        };
        value.filter(|v| !v.is_empty())
    }
}

/// Never shows values: keys are among them.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Process => "Environment(process)",
            Source::Given(_) => "Environment(given)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_counts_as_unset_and_debug_shows_no_value() {
        let env = Environment::of([("A", ""), ("B", "MARK"), ("C", "TRUE")]);
        assert_eq!(env.text("A"), None);
        assert_eq!(env.path("A"), None);
        assert_eq!(env.text("B").as_deref(), Some("MARK"));
        assert_eq!(env.text("NOT_THERE"), None);
        assert!(env.flag("C") && !env.flag("B") && !env.flag("A"));
        assert!(!format!("{env:?}").contains("MARK"));
    }

    #[test]
    fn the_process_environment_is_really_read() {
        assert_eq!(Environment::process().path("PATH"), std::env::var_os("PATH").map(PathBuf::from));
        assert!(Environment::process().path("PATH").is_some());
    }
}
