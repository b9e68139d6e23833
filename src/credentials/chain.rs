//! Several sources in the official order: the environment, the CLI's profile, the SDKs' profile.
//!
//! A source that has nothing is passed over. One that has something wrong ends the search: falling through to
//! another account's keys is worse than an error.

use super::{
    Credentials, CredentialsError, Kind, env,
    profile::{self, Looked},
};
use crate::config::Environment;

/// `with_env` is false for the source `profile`, which starts at the profiles.
pub(super) fn read(
    profile: Option<&str>,
    with_env: bool,
    environment: &Environment,
) -> Result<Credentials, CredentialsError> {
    let mut looked = Vec::new();
    if with_env {
        match env::read(environment)? {
            Some(found) => return Ok(found),
            None => looked.push(env::LOOKED_FOR.to_owned()),
        }
    }
    for read in [profile::read_cli, profile::read_ini] {
        match read(profile, environment)? {
            Looked::Found(found) => return Ok(found),
            Looked::Absent(why) => looked.push(why),
        }
    }
    let advice = if with_env { "set the variables, make a profile" } else { "make a profile" };
    Err(CredentialsError::new(
        Kind::NotFound,
        format!(
            "no credentials found; looked for {}; {advice}, or set source = \"files\" in [account.credentials]",
            looked.join(", ")
        ),
    ))
}
