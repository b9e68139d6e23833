//! Keys in the profiles of the official tools: the CLI's `config.json`, and the SDKs' INI file.
//!
//! Their modes are the owner's business, not ours: other programs read them too.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Credentials, CredentialsError, Found, Kind, ini};
use crate::config::Environment;

/// The largest profile file that is read, in bytes: a hundred profiles need a few dozen KiB.
const FILE_MAX_BYTES: u64 = 1 << 20;

/// What became of a place that was looked at: keys, or why there are none, in a few words for people.
pub(super) enum Looked {
    Found(Credentials),
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
pub(super) fn read_cli(wanted: Option<&str>, env: &Environment) -> Result<Looked, CredentialsError> {
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
    let profiles = json.get("profiles").and_then(Value::as_array).into_iter().flatten();
    let Some(profile) = profiles.into_iter().find(|p| p.get("name").and_then(Value::as_str) == Some(name)) else {
        return Ok(Looked::Absent(format!("{shown} (has no profile {name:?})")));
    };
    let field = |key: &str| profile.get(key).and_then(Value::as_str).map(str::to_owned);
    let mode = field("mode").filter(|mode| !mode.is_empty()).unwrap_or_else(|| "AK".to_owned());
    let token = match mode.as_str() {
        "AK" => None,
        "StsToken" => field("sts_token"),
        _ => return Err(unsupported(name, &path, "mode", &mode, "AK and StsToken")),
    };
    let origin = format!("profile {name:?} of {shown}");
    let is_temporary = mode == "StsToken";
    let found = Found {
        access_key_id: field("access_key_id"),
        access_key_secret: field("access_key_secret"),
        security_token: token,
    };
    let found = found.complete(origin, ["access_key_id", "access_key_secret", "sts_token"])?;
    match found {
        Some(found) if is_temporary && found.security_token.is_none() => {
            let text = format!("profile {name:?} of {shown} has mode StsToken, but no sts_token");
            Err(CredentialsError::new(Kind::Incomplete, text))
        }
        Some(found) => Ok(Looked::Found(found)),
        None => Ok(Looked::Absent(format!("{shown} (profile {name:?} holds no keys)"))),
    }
}

/// The SDKs' file. `wanted` overrides the section that the environment names.
pub(super) fn read_ini(wanted: Option<&str>, env: &Environment) -> Result<Looked, CredentialsError> {
    let chosen = wanted.map(str::to_owned).or_else(|| env.text("ALIBABA_CLOUD_PROFILE"));
    let name = chosen.as_deref().unwrap_or("default");
    let mut looked = Vec::new();
    for path in ini_paths(env) {
        match read_section(&path, name)? {
            Looked::Absent(why) => looked.push(why),
            found => return Ok(found),
        }
    }
    if looked.is_empty() {
        looked.push("~/.alibabacloud/credentials.ini and ~/.alibabacloud/credentials (HOME is not set)".to_owned());
    }
    Ok(Looked::Absent(looked.join(", ")))
}

fn read_section(path: &Path, name: &str) -> Result<Looked, CredentialsError> {
    let shown = path.display();
    let Some(text) = read_text(path)? else { return Ok(Looked::Absent(format!("{shown} (does not exist)"))) };
    let Some(section) = ini::Section::find(&text, name) else {
        return Ok(Looked::Absent(format!("{shown} (has no section [{name}])")));
    };
    let kind = section.get("type").unwrap_or("access_key");
    if kind != "access_key" {
        return Err(unsupported(name, path, "type", kind, "access_key"));
    }
    let field = |key: &str| section.get(key).map(str::to_owned);
    let found = Found {
        access_key_id: field("access_key_id"),
        access_key_secret: field("access_key_secret"),
        security_token: field("security_token"),
    };
    let origin = format!("profile {name:?} of {shown}");
    let found = found.complete(origin, ["access_key_id", "access_key_secret", "security_token"])?;
    Ok(found.map_or_else(|| Looked::Absent(format!("{shown} (section [{name}] holds no keys)")), Looked::Found))
}

fn unsupported(name: &str, path: &Path, what: &str, is: &str, has: &str) -> CredentialsError {
    // Modes have at most 19 letters and key ids 24: a longer word may be a key in the wrong place.
    let is = if is.len() <= 20 { format!("{is:?}") } else { "of an unknown kind".to_owned() };
    CredentialsError::new(
        Kind::Unsupported,
        format!(
            "profile {name:?} of {} has {what} {is}, which this version cannot use; it has {has}; name another profile \
             in account.credentials, or use another source",
            path.display()
        ),
    )
}

/// Nothing when the file does not exist.
fn read_text(path: &Path) -> Result<Option<String>, CredentialsError> {
    let failed =
        |why: &str| CredentialsError::new(Kind::Unreadable, format!("the profile file {} {why}", path.display()));
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes));
    match read {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(e) => return Err(failed(&format!("cannot be read: {e}"))),
        Ok(length) if length as u64 > FILE_MAX_BYTES => return Err(failed("has more than 1 MiB")),
        Ok(_) => {}
    }
    String::from_utf8(bytes).map(Some).map_err(|_| failed("is not UTF-8 text"))
}
