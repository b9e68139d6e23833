//! Keys in the profiles of the official tools: the CLI's `config.json`, and the SDKs' INI file.
//!
//! Their modes are the owner's business, not ours: other programs read them too.

mod cli;

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    CredentialsError, Found, Kind,
    files::open_regular,
    ini, metadata,
    plan::{Around, Plan, Recipe, Role, incomplete},
    role,
};
use crate::config::Environment;

/// The largest profile file that is read, in bytes: a hundred profiles need a few dozen KiB.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// What became of a place that was looked at: a plan, or why there is none, in a few words for people.
pub(super) enum Looked {
    Found(Box<Plan>),
    Absent(String),
}

/// Where profiles may be, in the order in which they are looked at.
pub(super) fn paths(env: &Environment) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    if !is_cli_disabled(env) {
        paths.extend(cli_path(env));
    }
    paths.extend(ini_paths(env));
    paths
}

fn is_cli_disabled(env: &Environment) -> bool {
    env.flag("ALIBABA_CLOUD_CLI_PROFILE_DISABLED")
}

fn cli_path(env: &Environment) -> Option<PathBuf> {
    env.path("HOME").map(|home| home.join(".aliyun/config.json"))
}

fn ini_paths(env: &Environment) -> Vec<PathBuf> {
    if let Some(path) = env.path("ALIBABA_CLOUD_CREDENTIALS_FILE") {
        return vec![path];
    }
    // The first is where the Python SDK looks, the second where Go does.
    let home = env.path("HOME").map(|home| home.join(".alibabacloud"));
    home.map(|home| vec![home.join("credentials.ini"), home.join("credentials")]).unwrap_or_default()
}

/// The CLI's file. `wanted` overrides the profile that the environment or the file chooses.
pub(super) fn read_cli(wanted: Option<&str>, around: Around<'_>) -> Result<Looked, CredentialsError> {
    let env = around.env;
    if is_cli_disabled(env) {
        return Ok(Looked::Absent(
            "~/.aliyun/config.json (not read: ALIBABA_CLOUD_CLI_PROFILE_DISABLED is set)".to_owned(),
        ));
    }
    let Some(path) = cli_path(env) else {
        return Ok(Looked::Absent("~/.aliyun/config.json (HOME is not set)".to_owned()));
    };
    let shown = path.display();
    let Some(text) = read_text(&path)? else { return Ok(Looked::Absent(format!("{shown} (does not exist)"))) };
    // The display of such an error has line and column, and nothing of the text.
    let json: Value = serde_json::from_str(&text).map_err(|e| {
        CredentialsError::new(Kind::Unreadable, format!("the profile file {shown} is not valid JSON: {e}"))
    })?;
    let chosen = wanted.map(str::to_owned).or_else(|| env.text("ALIBABA_CLOUD_PROFILE"));
    let current = json.get("current").and_then(Value::as_str);
    let name = chosen.as_deref().or(current).filter(|name| !name.is_empty()).unwrap_or("default");
    cli::Profiles { json: &json, path: &path, around }.plan(name)
}

/// The SDKs' file. `wanted` overrides the section that the environment names.
pub(super) fn read_ini(wanted: Option<&str>, around: Around<'_>) -> Result<Looked, CredentialsError> {
    let env = around.env;
    let chosen = wanted.map(str::to_owned).or_else(|| env.text("ALIBABA_CLOUD_PROFILE"));
    let name = chosen.as_deref().unwrap_or("default");
    let mut looked = Vec::new();
    for path in ini_paths(env) {
        match read_section(&path, name, around)? {
            Looked::Absent(why) => looked.push(why),
            found => return Ok(found),
        }
    }
    if looked.is_empty() {
        looked.push("~/.alibabacloud/credentials.ini and ~/.alibabacloud/credentials (HOME is not set)".to_owned());
    }
    Ok(Looked::Absent(looked.join(", ")))
}

