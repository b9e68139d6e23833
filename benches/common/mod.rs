//! What the benchmarks share: the program's configuration and a look at its process.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

/// What goes wrong in a benchmark ends it.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// An account's name, the id of its key and the secret.
pub type Keys<'a> = (&'a str, &'a str, &'a str);

/// Writes a configuration and the key files that it names. `sections` is what stands before the accounts.
pub fn configure(dir: &Path, endpoint: &str, sections: &str, accounts: &[Keys<'_>]) -> io::Result<PathBuf> {
    let place = dir.display();
    let mut text = format!("[storage]\nstate_dir = '{place}/state'\nmin_free = '1MiB'\n{sections}");
    for (name, id, secret) in accounts {
        for (part, value) in [("id", id), ("secret", secret)] {
            let path = dir.join(format!("{name}.{part}"));
            let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(value.as_bytes())?;
        }
        text.push_str(&format!(
            "[[account]]\nname = '{name}'\nendpoint = '{endpoint}'\n[account.credentials]\nsource = 'files'\n\
             access_key_id_file = '{place}/{name}.id'\naccess_key_secret_file = '{place}/{name}.secret'\n"
        ));
    }
    let path = dir.join("config.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// A number of `/proc/PID/status`, such as `VmRSS`; none once the process is gone.
pub fn status(pid: u32, name: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}
