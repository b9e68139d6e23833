//! `[[account]]` and `[account.credentials]`.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use url::{Host, Url};

use super::{
    Account, CredentialSource, KeyFiles, Role, expect,
    reader::{Section, did_you_mean},
};
use crate::model::task::{AccountName, Export};

/// The name of an account that has none.
const NAME: &str = "main";
/// Where the service answers when nothing else is configured.
const ENDPOINT: &str = "https://cdn.aliyuncs.com";
const EXPORTS: [&str; 2] = [Export::UsageDetail.as_str(), Export::Usage.as_str()];
/// Every source there is.
const SOURCES: [&str; 8] = ["default", "env", "files", "profile", "ecs-ram-role", "oidc-role", "ram-role", "uri"];
/// Those whose keys can assume a role.
const BASES: [&str; 6] = ["default", "env", "files", "profile", "ecs-ram-role", "uri"];
/// STS hands out keys for 15 minutes at least, and for 12 hours at most, if the role allows it.
const SESSION: RangeInclusive<Duration> = Duration::from_secs(15 * 60)..=Duration::from_secs(12 * 3600);
/// Spellings of a pasted secret that deserve a better answer than "unknown key".
const SECRETS: [&str; 3] = ["access_key_id", "access_key_secret", "security_token"];

/// All accounts that can be read. What is wrong is reported to the section; an account that is wrong is left out.
pub(super) fn accounts(root: &mut Section<'_>) -> Vec<Account> {
    let Some(sections) = root.merged_sections("account", "name", NAME) else { return Vec::new() };
    if sections.is_empty() {
        root.wrong("account", "at least one [[account]] must be there");
    }
    let mut accounts: Vec<Account> = Vec::new();
    for section in sections {
        if let Some(account) = account(section, &accounts) {
            accounts.push(account);
        }
    }
    accounts
}

fn account(mut s: Section<'_>, before: &[Account]) -> Option<Account> {
    let name = s.text("name", AccountName::parse(NAME).ok(), |text| {
        let name = AccountName::parse(text).map_err(|e| e.to_string())?;
        Ok(Some(name))
    });
    if let Some(name) = name.as_ref().filter(|name| before.iter().any(|a| a.name == **name)) {
        s.wrong("name", format!("\"{name}\" is the name of an earlier account; each must have its own"));
    }
    let endpoint = s.text("endpoint", Url::parse(ENDPOINT).ok(), |text| endpoint(text).map(Some));
    // A cloud that is simulated on this machine is all of it: nothing of such an account goes to the real one.
    let simulated = endpoint.clone().filter(is_loopback);
    let sts_endpoint = s.text("sts_endpoint", simulated, |text| self::endpoint(text).map(Some));
    let exports = s.words("exports", vec![Export::UsageDetail], &EXPORTS, |text| {
        Export::parse(text).map_err(|e| format!("{e}{}", did_you_mean(text, &EXPORTS)))
    });
    let credentials = credentials(s.section("credentials"));
    let expect = expect::expectations(s.sections("expect").unwrap_or_default(), &exports);
    s.finish_with(pasted_secret);
    Some(Account { name: name?, endpoint: endpoint?, sts_endpoint, exports, credentials, expect })
}

/// The refusal does not repeat the text: it may hold a password.
fn endpoint(text: &str) -> Result<Url, String> {
    let allowed = "allowed: https://HOST[:PORT], or http:// to a loopback address (127.0.0.0/8, [::1], localhost)";
    let url = Url::parse(text).map_err(|e| format!("is not a URL ({e}); {allowed}"))?;
    let loopback = is_loopback(&url);
    let wrong = match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => "holds a user name or a password",
        "http" if !loopback => "is plain http to another machine",
        "http" | "https" if !matches!(url.path(), "" | "/") => "has a path",
        "http" | "https" if url.query().is_some() || url.fragment().is_some() => "has a query or a fragment",
        "http" | "https" => return Ok(url),
        _ => "is neither https nor http",
    };
    Err(format!("{wrong}; {allowed}"))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn pasted_secret(key: &str) -> Option<String> {
    SECRETS.contains(&key).then(|| {
        format!(
            "secrets are never written in this file; set source = \"files\" and {key}_file = PATH in \
             [account.credentials], and replace the key if others could read this file"
        )
    })
}

fn credentials(mut s: Section<'_>) -> CredentialSource {
    // The keys of one source are no keys of another, so that a file that names another source replaces them all.
    if let Some(replaced) = s.split_off_replaced("source") {
        credentials(replaced);
    }
    let Some(source) = one_of(&mut s, "source", &SOURCES) else {
        // Which keys are allowed depends on the source that was meant.
        return CredentialSource::Default;
    };
    let result = if source == "ram-role" {
        let role = role(&mut s, true);
        let base = one_of(&mut s, "base_source", &BASES);
        let of = base.map_or(CredentialSource::Default, |base| plain(&mut s, base));
        if base.is_none() {
            return of;
        }
        CredentialSource::RamRole { role, base: Box::new(of) }
    } else {
        plain(&mut s, source)
    };
    s.finish_with(|key| pasted_secret(key).or_else(|| belongs_elsewhere(key, source)));
    result
}

