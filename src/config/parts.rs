//! The files of a configuration: the one that is named, and those in the folder `conf.d` beside it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use super::ConfigError;

/// The folder.
const FOLDER: &str = "conf.d";
/// The largest file that is read, in bytes: a thousand accounts need a few hundred KiB.
const FILE_MAX_BYTES: u64 = 4 << 20;
/// One file for each account of a large company, and some.
const FILES_MAX: usize = 1000;

/// One file. Without `Debug`: somebody may have pasted a secret into it.
pub(super) struct Part {
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// The file, and then those of the folder, in the order of their names.
pub(super) fn read(path: &Path) -> Result<Vec<Part>, ConfigError> {
    let text = read_file(path).map_err(|error| ConfigError::Unreadable { path: path.to_owned(), error })?;
    let mut parts = vec![Part { path: path.to_owned(), text }];
    let folder = path.parent().unwrap_or(Path::new("")).join(FOLDER);
    let unreadable = |path: &Path, error| {
        let (path, folder) = (path.to_owned(), folder.clone());
        ConfigError::UnreadablePart { path, folder, error }
    };
    for path in listed(&folder).map_err(|error| unreadable(&folder, error))? {
        let text = read_file(&path).map_err(|error| unreadable(&path, error))?;
        parts.push(Part { path, text });
    }
    Ok(parts)
}

/// The files of the folder that count, in the order of the bytes of their names. None when there is no folder.
fn listed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        if !counts(name.as_bytes()) {
            continue;
        }
        if names.len() == FILES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILES_MAX} files")));
        }
        names.push(name);
    }
    names.sort();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Hidden files, what editors and package managers leave behind (`a.toml~`, `#a.toml#`, `a.toml.bak`, `a.toml.dpkg-new`), and
/// whatever else is no `.toml` does not count.
fn counts(name: &[u8]) -> bool {
    name.ends_with(b".toml") && !name.starts_with(b".") && !name.starts_with(b"#")
}

fn read_file(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {FILE_MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}
