//! Keys in files of their own.

use std::{
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

use super::{Credentials, CredentialsError, Kind, is_key};
use crate::config::{Environment, KeyFiles};

/// The largest file that is read, in bytes: STS tokens, the longest of the three, have one or two thousand.
const FILE_MAX_BYTES: u64 = 64 << 10;

/// The configured files.
pub(super) struct Files<'a> {
    access_key_id: &'a Path,
    access_key_secret: &'a Path,
    security_token: Option<&'a Path>,
    allow_open: bool,
    env: &'a Environment,
}

impl<'a> Files<'a> {
    pub(super) fn new(configured: &'a KeyFiles, env: &'a Environment) -> Self {
        Self {
            access_key_id: &configured.access_key_id_file,
            access_key_secret: &configured.access_key_secret_file,
            security_token: configured.security_token_file.as_deref(),
            allow_open: configured.allow_open_files,
            env,
        }
    }

    pub(super) fn read(&self) -> Result<Credentials, CredentialsError> {
        let id = self.read_one(self.access_key_id)?;
        let secret = self.read_one(self.access_key_secret)?;
        let token = self.security_token.map(|path| self.read_one(path)).transpose()?;
        Ok(Credentials {
            access_key_id: id,
            access_key_secret: secret.into(),
            security_token: token.map(SecretString::from),
            origin: format!("the files {} and {}", self.access_key_id.display(), self.access_key_secret.display()),
            expires_at: None,
        })
    }

    /// The files that could be resolved.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.configured().filter_map(|path| resolve(path, self.env).ok()).collect()
    }

    pub(super) fn check_modes(&self) -> Result<(), CredentialsError> {
        for path in self.paths() {
            if let Ok(meta) = fs::metadata(&path) {
                self.check_mode(&path, &meta)?;
            }
        }
        Ok(())
    }

    fn configured(&self) -> impl Iterator<Item = &Path> {
        [Some(self.access_key_id), Some(self.access_key_secret), self.security_token].into_iter().flatten()
    }

    fn check_mode(&self, path: &Path, meta: &Metadata) -> Result<(), CredentialsError> {
        let mode = meta.mode() & 0o7777;
        if self.allow_open || mode & 0o007 == 0 {
            return Ok(());
        }
        let shown = path.display();
        let text = format!(
            "the credentials file {shown} is open to other users (mode {mode:04o}); mend it with: chmod 0640 {shown}, \
             owned by the user that runs this program, or by root and its group; where a container mounts it that way, set \
             allow_open_files = true"
        );
        Err(CredentialsError::new(Kind::Open, text))
    }

    fn read_one(&self, path: &Path) -> Result<String, CredentialsError> {
        let path = resolve(path, self.env)?;
        let failed = |kind: Kind, why: &str| {
            CredentialsError::new(kind, format!("the credentials file {} {why}", path.display()))
        };
        let io_failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => failed(Kind::NotFound, "does not exist; put the key there, or mend the path"),
            io::ErrorKind::PermissionDenied => failed(
                Kind::Unreadable,
                "cannot be read by this user; give it to a group that the user is in, with mode 0640",
            ),
            _ => failed(Kind::Unreadable, &format!("cannot be read: {e}")),
        };
        let file = open_regular(&path).map_err(io_failed)?;
        // The mode of what was opened, not of what the name meant a moment ago.
        self.check_mode(&path, &file.metadata().map_err(io_failed)?)?;
        let mut bytes = Vec::new();
        file.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io_failed)?;
        if bytes.len() as u64 > FILE_MAX_BYTES {
            return Err(failed(Kind::Unreadable, "has more than 64 KiB, which no key has"));
        }
        let text = String::from_utf8(bytes).map_err(|_| failed(Kind::Unreadable, "is not text"))?;
        match text.trim() {
            "" => Err(failed(Kind::Incomplete, "is empty")),
            key if is_key(key) => Ok(key.to_owned()),
            _ => Err(failed(
                Kind::Unreadable,
                "holds a blank or a control character within the key; it must hold one key and nothing else",
            )),
        }
    }
}

/// Opens a file that holds a secret. Asked before whether it is a regular one, since opening a pipe waits for its writer.
pub(super) fn open_regular(path: &Path) -> io::Result<File> {
    if fs::metadata(path)?.is_file() {
        File::open(path)
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
    }
}

/// A relative path is one in the credentials directory that systemd hands over.
pub(super) fn resolve(path: &Path, env: &Environment) -> Result<PathBuf, CredentialsError> {
    if path.is_absolute() {
        return Ok(path.to_owned());
    }
    let folder = env.path("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        let text = format!(
            "the credentials file {} is looked up in $CREDENTIALS_DIRECTORY, which is not set; write an absolute path, or \
             give the file to the systemd unit with LoadCredential=",
            path.display()
        );
        CredentialsError::new(Kind::NotFound, text)
    })?;
    Ok(folder.join(path))
}
