use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;
use crate::config::KeyFiles;

mod fetched;
mod profiles;
mod roles;

/// Nothing listens on the port discard.
const NOBODY: &str = "http://127.0.0.1:9";

/// A provider whose metadata service and STS are on this machine, where nobody answers.
fn offline(source: CredentialSource, env: Environment) -> Provider {
    provider_at(source, env, NOBODY, NOBODY)
}

fn provider_at(source: CredentialSource, env: Environment, sts: &str, metadata: &str) -> Provider {
    let http = egress::api_client(std::time::Duration::from_secs(5), &egress::Surroundings::Loopback).unwrap();
    let outside = Outside::new(http, Some(Url::parse(sts).unwrap())).unwrap();
    // As few as there are tests.
    let outside = outside.with_metadata(metadata.to_owned().leak());
    Provider::new(AccountName::parse("main").unwrap(), source, env, outside)
}

fn write(path: &Path, text: impl AsRef<[u8]>, mode: u32) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The id, the secret and the token.
async fn keys(provider: &Provider) -> (String, String, Option<String>) {
    let found = provider.get().await.unwrap();
    let token = found.security_token.map(|t| t.expose_secret().to_owned());
    (found.access_key_id, found.access_key_secret.expose_secret().to_owned(), token)
}

async fn fails(provider: &Provider) -> (Kind, String) {
    let error = provider.get().await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("MARK"), "{error}");
    (error.kind(), error.to_string())
}

fn owned(id: &str, secret: &str, token: Option<&str>) -> (String, String, Option<String>) {
    (id.to_owned(), secret.to_owned(), token.map(str::to_owned))
}

fn files(dir: &Path, with_token: bool, allow_open_files: bool) -> CredentialSource {
    CredentialSource::Files(KeyFiles {
        access_key_id_file: dir.join("id"),
        access_key_secret_file: dir.join("secret"),
        security_token_file: with_token.then(|| dir.join("token")),
        allow_open_files,
    })
}

fn folder_with(secret: impl AsRef<[u8]>, mode: u32) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("id"), "ID\n", 0o600);
    write(&dir.path().join("secret"), secret, mode);
    dir
}

#[tokio::test]
async fn a_rotated_file_is_seen_at_the_next_use() {
    let dir = folder_with("one\r\n", 0o640);
    write(&dir.path().join("token"), "tok", 0o600);
    let provider = offline(files(dir.path(), true, false), Environment::empty());
    assert_eq!(keys(&provider).await, owned("ID", "one", Some("tok")));
    write(&dir.path().join("secret"), "two", 0o640);
    assert_eq!(keys(&provider).await, owned("ID", "two", Some("tok")));
    let watched: Vec<PathBuf> = ["id", "secret", "token"].map(|name| dir.path().join(name)).into();
    assert_eq!(provider.watched_paths(), watched);
}

#[tokio::test]
async fn a_secret_that_others_may_use_is_refused_and_the_error_says_how_to_mend_it() {
    for mode in [0o604, 0o602, 0o601, 0o777] {
        let dir = folder_with("MARK", mode);
        let provider = offline(files(dir.path(), false, false), Environment::empty());
        let (kind, text) = fails(&provider).await;
        assert_eq!((kind, provider.check_modes().unwrap_err().kind()), (Kind::Open, Kind::Open));
        let path = dir.path().join("secret");
        for part in [
            format!("{mode:04o}"),
            format!("chmod 0640 {}", path.display()),
            "owned by".into(),
            "allow_open_files".into(),
        ] {
            assert!(text.contains(&part), "{text}");
        }
        let allowed = offline(files(dir.path(), false, true), Environment::empty());
        assert_eq!(keys(&allowed).await, owned("ID", "MARK", None));
        allowed.check_modes().unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        provider.check_modes().unwrap();
        assert_eq!(keys(&provider).await, owned("ID", "MARK", None));
    }
}

#[test]
fn a_missing_file_does_not_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    offline(files(dir.path(), true, false), Environment::empty()).check_modes().unwrap();
    offline(CredentialSource::Default, Environment::empty()).check_modes().unwrap();
}

