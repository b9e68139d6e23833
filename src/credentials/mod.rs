//! Where an account's keys come from: one file per source, one door.
//!
//! Nothing is kept between two calls of [`Provider::get`]: keys that were rotated are seen at their next use.

mod chain;
mod env;
mod error;
mod files;
mod ini;
mod profile;

#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf};

use secrecy::SecretString;

pub use self::error::{CredentialsError, Kind};
use crate::config::{Account, CredentialSource, Environment};

/// Keys for one call.
#[derive(Clone)]
pub struct Credentials {
    /// Names the key; goes out with every call.
    pub access_key_id: String,
    /// Signs.
    pub access_key_secret: SecretString,
    /// Belongs to temporary keys, which do not work without it.
    pub security_token: Option<SecretString>,
    /// The source that had them, for people: holds no key.
    pub origin: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &"[redacted]")
            .field("access_key_secret", &"[redacted]")
            .field("security_token", &self.security_token.as_ref().map(|_| "[redacted]"))
            .field("origin", &self.origin)
            .finish()
    }
}

/// Finds the keys of one account.
#[derive(Debug, Clone)]
pub struct Provider {
    source: CredentialSource,
    env: Environment,
}

/// Refuses keys that are open to others, of any of these accounts, before anything starts.
///
/// # Errors
/// Names the account and the file, and says how to mend it.
pub fn refuse_open(accounts: &[Account], environment: &Environment) -> Result<(), String> {
    for account in accounts {
        Provider::new(account.credentials.clone(), environment.clone())
            .check_modes()
            .map_err(|e| format!("account {}: {e}", account.name))?;
    }
    Ok(())
}

impl Provider {
    /// A provider for a configured source. Reads nothing yet.
    #[must_use]
    pub const fn new(source: CredentialSource, env: Environment) -> Self {
        Self { source, env }
    }

    /// The keys as they are now.
    ///
    /// # Errors
    /// When there are none, or they cannot be used; the text says where they were looked for and what to do.
    pub async fn get(&self) -> Result<Credentials, CredentialsError> {
        let this = self.clone();
        // Homes and secret mounts may be on a network, where a read blocks.
        let read = tokio::task::spawn_blocking(move || this.read()).await;
        read.unwrap_or_else(|e| {
            Err(CredentialsError::new(Kind::Unreadable, format!("reading the credentials did not end: {e}")))
        })
    }

    /// Refuses a secret that others may read, as [`Provider::get`] would, for the start of the program. Files that
    /// are missing are left to `get`: they may still come.
    ///
    /// # Errors
    /// [`Kind::Open`], with how to mend it.
    pub fn check_modes(&self) -> Result<(), CredentialsError> {
        match self.files() {
            Some(files) => files.check_modes(),
            None => Ok(()),
        }
    }

    /// The files whose change may bring other keys, whether or not they exist.
    #[must_use]
    pub fn watched_paths(&self) -> Vec<PathBuf> {
        match &self.source {
            CredentialSource::Env => Vec::new(),
            CredentialSource::Files { .. } => self.files().map(|files| files.paths()).unwrap_or_default(),
            CredentialSource::Default | CredentialSource::Profile { .. } => profile::paths(&self.env),
        }
    }

    fn read(&self) -> Result<Credentials, CredentialsError> {
        match &self.source {
            CredentialSource::Default => chain::read(None, true, &self.env),
            CredentialSource::Profile { profile } => chain::read(profile.as_deref(), false, &self.env),
            CredentialSource::Env => env::read(&self.env)?.ok_or_else(env::missing),
            CredentialSource::Files { .. } => match self.files() {
                Some(files) => files.read(),
                None => Err(CredentialsError::new(Kind::NotFound, "no files are configured")),
            },
        }
    }

    fn files(&self) -> Option<files::Files<'_>> {
        let CredentialSource::Files {
            access_key_id_file,
            access_key_secret_file,
            security_token_file,
            allow_open_files,
        } = &self.source
        else {
            return None;
        };
        Some(files::Files {
            access_key_id: access_key_id_file,
            access_key_secret: access_key_secret_file,
            security_token: security_token_file.as_deref(),
            allow_open: *allow_open_files,
            env: &self.env,
        })
    }
}

/// Keys as a source has them, which may be incomplete.
struct Found {
    access_key_id: Option<String>,
    access_key_secret: Option<String>,
    security_token: Option<String>,
}

impl Found {
    /// Nothing when neither key is there.
    ///
    /// # Errors
    /// When only one is, or one holds what no key does. `names` are those of the id, the secret and the token.
    fn complete(self, origin: String, names: [&str; 3]) -> Result<Option<Credentials>, CredentialsError> {
        let [id_name, secret_name, token_name] = names;
        let (id, secret) = match (filled(self.access_key_id), filled(self.access_key_secret)) {
            (None, None) => return Ok(None),
            (Some(id), Some(secret)) => (id, secret),
            (id, _) => {
                let (there, missing) = if id.is_some() { (id_name, secret_name) } else { (secret_name, id_name) };
                let text = format!("{there} is set in {origin}, but {missing} is not; both are needed");
                return Err(CredentialsError::new(Kind::Incomplete, text));
            }
        };
        let token = filled(self.security_token);
        for (name, value) in [(id_name, Some(&id)), (secret_name, Some(&secret)), (token_name, token.as_ref())] {
            if value.is_some_and(|v| !is_key(v)) {
                let text = format!("{name} in {origin} holds a blank or a control character, which no key has");
                return Err(CredentialsError::new(Kind::Unreadable, text));
            }
        }
        Ok(Some(Credentials {
            access_key_id: id,
            access_key_secret: secret.into(),
            security_token: token.map(SecretString::from),
            origin,
        }))
    }
}

/// Without the blanks around it; nothing when nothing is left.
fn filled(text: Option<String>) -> Option<String> {
    let text = text?;
    let trimmed = text.trim();
    if trimmed.is_empty() { None } else { Some(trimmed.to_owned()) }
}

/// Keys and tokens are printable ASCII without blanks.
fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