fn read_section(path: &Path, name: &str, around: Around<'_>) -> Result<Looked, CredentialsError> {
    let shown = path.display();
    let Some(text) = read_text(path)? else { return Ok(Looked::Absent(format!("{shown} (does not exist)"))) };
    let Some(section) = ini::Section::find(&text, name) else {
        return Ok(Looked::Absent(format!("{shown} (has no section [{name}])")));
    };
    let field = |key: &str| super::filled(section.get(key).map(str::to_owned));
    let origin = format!("profile {name:?} of {shown}");
    let needed =
        |key: &str, kind: &str| field(key).ok_or_else(|| incomplete(format!("{origin} has type {kind}, but no {key}")));
    let role = |kind: &str| {
        Ok::<_, CredentialsError>(Role {
            arn: needed("role_arn", kind)?,
            session_name: field("role_session_name").unwrap_or_else(role::session),
            duration: None,
            policy: field("policy"),
            external_id: field("external_id"),
            sts: role::endpoint(
                field("sts_region").as_deref(),
                field("enable_vpc").as_deref() == Some("true"),
                around,
            )?,
        })
    };
    let keys = || {
        let found = Found {
            access_key_id: field("access_key_id"),
            access_key_secret: field("access_key_secret"),
            security_token: field("security_token"),
        };
        found.complete(origin.clone(), ["access_key_id", "access_key_secret", "security_token"])
    };
    let plan = match section.get("type").unwrap_or("access_key") {
        "access_key" => keys()?.map(Plan::Keys),
        "ram_role_arn" => {
            let base =
                keys()?.ok_or_else(|| incomplete(format!("{origin} has type ram_role_arn, but no access_key_id")))?;
            Some(Recipe::Role { role: role("ram_role_arn")?, base: Box::new(Plan::Keys(base)) }.into())
        }
        "oidc_role_arn" => {
            // Two spellings are about: the Go SDK's and the Python SDK's.
            let file = field("oidc_token_file_path").map_or_else(|| needed("oidc_token_file", "oidc_role_arn"), Ok)?;
            let provider_arn = needed("oidc_provider_arn", "oidc_role_arn")?;
            Some(Recipe::Oidc { role: role("oidc_role_arn")?, provider_arn, token_file: file.into() }.into())
        }
        "ecs_ram_role" => Some(metadata::recipe(field("role_name").as_deref(), None, around.env)?.into()),
        kind => return Err(unsupported(name, path, "type", kind, INI_TYPES)),
    };
    Ok(plan.map_or_else(
        || Looked::Absent(format!("{shown} (section [{name}] holds no keys)")),
        |plan| Looked::Found(Box::new(plan)),
    ))
}

const INI_TYPES: &str = "access_key, ram_role_arn, oidc_role_arn and ecs_ram_role";

/// The modes that need a person or another program, and what to do instead.
fn instead_of(kind: &str) -> &'static str {
    match kind {
        "CloudSSO" | "OAuth" => {
            "it needs a person at a browser, again and again; make a RAM user with an AccessKey for this program, or a role \
             that it can assume"
        }
        "External" => {
            "it runs a program, which this one does not; let that program serve the keys at a credentials URI \
             (source = \"uri\"), or write them into files (source = \"files\")"
        }
        "RsaKeyPair" | "rsa_key_pair" => {
            "its keys are no longer handed out by the service; make a RAM user with an AccessKey"
        }
        _ => "name another profile in account.credentials, or use another source",
    }
}

fn unsupported(name: &str, path: &Path, what: &str, is: &str, has: &str) -> CredentialsError {
    // Modes have at most 22 letters and key ids 24: a longer word may be a key in the wrong place.
    let shown = if is.len() <= 22 && is.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_') {
        format!("{is:?}")
    } else {
        "of an unknown kind".to_owned()
    };
    CredentialsError::new(
        Kind::Unsupported,
        format!(
            "profile {name:?} of {} has {what} {shown}, which this version cannot use; it has {has}; {}",
            path.display(),
            instead_of(is)
        ),
    )
}

/// Nothing when the file does not exist.
fn read_text(path: &Path) -> Result<Option<String>, CredentialsError> {
    let failed =
        |why: &str| CredentialsError::new(Kind::Unreadable, format!("the profile file {} {why}", path.display()));
    let mut bytes = Vec::new();
    let read = open_regular(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(failed(&format!("cannot be read: {e}"))),
        Ok(length) if length as u64 > FILE_MAX_BYTES => return Err(failed("has more than 1 MiB")),
        Ok(_) => {}
    }
    String::from_utf8(bytes).map(Some).map_err(|_| failed("is not UTF-8 text"))
}
