//! The user name and the password of a proxy, in a file of their own.

use std::{
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use secrecy::SecretString;

use super::{
    CredentialsError, Kind,
    files::{open_regular, resolve},
};
use crate::config::Environment;

/// The largest file that is read, in bytes.
const FILE_MAX_BYTES: u64 = 4 << 10;

/// The user name and the password for a proxy, as a file holds them now: `USER:PASSWORD` on one line, and nothing else. A
/// relative path is looked up as those of keys are.
///
/// # Errors
/// When the file is open to others, cannot be read, or holds something else; says how to mend it.
pub fn proxy_login(path: &Path, env: &Environment) -> Result<(String, SecretString), CredentialsError> {
    let path = resolve(path, env)?;
    let failed =
        |kind: Kind, why: String| CredentialsError::new(kind, format!("the credentials file {} {why}", path.display()));
    let io_failed = |e: io::Error| {
        let why =
            format!("cannot be read: {e}; it must be a file that this user may read, with USER:PASSWORD on one line");
        failed(Kind::Unreadable, why)
    };
    let file = open_regular(&path).map_err(io_failed)?;
    let mode = file.metadata().map_err(io_failed)?.mode() & 0o7777;
    if mode & 0o007 != 0 {
        let shown = path.display();
        let why = format!(
            "is open to other users (mode {mode:04o}); mend it with: chmod 0640 {shown}, owned by the user that runs this \
             program, or by root and its group"
        );
        return Err(failed(Kind::Open, why));
    }
    let mut text = String::new();
    file.take(FILE_MAX_BYTES + 1).read_to_string(&mut text).map_err(io_failed)?;
    let line = text.trim_end_matches(['\n', '\r']);
    match line.split_once(':') {
        Some((user, password))
            if text.len() as u64 <= FILE_MAX_BYTES && !user.is_empty() && !line.chars().any(char::is_control) =>
        {
            Ok((user.to_owned(), password.to_owned().into()))
        }
        _ => Err(failed(Kind::Unreadable, "must hold USER:PASSWORD on one line, and nothing else".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_login_is_one_line_in_a_file_that_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("login");
        let read = |text: &str, mode: u32| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let env = Environment::of([("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap())]);
            assert_eq!(proxy_login(Path::new("login"), &env).is_ok(), proxy_login(&file, &env).is_ok());
            proxy_login(&file, &env)
        };
        for (text, user, password) in
            [("user:MARK\n", "user", "MARK"), ("user:MA:RK@/ +%", "user", "MA:RK@/ +%"), ("user:\r\n", "user", "")]
        {
            let (read_user, read_password) = read(text, 0o640).unwrap();
            assert_eq!((read_user.as_str(), read_password.expose_secret()), (user, password));
        }
        for text in ["", "MARK", ":MARK", "user:MARK\nmore", "user:MA\tRK", &format!("u:{}", "MARK".repeat(2000))] {
            let error = read(text, 0o640).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("MARK"), "{error}");
            assert!(error.to_string().contains("USER:PASSWORD on one line"), "{error}");
        }
        let error = read("user:MARK", 0o644).unwrap_err();
        assert_eq!(error.kind(), Kind::Open);
        assert!(error.to_string().contains("(mode 0644); mend it with: chmod 0640"), "{error}");
        fs::remove_file(&file).unwrap();
        for path in [file.as_path(), dir.path(), Path::new("relative")] {
            assert!(proxy_login(path, &Environment::empty()).is_err(), "{}", path.display());
        }
    }
}
