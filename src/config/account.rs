//! `[[account]]` and `[account.credentials]`.

use std::path::PathBuf;

use url::{Host, Url};

use super::{
    Account, CredentialSource, expect,
    reader::{Section, did_you_mean},
};
use crate::model::task::{AccountName, Export};

/// Where the service answers when nothing else is configured.
const ENDPOINT: &str = "https://cdn.aliyuncs.com";
/// What this version has.
const SOURCES: [&str; 4] = ["default", "env", "files", "profile"];
/// What the contract names and this version lacks.
const LATER_SOURCES: [&str; 4] = ["ecs-ram-role", "oidc-role", "ram-role", "uri"];
/// Spellings of a pasted secret that deserve a better answer than "unknown key".
const SECRETS: [&str; 3] = ["access_key_id", "access_key_secret", "security_token"];

/// All accounts that can be read. What is wrong is reported to the section; an account that is wrong is left out.
pub(super) fn accounts(root: &mut Section<'_>) -> Vec<Account> {
    let Some(sections) = root.sections("account") else { return Vec::new() };
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
    let name = s.text("name", AccountName::parse("main").ok(), |text| {
        let name = AccountName::parse(text).map_err(|e| e.to_string())?;
        Ok(Some(name))
    });
    if let Some(name) = name.as_ref().filter(|name| before.iter().any(|a| a.name == **name)) {
        s.wrong("name", format!("\"{name}\" is the name of an earlier account; each must have its own"));
    }
    let endpoint = s.text("endpoint", Url::parse(ENDPOINT).ok(), |text| endpoint(text).map(Some));
    let exports = s.value("exports", vec![Export::UsageDetail], |value| {
        let Some(items) = value.as_array() else {
            return Err(format!("must be a list, such as {EXPORTS}"));
        };
        let mut exports = Vec::new();
        for item in items {
            let export = item.get_ref().as_str().ok_or_else(|| format!("must hold texts, such as {EXPORTS}"))?;
            let export = Export::parse(export).map_err(|e| format!("{e}{}", did_you_mean(export, &NAMES)))?;
            if exports.contains(&export) {
                return Err(format!("names \"{export}\" twice"));
            }
            exports.push(export);
        }
        if exports.is_empty() { Err(format!("is empty; allowed: one or both of {EXPORTS}")) } else { Ok(exports) }
    });
    let credentials = credentials(s.section("credentials"));
    let expect = expect::expectations(s.sections("expect").unwrap_or_default(), &exports);
    s.finish_with(pasted_secret);
    Some(Account { name: name?, endpoint: endpoint?, exports, credentials, expect })
}

const EXPORTS: &str = "[\"usage-detail\", \"usage\"]";
const NAMES: [&str; 2] = [Export::UsageDetail.as_str(), Export::Usage.as_str()];

/// The refusal does not repeat the text: it may hold a password.
fn endpoint(text: &str) -> Result<Url, String> {
    let allowed = "allowed: https://HOST[:PORT], or http:// to a loopback address (127.0.0.0/8, [::1], localhost)";
    let url = Url::parse(text).map_err(|e| format!("is not a URL ({e}); {allowed}"))?;
    let loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
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

fn pasted_secret(key: &str) -> Option<String> {
    SECRETS.contains(&key).then(|| {
        format!(
            "secrets are never written in this file; set source = \"files\" and {key}_file = PATH in \
             [account.credentials], and replace the key if others could read this file"
        )
    })
}

fn credentials(mut s: Section<'_>) -> CredentialSource {
    // Values are not repeated here: a key pasted into the wrong place must not come back in a message.
    let mut is_known = true;
    let source = s.text("source", "default", |text| {
        if let Some(known) = SOURCES.into_iter().find(|known| *known == text) {
            return Ok(known);
        }
        is_known = false;
        let has = SOURCES.join(", ");
        match LATER_SOURCES.into_iter().find(|later| *later == text) {
            Some(later) => Err(format!("\"{later}\" is not in this version; it has: {has}")),
            None => Err(format!("no such source{} (allowed: {has})", did_you_mean(text, &SOURCES))),
        }
    });
    let result = match source {
        "env" => CredentialSource::Env,
        "profile" => CredentialSource::Profile {
            profile: s.text("profile", None, |text| {
                if text.is_empty() { Err("must not be empty".to_owned()) } else { Ok(Some(text.to_owned())) }
            }),
        },
        "files" => files(&mut s),
        _ => CredentialSource::Default,
    };
    if !is_known {
        // Which keys are allowed depends on the source that was meant.
        return result;
    }
    let explain = |key: &str| {
        pasted_secret(key).or_else(|| {
            let owner = match key {
                "access_key_id_file" | "access_key_secret_file" | "security_token_file" | "allow_open_files" => "files",
                "profile" => "profile",
                _ => return None,
            };
            Some(format!("belongs to source = \"{owner}\", but the source is \"{source}\""))
        })
    };
    s.finish_with(explain);
    result
}

fn files(s: &mut Section<'_>) -> CredentialSource {
    let path = |text: &str| {
        if text.is_empty() || text.contains('\0') {
            Err("must be the path of a file".to_owned())
        } else {
            Ok(Some(PathBuf::from(text)))
        }
    };
    let mut required = |key: &'static str| {
        let file = s.text(key, None, path);
        if file.is_none() && !s.has(key) {
            s.wrong(key, "is missing: source = \"files\" needs access_key_id_file and access_key_secret_file");
        }
        file.unwrap_or_default()
    };
    CredentialSource::Files {
        access_key_id_file: required("access_key_id_file"),
        access_key_secret_file: required("access_key_secret_file"),
        security_token_file: s.text("security_token_file", None, path),
        allow_open_files: s.boolean("allow_open_files", false),
    }
}
