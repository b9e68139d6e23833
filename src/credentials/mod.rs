//! Where an account's keys come from: one file per source, one door.
//!
//! ```text
//!  source ──> plan ──> keys                     (environment, files, profiles: read anew at every use)
//!               └────> recipe ──> keeper ──> metadata, sts, uri     (fetched, and kept until they are due)
//! ```
//!
//! What is on this machine is never kept between two calls of [`Provider::get`]: keys that were rotated are seen at
//! their next use, and a recipe that has changed is another recipe.

mod answer;
mod chain;
mod env;
mod error;
mod files;
mod ini;
mod keeper;
mod metadata;
mod plan;
mod profile;
mod proxy;
mod role;
mod sts;
mod uri;

#[cfg(test)]
mod tests;

use std::{fmt, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

pub use self::{
    error::{CredentialsError, Kind},
    keeper::{Change, Observer},
    proxy::proxy_login,
    sts::{Asked, Caller},
};
use self::{
    files::Files,
    keeper::Keeper,
    plan::{Around, Plan},
    sts::Http,
};
use crate::{
    config::{Account, CredentialSource, Environment},
    egress::{self, Api, EgressError},
    model::task::AccountName,
    rpc,
};

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
    /// When they end; none for keys that last, and for temporary ones that somebody else put there.
    pub expires_at: Option<Timestamp>,
}

impl Credentials {
    /// What signs a call.
    pub(crate) fn keys(&self) -> rpc::Keys<'_> {
        rpc::Keys {
            id: &self.access_key_id,
            secret: self.access_key_secret.expose_secret(),
            token: self.security_token.as_ref().map(|token| token.expose_secret()),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &"[redacted]")
            .field("access_key_secret", &"[redacted]")
            .field("security_token", &self.security_token.as_ref().map(|_| "[redacted]"))
            .field("origin", &self.origin)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

/// Finds the keys of one account. Clones share what was fetched.
#[derive(Clone)]
pub struct Provider {
    source: CredentialSource,
    env: Environment,
    sts: Option<Url>,
    keeper: Arc<Keeper>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("source", &self.source).finish_non_exhaustive()
    }
}

/// What is outside of this process and its files: who hands out temporary keys, and how they are asked.
#[derive(Debug, Clone)]
pub struct Outside {
    sts: Option<Url>,
    http: Http,
}

impl Outside {
    /// `api` asks STS and credentials URIs; `sts` is where the account assumes roles, if not where the source says.
    ///
    /// # Errors
    /// When no HTTP client can be built.
    pub fn new(api: impl Into<Api>, sts: Option<Url>) -> Result<Self, EgressError> {
        let local = egress::local_client(metadata::CONNECT_TIMEOUT)?;
        Ok(Self { sts, http: Http { api: api.into(), local, metadata: metadata::ORIGIN } })
    }

    /// The same with the metadata service elsewhere. No setting leads here: whoever could move it could hand out keys.
    #[cfg(test)]
    fn with_metadata(mut self, origin: &'static str) -> Self {
        self.http.metadata = origin;
        self
    }
}

/// Refuses keys that are open to others, of any of these accounts, before anything starts.
///
/// # Errors
/// Names the account and the file, and says how to mend it.
pub fn refuse_open(accounts: &[Account], environment: &Environment) -> Result<(), String> {
    for account in accounts {
        check_modes(&account.credentials, environment).map_err(|e| format!("account {}: {e}", account.name))?;
    }
    Ok(())
}

/// Refuses a secret that others may read, as [`Provider::get`] would, for the start of the program. Files that are
/// missing are left to `get`: they may still come.
fn check_modes(source: &CredentialSource, env: &Environment) -> Result<(), CredentialsError> {
    match source {
        CredentialSource::Files(configured) => Files::new(configured, env).check_modes(),
        CredentialSource::RamRole { base, .. } => check_modes(base, env),
        _ => Ok(()),
    }
}

/// The files whose change may bring other keys, whether or not they exist.
fn watched_paths(source: &CredentialSource, env: &Environment) -> Vec<PathBuf> {
    match source {
        CredentialSource::Env | CredentialSource::EcsRamRole { .. } | CredentialSource::Uri { .. } => Vec::new(),
        CredentialSource::Files(configured) => Files::new(configured, env).paths(),
        CredentialSource::Profile { .. } => profile::paths(env),
        CredentialSource::Default => {
            let mut paths = profile::paths(env);
            paths.extend(role::token_file(None, env));
            paths
        }
        CredentialSource::OidcRole { oidc_token_file, .. } => {
            role::token_file(oidc_token_file.as_deref(), env).into_iter().collect()
        }
        CredentialSource::RamRole { base, .. } => watched_paths(base, env),
    }
}

impl Provider {
    /// A provider for a configured source. Reads nothing yet.
    #[must_use]
    pub fn new(account: AccountName, source: CredentialSource, env: Environment, outside: Outside) -> Self {
        Self { source, env, sts: outside.sts, keeper: Arc::new(Keeper::new(account, outside.http)) }
    }

    /// Has every change of fetched keys told to `observer`.
    #[must_use]
    pub fn observed(self, observer: Observer) -> Self {
        self.keeper.observe(observer);
        self
    }

    /// The keys as they are now. Those of files, profiles and the environment are read anew; those that were fetched
    /// are kept until they are due.
    ///
    /// # Errors
    /// When there are none, or they cannot be used; the text says where they were looked for and what to do.
    pub async fn get(&self) -> Result<Credentials, CredentialsError> {
        match self.plan().await? {
            Plan::Keys(keys) => {
                self.keeper.not_needed();
                Ok(keys)
            }
            Plan::Fetch(fetch) => self.keeper.get(&fetch).await,
        }
    }

    /// The service refused these keys: if they were fetched, the next use fetches them anew.
    pub fn doubt(&self, keys: &Credentials) {
        self.keeper.doubt(keys);
    }

    /// Asks STS whose the keys are, and how far this machine's clock is off. Needs no permission.
    ///
    /// # Errors
    /// When there are no keys.
    pub async fn caller(&self) -> Result<(Credentials, Asked), CredentialsError> {
        let keys = self.get().await?;
        let around = Around { env: &self.env, sts: self.sts.as_ref() };
        let endpoint = role::endpoint(None, self.env.flag(role::VPC_ENDPOINT), around)?;
        let asked = sts::caller(&endpoint, &keys, self.keeper.http()).await;
        Ok((keys, asked))
    }

    /// The files whose change may bring other keys, whether or not they exist.
    #[must_use]
    pub fn watched_paths(&self) -> Vec<PathBuf> {
        watched_paths(&self.source, &self.env)
    }

    #[cfg(test)]
    fn check_modes(&self) -> Result<(), CredentialsError> {
        check_modes(&self.source, &self.env)
    }

    async fn plan(&self) -> Result<Plan, CredentialsError> {
        let (source, env, sts) = (self.source.clone(), self.env.clone(), self.sts.clone());
        // Homes and secret mounts may be on a network, where a read blocks.
        let made = tokio::task::spawn_blocking(move || Plan::of(&source, Around { env: &env, sts: sts.as_ref() }));
        made.await.unwrap_or_else(|e| {
            Err(CredentialsError::new(Kind::Unreadable, format!("reading the credentials did not end: {e}")))
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
            expires_at: None,
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
