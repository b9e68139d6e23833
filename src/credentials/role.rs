//! Roles that are assumed: by an identity provider's token, or with other keys.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use url::Url;

use super::{
    CredentialsError, Kind, files,
    plan::{Around, Recipe, Role, incomplete},
};
use crate::config::{self, Environment};

const ROLE_ARN: &str = "ALIBABA_CLOUD_ROLE_ARN";
const PROVIDER_ARN: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
const TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";
const SESSION_NAME: &str = "ALIBABA_CLOUD_ROLE_SESSION_NAME";
const STS_REGION: &str = "ALIBABA_CLOUD_STS_REGION";
pub(super) const VPC_ENDPOINT: &str = "ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED";

/// Who the session is, in the account's audit log, where nothing else is said.
const SESSION: &str = "cdn-usaged";

/// The largest token that is read, in bytes: those of identity providers have one to four thousand.
const TOKEN_MAX_BYTES: u64 = 64 << 10;

/// What the chain says of it when there is nothing.
pub(super) const LOOKED_FOR: &str =
    "an OIDC role (ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN and ALIBABA_CLOUD_OIDC_TOKEN_FILE, not set)";

/// The role of the environment, for the chain. Nothing when no variable of the group is set.
///
/// # Errors
/// When only some of them are: the group was meant, and another source would be another account.
pub(super) fn oidc_of_environment(around: Around<'_>, takes_role: bool) -> Result<Option<Recipe>, CredentialsError> {
    let names = [ROLE_ARN, PROVIDER_ARN, TOKEN_FILE];
    let begins = |name: &&str| around.env.text(name).is_some() && !(takes_role && *name == ROLE_ARN);
    let Some(there) = names.iter().find(|name| begins(name)) else { return Ok(None) };
    let missing: Vec<&str> = names.into_iter().filter(|name| around.env.text(name).is_none()).collect();
    if !missing.is_empty() {
        return Err(incomplete(format!(
            "{there} is set in the environment, but {} is not; an OIDC role needs all of {}",
            missing.join(" and "),
            names.join(", ")
        )));
    }
    oidc(&config::Role::default(), None, None, around).map(Some)
}

/// A role for the token of an identity provider; what is not configured is taken from the environment.
pub(super) fn oidc(
    role: &config::Role,
    provider_arn: Option<&str>,
    token_file: Option<&Path>,
    around: Around<'_>,
) -> Result<Recipe, CredentialsError> {
    let role = configured(role, "oidc-role", around)?;
    let provider = provider_arn.map(str::to_owned).or_else(|| around.env.text(PROVIDER_ARN));
    let provider_arn =
        provider.ok_or_else(|| needs("oidc-role", "the identity provider", "oidc_provider_arn", PROVIDER_ARN))?;
    let file = token_file.map(PathBuf::from).or_else(|| around.env.path(TOKEN_FILE));
    let file = file.ok_or_else(|| needs("oidc-role", "the token's file", "oidc_token_file", TOKEN_FILE))?;
    Ok(Recipe::Oidc { role, provider_arn, token_file: files::resolve(&file, around.env)? })
}

/// The token file that an account would read, if one is known.
pub(super) fn token_file(configured: Option<&Path>, env: &Environment) -> Option<PathBuf> {
    let file = configured.map(PathBuf::from).or_else(|| env.path(TOKEN_FILE))?;
    files::resolve(&file, env).ok()
}

/// A role of the configuration; what it does not say is taken from the environment.
pub(super) fn configured(role: &config::Role, source: &str, around: Around<'_>) -> Result<Role, CredentialsError> {
    let arn = role.role_arn.clone().or_else(|| around.env.text(ROLE_ARN));
    let arn = arn.ok_or_else(|| needs(source, "the role", "role_arn", ROLE_ARN))?;
    Ok(Role {
        arn,
        session_name: role.role_session_name.clone().or_else(|| around.env.text(SESSION_NAME)).unwrap_or_else(session),
        duration: role.session_duration,
        policy: role.policy.clone(),
        external_id: role.external_id.clone(),
        sts: endpoint(None, around.env.flag(VPC_ENDPOINT), around)?,
    })
}

fn needs(source: &str, what: &str, key: &str, variable: &str) -> CredentialsError {
    incomplete(format!(
        "{what} of source = \"{source}\" is not known: set {key} in [account.credentials], or {variable} in the environment"
    ))
}

/// The session's name where nothing names it.
pub(super) fn session() -> String {
    SESSION.to_owned()
}

/// Where a role is assumed: the account's own endpoint, else that of a region, else the central one.
pub(super) fn endpoint(region: Option<&str>, vpc: bool, around: Around<'_>) -> Result<Url, CredentialsError> {
    if let Some(own) = around.sts {
        return Ok(own.clone());
    }
    let region = region.map(str::to_owned).or_else(|| around.env.text(STS_REGION));
    let host = match region {
        // A region becomes part of a name to which a token is sent.
        Some(r) if r.is_empty() || !r.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') => {
            let text = format!("the region of STS ({STS_REGION}, or sts_region of the profile) is no region's name");
            return Err(CredentialsError::new(Kind::Unreadable, text));
        }
        Some(region) if vpc => format!("https://sts-vpc.{region}.aliyuncs.com"),
        Some(region) => format!("https://sts.{region}.aliyuncs.com"),
        None => crate::config::STS_ENDPOINT.to_owned(),
    };
    Url::parse(&host)
        .map_err(|e| CredentialsError::new(Kind::Unreadable, format!("the endpoint of STS is no URL: {e}")))
}

/// The identity provider's token as it is now: it is replaced while the program runs.
pub(super) fn read_token(path: &Path) -> Result<String, CredentialsError> {
    let failed = |kind, why: &str| CredentialsError::new(kind, format!("the OIDC token file {} {why}", path.display()));
    let mut bytes = Vec::new();
    match files::open_regular(path).and_then(|file| file.take(TOKEN_MAX_BYTES + 1).read_to_end(&mut bytes)) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(failed(Kind::NotFound, "does not exist; whatever hands out the token must put it there"));
        }
        Err(e) => return Err(failed(Kind::Unreadable, &format!("cannot be read: {e}"))),
        Ok(length) if length as u64 > TOKEN_MAX_BYTES => {
            return Err(failed(Kind::Unreadable, "has more than 64 KiB, which no token has"));
        }
        Ok(_) => {}
    }
    let token = String::from_utf8(bytes).map_err(|_| failed(Kind::Unreadable, "is not text"))?;
    match token.trim() {
        "" => Err(failed(Kind::Incomplete, "is empty")),
        token if super::is_key(token) => Ok(token.to_owned()),
        _ => Err(failed(Kind::Unreadable, "holds a blank or a control character within the token")),
    }
}