/// A source's name; nothing when it is none. It is not repeated: a key pasted into the wrong place must not come back
/// in a message.
fn one_of(s: &mut Section<'_>, key: &'static str, names: &'static [&'static str]) -> Option<&'static str> {
    let mut is_known = true;
    let found = s.word(key, "default", names, |text| {
        let known = names.iter().find(|known| **known == text).copied();
        is_known = known.is_some();
        known.ok_or_else(|| format!("no such source{} (allowed: {})", did_you_mean(text, names), names.join(", ")))
    });
    is_known.then_some(found)
}

/// Every source but `ram-role`.
fn plain(s: &mut Section<'_>, source: &str) -> CredentialSource {
    match source {
        "env" => CredentialSource::Env,
        "profile" => CredentialSource::Profile { profile: s.text("profile", None, name) },
        "files" => CredentialSource::Files(files(s)),
        "ecs-ram-role" => {
            let role_name = s.text("role_name", None, |text| {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
                let right = !text.is_empty() && text.len() <= 64 && text.bytes().all(plain) && !text.starts_with('.');
                right.then(|| Some(text.to_owned())).ok_or_else(|| {
                    "must be the name of a RAM role: letters, digits, \".\", \"-\" and \"_\", at most 64".to_owned()
                })
            });
            CredentialSource::EcsRamRole { role_name, disable_imds_v1: s.optional_boolean("disable_imds_v1") }
        }
        "oidc-role" => CredentialSource::OidcRole {
            role: role(s, false),
            oidc_provider_arn: s.text("oidc_provider_arn", None, |text| arn(text, ":oidc-provider/")),
            oidc_token_file: s.text("oidc_token_file", None, path),
        },
        "uri" => CredentialSource::Uri { uri: s.text("uri", None, |text| uri(text).map(Some)) },
        _ => CredentialSource::Default,
    }
}

fn role(s: &mut Section<'_>, with_external_id: bool) -> Role {
    let role_arn = s.text("role_arn", None, |text| arn(text, ":role/"));
    let role_session_name = s.text("role_session_name", None, |text| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'@' | b'-' | b'_');
        let right = (2..=64).contains(&text.len()) && text.bytes().all(plain);
        right
            .then(|| Some(text.to_owned()))
            .ok_or_else(|| "must be 2 to 64 letters, digits, \".\", \"@\", \"-\" and \"_\"".to_owned())
    });
    let session_duration = s.optional_duration("session_duration", SESSION);
    let policy = s.text("policy", None, |text| {
        let is_object = serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json.is_object());
        is_object.then(|| Some(text.to_owned())).ok_or_else(|| "must be a policy: an object in JSON".to_owned())
    });
    let external_id = if with_external_id { s.text("external_id", None, name) } else { None };
    Role { role_arn, role_session_name, session_duration, policy, external_id }
}

fn name(text: &str) -> Result<Option<String>, String> {
    if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Some(text.to_owned())) }
}

fn path(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() || text.contains('\0') {
        Err("must be the path of a file".to_owned())
    } else {
        Ok(Some(PathBuf::from(text)))
    }
}

fn arn(text: &str, kind: &str) -> Result<Option<String>, String> {
    let right = text.starts_with("acs:ram::") && text.contains(kind) && text.bytes().all(|b| b.is_ascii_graphic());
    right.then(|| Some(text.to_owned())).ok_or_else(|| format!("must look like acs:ram::ACCOUNT{kind}NAME"))
}

/// A query may hold a secret, and so may a user name: such a URI stays in the environment.
fn uri(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("is not a URL ({e})"))?;
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(
            "holds a user name or a query, which may be a secret and is never written in this file; leave uri out \
                    and set ALIBABA_CLOUD_CREDENTIALS_URI in the environment"
                .to_owned(),
        );
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => {
            Err("is plain http to another machine, where anybody on the way could read the keys; allowed: https://, \
                       or http:// to a loopback address"
                .to_owned())
        }
        _ => Err("is neither https nor http".to_owned()),
    }
}

/// Why a key that is known is not known here.
fn belongs_elsewhere(key: &str, source: &str) -> Option<String> {
    let owner = match key {
        "access_key_id_file" | "access_key_secret_file" | "security_token_file" | "allow_open_files" => "files",
        "profile" => "profile",
        "role_name" | "disable_imds_v1" => "ecs-ram-role",
        "oidc_provider_arn" | "oidc_token_file" => "oidc-role",
        "external_id" | "base_source" => "ram-role",
        "role_arn" | "role_session_name" | "session_duration" | "policy" => {
            return Some(format!("belongs to source = \"ram-role\" or \"oidc-role\", but the source is \"{source}\""));
        }
        "uri" => "uri",
        _ => return None,
    };
    let hint = if source == "ram-role" && owner != "oidc-role" {
        format!(" (base_source = \"{owner}\" has it too)")
    } else {
        String::new()
    };
    Some(format!("belongs to source = \"{owner}\", but the source is \"{source}\"{hint}"))
}

fn files(s: &mut Section<'_>) -> KeyFiles {
    let mut required = |key: &'static str| {
        let file = s.text(key, None, path);
        if file.is_none() && !s.has(key) {
            s.wrong(key, "is missing: source = \"files\" needs access_key_id_file and access_key_secret_file");
        }
        file.unwrap_or_default()
    };
    KeyFiles {
        access_key_id_file: required("access_key_id_file"),
        access_key_secret_file: required("access_key_secret_file"),
        security_token_file: s.text("security_token_file", None, path),
        allow_open_files: s.boolean("allow_open_files", false),
    }
}
