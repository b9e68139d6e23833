//! What a source comes to: keys that are there, or a recipe by which they are fetched.
//!
//! Making a plan reads the environment and files, and nothing else; so it is made anew at every use, and a recipe that
//! is another one than before is seen at once. Only what a recipe brought is kept.

use std::{fmt, path::PathBuf, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;

use super::{Credentials, CredentialsError, Kind, chain, env, files, metadata, role, uri};
use crate::config::{CredentialSource, Environment};

/// Where a plan may look, and where roles are assumed.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) env: &'a Environment,
    /// The account's own STS endpoint, before any region.
    pub(super) sts: Option<&'a Url>,
}

/// Keys, or how to come by them.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    Keys(Credentials),
    Fetch(Fetch),
}

/// Recipes to try in this order until one brings keys.
#[derive(Debug, Clone)]
pub(super) struct Fetch {
    pub(super) recipes: Vec<Recipe>,
    /// What the official chain looked for before, in words for people; empty where one source was named.
    pub(super) looked: Vec<String>,
}

/// How temporary keys are fetched.
#[derive(Debug, Clone)]
pub(super) enum Recipe {
    /// From the metadata service of the machine.
    Ecs { role_name: Option<String>, allows_v1: bool },
    /// For the token of an identity provider.
    Oidc { role: Role, provider_arn: String, token_file: PathBuf },
    /// With other keys.
    Role { role: Role, base: Box<Plan> },
    /// From an address that answers with keys.
    Uri(Address),
}

/// A role that is assumed, and where.
#[derive(Debug, Clone)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: String,
    pub(super) duration: Option<Duration>,
    pub(super) policy: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) sts: Url,
}

/// An address that answers with keys. Its query and user info may be secrets.
#[derive(Clone)]
pub(super) struct Address(pub(super) Url);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.origin().ascii_serialization())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl Plan {
    /// What a source comes to now.
    pub(super) fn of(source: &CredentialSource, around: Around<'_>) -> Result<Self, CredentialsError> {
        Self::below(source, around, false)
    }

    /// As [`Plan::of`]; `takes_role` when the variable of the role names another one, that is assumed with this.
    fn below(source: &CredentialSource, around: Around<'_>, takes_role: bool) -> Result<Self, CredentialsError> {
        match source {
            CredentialSource::Default => chain::official(around, takes_role),
            CredentialSource::Profile { profile } => chain::profiles(profile.as_deref(), around),
            CredentialSource::Env => env::read(around.env)?.map(Self::Keys).ok_or_else(env::missing),
            CredentialSource::Files(configured) => files::Files::new(configured, around.env).read().map(Self::Keys),
            CredentialSource::EcsRamRole { role_name, disable_imds_v1 } => {
                metadata::recipe(role_name.as_deref(), *disable_imds_v1, around.env).map(Self::from)
            }
            CredentialSource::OidcRole { role, oidc_provider_arn, oidc_token_file } => {
                role::oidc(role, oidc_provider_arn.as_deref(), oidc_token_file.as_deref(), around).map(Self::from)
            }
            CredentialSource::RamRole { role, base } => {
                let takes_role = role.role_arn.is_none();
                let role = role::configured(role, "ram-role", around)?;
                let base = Box::new(Self::below(base, around, takes_role)?);
                Ok(Recipe::Role { role, base }.into())
            }
            CredentialSource::Uri { uri } => uri::recipe(uri.as_ref(), around.env).map(Self::from),
        }
    }

    fn feed(&self, digest: &mut Digester) {
        match self {
            Self::Keys(keys) => {
                digest.add("keys", Some(&keys.access_key_id));
                digest.add("secret", Some(keys.access_key_secret.expose_secret()));
                digest.add("token", keys.security_token.as_ref().map(|t: &SecretString| t.expose_secret()));
            }
            Self::Fetch(fetch) => fetch.recipes.iter().for_each(|recipe| recipe.feed(digest)),
        }
    }
}

impl From<Recipe> for Plan {
    fn from(recipe: Recipe) -> Self {
        Self::Fetch(Fetch { recipes: vec![recipe], looked: Vec::new() })
    }
}

impl Fetch {
    /// The same for the same recipes. It covers the keys with which a role is assumed, so that keys that were rotated
    /// are another recipe, and is no way back to them.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let mut digest = Digester(Sha256::new());
        self.recipes.iter().for_each(|recipe| recipe.feed(&mut digest));
        digest.0.finalize().into()
    }

    /// Why no recipe of the official chain brought keys.
    pub(super) fn nothing_found(&self, failed: &[String]) -> CredentialsError {
        let looked: Vec<&str> = self.looked.iter().chain(failed).map(String::as_str).collect();
        chain::not_found(&looked.join(", "), true)
    }

    /// Whether other recipes may be tried after one that found nothing.
    pub(super) fn is_chain(&self) -> bool {
        !self.looked.is_empty()
    }
}

impl Recipe {
    /// What the keys are called that it brings, for people.
    pub(super) fn origin(&self) -> String {
        match self {
            Self::Ecs { role_name: Some(name), .. } => format!("the instance role {name} (ECS metadata)"),
            Self::Ecs { role_name: None, .. } => "the instance role (ECS metadata)".to_owned(),
            Self::Oidc { role, .. } => format!("the role {} (OIDC)", role.arn),
            Self::Role { role, base } => match base.as_ref() {
                Plan::Keys(keys) => format!("the role {} (assumed with {})", role.arn, keys.origin),
                Plan::Fetch(fetch) => {
                    let base = fetch.recipes.first().map(Self::origin).unwrap_or_default();
                    format!("the role {} (assumed with {base})", role.arn)
                }
            },
            Self::Uri(address) => format!("the credentials URI at {address}"),
        }
    }

    fn feed(&self, digest: &mut Digester) {
        match self {
            Self::Ecs { role_name, allows_v1 } => {
                digest.add("ecs", role_name.as_deref());
                digest.add("v1", allows_v1.then_some(""));
            }
            Self::Oidc { role, provider_arn, token_file } => {
                digest.add("oidc", Some(provider_arn));
                digest.add("file", Some(&token_file.to_string_lossy()));
                role.feed(digest);
            }
            Self::Role { role, base } => {
                role.feed(digest);
                base.feed(digest);
            }
            Self::Uri(address) => digest.add("uri", Some(address.0.as_str())),
        }
    }
}

impl Role {
    fn feed(&self, digest: &mut Digester) {
        let duration = self.duration.map(|d| d.as_secs().to_string());
        digest.add("role", Some(&self.arn));
        digest.add("session", Some(&self.session_name));
        digest.add("duration", duration.as_deref());
        digest.add("policy", self.policy.as_deref());
        digest.add("external", self.external_id.as_deref());
        digest.add("sts", Some(self.sts.as_str()));
    }
}

struct Digester(Sha256);

impl Digester {
    /// Lengths keep two neighbours from being taken for two others.
    fn add(&mut self, name: &str, value: Option<&str>) {
        self.0.update(name.as_bytes());
        self.0.update(value.map_or([0xff; 8], |v| (v.len() as u64).to_be_bytes()));
        self.0.update(value.unwrap_or_default().as_bytes());
    }
}

/// A recipe that cannot be made out: something is missing, or is not what it must be.
pub(super) fn incomplete(text: impl Into<String>) -> CredentialsError {
    CredentialsError::new(Kind::Incomplete, text)
}
