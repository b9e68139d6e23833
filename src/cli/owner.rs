//! Root on a state directory of another user would leave files there that this user cannot write.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path};

use super::Failure;

/// Refuses, and prints the line to use instead.
pub(crate) fn refuse_root(config_path: &Path, state_dir: &Path, command: &str, as_root: bool) -> Result<(), Failure> {
    let Ok(meta) = fs::metadata(state_dir) else { return Ok(()) };
    if as_root || !rustix::process::geteuid().is_root() || meta.uid() == 0 {
        return Ok(());
    }
    let user = user_name(meta.uid());
    Err(Failure::other(format!(
        "{} belongs to {user}, and what root writes there {user} could not write again; run\n  \
         sudo -u {user} cdn-usaged --config {} {command}\nor add --as-root if that is what you mean",
        state_dir.display(),
        config_path.display(),
    )))
}

/// The name of a user, or `#UID` as sudo takes it, quoted for the shell.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
            (id.parse() == Ok(uid)).then(|| name.to_owned())
        })
        .next()
        .unwrap_or_else(|| format!("'#{uid}'"))
}
