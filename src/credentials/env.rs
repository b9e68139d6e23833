//! Keys in the environment.

use super::{Credentials, CredentialsError, Found, Kind};
use crate::config::Environment;

const NAMES: [&str; 3] =
    ["ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"];

/// What the source is called when it has no keys.
pub(super) const LOOKED_FOR: &str =
    "the environment variables ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET (not set)";

/// Nothing when neither key is set.
pub(super) fn read(env: &Environment) -> Result<Option<Credentials>, CredentialsError> {
    let [id, secret, token] = NAMES;
    let found =
        Found { access_key_id: env.text(id), access_key_secret: env.text(secret), security_token: env.text(token) };
    found.complete("the environment".to_owned(), NAMES)
}

/// The error of the source `env`, which looks nowhere else.
pub(super) fn missing() -> CredentialsError {
    CredentialsError::new(
        Kind::NotFound,
        format!("no credentials found; looked for {LOOKED_FOR}; set them for this program, or choose another source"),
    )
}
