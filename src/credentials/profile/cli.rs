//! The modes of the CLI's profiles.

use std::{path::Path, time::Duration};

use serde_json::Value;

use super::{Looked, unsupported};
use crate::credentials::{
    CredentialsError, Found, Kind, filled, metadata,
    plan::{Around, Plan, Recipe, Role, incomplete},
    role, uri,
};

/// A profile may name another one to assume its role with, and that a third; nobody needs more.
const CHAIN_MAX: usize = 4;

const MODES: &str = "AK, StsToken, RamRoleArn, ChainableRamRoleArn, EcsRamRole, OIDC and CredentialsURI";

/// The file, parsed.
pub(super) struct Profiles<'a> {
    pub(super) json: &'a Value,
    pub(super) path: &'a Path,
    pub(super) around: Around<'a>,
}

/// One profile of it.
struct Profile<'a> {
    of: &'a Profiles<'a>,
    name: &'a str,
    fields: &'a Value,
    mode: String,
}

impl<'a> Profiles<'a> {
    /// What a profile comes to.
    pub(super) fn plan(&self, name: &str) -> Result<Looked, CredentialsError> {
        self.follow(name, 1)
    }

    fn follow(&self, name: &str, depth: usize) -> Result<Looked, CredentialsError> {
        let shown = self.path.display();
        let profiles = self.json.get("profiles").and_then(Value::as_array).into_iter().flatten();
        let Some(fields) = profiles.into_iter().find(|p| p.get("name").and_then(Value::as_str) == Some(name)) else {
            return Ok(Looked::Absent(format!("{shown} (has no profile {name:?})")));
        };
        let mode = text(fields, "mode").unwrap_or_else(|| "AK".to_owned());
        let profile = Profile { of: self, name, fields, mode };
        Ok(match profile.plan(depth)? {
            Some(plan) => Looked::Found(Box::new(plan)),
            None => Looked::Absent(format!("{shown} (profile {name:?} holds no keys)")),
        })
    }
}

impl Profile<'_> {
    fn plan(&self, depth: usize) -> Result<Option<Plan>, CredentialsError> {
        let around = self.of.around;
        Ok(Some(match self.mode.as_str() {
            "AK" => return Ok(self.keys(None)?.map(Plan::Keys)),
            "StsToken" => {
                let token = self.text("sts_token");
                match self.keys(token.clone())? {
                    Some(_) if token.is_none() => return Err(self.lacks("sts_token")),
                    found => return Ok(found.map(Plan::Keys)),
                }
            }
            "RamRoleArn" => {
                let base = self.keys(self.text("sts_token"))?.ok_or_else(|| self.lacks("access_key_id"))?;
                Recipe::Role { role: self.role("ram_session_name")?, base: Box::new(Plan::Keys(base)) }.into()
            }
            "ChainableRamRoleArn" => {
                let base = Box::new(self.source(depth)?);
                Recipe::Role { role: self.role("ram_session_name")?, base }.into()
            }
            "EcsRamRole" => metadata::recipe(self.text("ram_role_name").as_deref(), None, around.env)?.into(),
            "OIDC" => Recipe::Oidc {
                role: self.role("role_session_name")?,
                provider_arn: self.needed("oidc_provider_arn")?,
                token_file: self.needed("oidc_token_file")?.into(),
            }
            .into(),
            "CredentialsURI" => {
                let name = format!("credentials_uri in {}", self.origin());
                uri::parse(&self.needed("credentials_uri")?, &name)?.into()
            }
            mode => return Err(unsupported(self.name, self.of.path, "mode", mode, MODES)),
        }))
    }

    /// The profile whose keys assume the role of this one.
    fn source(&self, depth: usize) -> Result<Plan, CredentialsError> {
        let source = self.needed("source_profile")?;
        if depth >= CHAIN_MAX || source == self.name {
            let text = format!("{} is assumed with more than {CHAIN_MAX} profiles, or with itself", self.origin());
            return Err(CredentialsError::new(Kind::Unreadable, text));
        }
        match self.of.follow(&source, depth + 1)? {
            Looked::Found(plan) => Ok(*plan),
            Looked::Absent(why) => Err(incomplete(format!("the source_profile of {}: {why}", self.origin()))),
        }
    }

    fn role(&self, session: &str) -> Result<Role, CredentialsError> {
        let seconds = self.fields.get("expired_seconds").and_then(Value::as_u64).filter(|&s| s > 0);
        let vpc = self.fields.get("enable_vpc").and_then(Value::as_bool).unwrap_or(false);
        Ok(Role {
            arn: self.needed("ram_role_arn")?,
            session_name: self.text(session).or_else(|| self.text("ram_session_name")).unwrap_or_else(role::session),
            duration: seconds.map(Duration::from_secs),
            policy: self.text("policy"),
            external_id: self.text("external_id"),
            sts: role::endpoint(self.text("sts_region").as_deref(), vpc, self.of.around)?,
        })
    }

    fn keys(&self, token: Option<String>) -> Result<Option<crate::credentials::Credentials>, CredentialsError> {
        let found = Found {
            access_key_id: self.text("access_key_id"),
            access_key_secret: self.text("access_key_secret"),
            security_token: token,
        };
        found.complete(self.origin(), ["access_key_id", "access_key_secret", "sts_token"])
    }

    fn text(&self, key: &str) -> Option<String> {
        text(self.fields, key)
    }

    fn needed(&self, key: &str) -> Result<String, CredentialsError> {
        self.text(key).ok_or_else(|| self.lacks(key))
    }

    fn lacks(&self, key: &str) -> CredentialsError {
        incomplete(format!("{} has mode {}, but no {key}", self.origin(), self.mode))
    }

    fn origin(&self) -> String {
        format!("profile {:?} of {}", self.name, self.of.path.display())
    }
}

fn text(fields: &Value, key: &str) -> Option<String> {
    filled(fields.get(key).and_then(Value::as_str).map(str::to_owned))
}
