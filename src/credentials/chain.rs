//! The official chain: the environment, the token of an identity provider, the CLI's profile, the SDKs' profile, the
//! metadata service of the machine, and the credentials URI.
//!
//! A source that has nothing is passed over. One that has something wrong ends the search: falling through to
//! another account's keys is worse than an error.

use super::{
    CredentialsError, Kind, env, metadata,
    plan::{Around, Fetch, Plan},
    profile::{self, Looked},
    role, uri,
};

/// The whole chain. `takes_role` when the variable of the role is that of a role which is assumed with what is found
/// here, and so begins no group of the identity provider's.
pub(super) fn official(around: Around<'_>, takes_role: bool) -> Result<Plan, CredentialsError> {
    let mut looked = Vec::new();
    match env::read(around.env)? {
        Some(found) => return Ok(Plan::Keys(found)),
        None => looked.push(env::LOOKED_FOR.to_owned()),
    }
    match role::oidc_of_environment(around, takes_role)? {
        Some(recipe) => return Ok(recipe.into()),
        None => looked.push(role::LOOKED_FOR.to_owned()),
    }
    if let Some(found) = in_profiles(None, around, &mut looked)? {
        return Ok(found);
    }
    let mut recipes = Vec::new();
    if metadata::is_disabled(around.env) {
        looked.push("the ECS metadata service (not asked: ALIBABA_CLOUD_ECS_METADATA_DISABLED is set)".to_owned());
    } else {
        recipes.push(metadata::recipe(None, None, around.env)?);
    }
    match uri::of_environment(around.env)? {
        Some(recipe) => recipes.push(recipe),
        None => looked.push(uri::LOOKED_FOR.to_owned()),
    }
    if recipes.is_empty() {
        return Err(not_found(&looked.join(", "), true));
    }
    Ok(Plan::Fetch(Fetch { recipes, looked }))
}

/// The profiles alone.
pub(super) fn profiles(profile: Option<&str>, around: Around<'_>) -> Result<Plan, CredentialsError> {
    let mut looked = Vec::new();
    in_profiles(profile, around, &mut looked)?.ok_or_else(|| not_found(&looked.join(", "), false))
}

fn in_profiles(
    profile: Option<&str>,
    around: Around<'_>,
    looked: &mut Vec<String>,
) -> Result<Option<Plan>, CredentialsError> {
    for read in [profile::read_cli, profile::read_ini] {
        match read(profile, around)? {
            Looked::Found(found) => return Ok(Some(*found)),
            Looked::Absent(why) => looked.push(why),
        }
    }
    Ok(None)
}

pub(super) fn not_found(looked: &str, whole: bool) -> CredentialsError {
    let advice = if whole { "set the variables, make a profile" } else { "make a profile" };
    CredentialsError::new(
        Kind::NotFound,
        format!(
            "no credentials found; looked for {looked}; {advice}, or set source = \"files\" in [account.credentials]"
        ),
    )
}