#[tokio::test]
async fn files_that_hold_no_key_are_refused_without_being_repeated() {
    for (content, expected, part) in [
        (b"".to_vec(), Kind::Incomplete, "is empty"),
        (b" \n".to_vec(), Kind::Incomplete, "is empty"),
        (b"MARK\0x".to_vec(), Kind::Unreadable, "control character"),
        (b"MARK\nMARK".to_vec(), Kind::Unreadable, "control character"),
        (b"MARK MARK".to_vec(), Kind::Unreadable, "blank"),
        (b"MARK\xff".to_vec(), Kind::Unreadable, "is not text"),
        (vec![b'x'; (64 << 10) + 1], Kind::Unreadable, "64 KiB"),
    ] {
        let dir = folder_with(content, 0o600);
        let provider = offline(files(dir.path(), false, false), Environment::empty());
        let (kind, text) = fails(&provider).await;
        let path = dir.path().join("secret");
        assert!(kind == expected && text.contains(part) && text.contains(path.to_str().unwrap()), "{text}");
    }
    let dir = folder_with("x", 0o600);
    fs::remove_file(dir.path().join("secret")).unwrap();
    let provider = offline(files(dir.path(), false, false), Environment::empty());
    let (kind, text) = fails(&provider).await;
    assert!(kind == Kind::NotFound && text.contains("does not exist"), "{text}");
    fs::create_dir(dir.path().join("secret")).unwrap();
    fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o700)).unwrap();
    let (kind, text) = fails(&provider).await;
    assert!(kind == Kind::Unreadable && text.contains("not a regular file"), "{text}");
}

#[tokio::test]
async fn relative_files_are_looked_up_in_the_credentials_directory() {
    let dir = folder_with("secret", 0o400);
    let source = files(Path::new(""), false, false);
    let env = Environment::of([("CREDENTIALS_DIRECTORY", dir.path())]);
    let provider = offline(source.clone(), env);
    assert_eq!(keys(&provider).await, owned("ID", "secret", None));
    assert_eq!(provider.watched_paths(), [dir.path().join("id"), dir.path().join("secret")]);
    fs::set_permissions(dir.path().join("secret"), fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(provider.check_modes().unwrap_err().kind(), Kind::Open);

    let unset = offline(source, Environment::empty());
    let (kind, text) = fails(&unset).await;
    assert!(kind == Kind::NotFound && text.contains("$CREDENTIALS_DIRECTORY, which is not set"), "{text}");
    assert!(unset.watched_paths().is_empty());
}

#[tokio::test]
async fn the_environment_needs_both_keys_or_neither() {
    const ID: (&str, &str) = ("ALIBABA_CLOUD_ACCESS_KEY_ID", "id ");
    const SECRET: (&str, &str) = ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "MARK\n");
    const TOKEN: (&str, &str) = ("ALIBABA_CLOUD_SECURITY_TOKEN", "token");
    let provider =
        |variables: &[(&str, &str)]| offline(CredentialSource::Env, Environment::of(variables.iter().copied()));
    assert_eq!(keys(&provider(&[ID, SECRET])).await, owned("id", "MARK", None));
    assert_eq!(keys(&provider(&[ID, SECRET, TOKEN])).await, owned("id", "MARK", Some("token")));
    for (variables, missing) in [([ID, TOKEN], SECRET.0), ([SECRET, (ID.0, "")], ID.0)] {
        for source in [CredentialSource::Env, CredentialSource::Default] {
            let (kind, text) = fails(&offline(source, Environment::of(variables))).await;
            assert!(kind == Kind::Incomplete && text.contains(&format!("{missing} is not")), "{text}");
        }
    }
    let (kind, text) = fails(&provider(&[])).await;
    assert!(kind == Kind::NotFound && text.contains(ID.0) && text.contains(SECRET.0), "{text}");
    let (kind, text) = fails(&provider(&[ID, (SECRET.0, "MARK MARK")])).await;
    assert!(kind == Kind::Unreadable && text.contains(SECRET.0), "{text}");
}

#[tokio::test]
async fn debug_shows_no_key_and_the_origin_names_the_source() {
    let env = Environment::of([
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "MARK1"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "MARK2"),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "MARK3"),
    ]);
    let provider = offline(CredentialSource::Default, env);
    let found = provider.get().await.unwrap();
    for shown in [format!("{found:?}"), format!("{found:#?}"), format!("{provider:?}"), found.origin.clone()] {
        assert!(!shown.contains("MARK") && !shown.is_empty(), "{shown}");
    }
    assert_eq!(found.origin, "the environment");
}
