//! The journal's own protocol: one datagram an entry, so that fields can be matched with `journalctl`.

use std::{
    io::{self, ErrorKind},
    os::{fd::AsFd, unix::net::UnixDatagram},
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::Value;
use tracing::Level;

use super::line::Line;
use crate::{events::message_id, text::visible};

/// Where journald listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// What `journalctl -t` finds, whatever the binary is called.
const IDENTIFIER: &str = "cdn-usaged";

/// Longer values are cut. A dozen of these still fit into one datagram, whose limit is about 200 KiB by default, and
/// no value that means something is near it.
const VALUE_MAX_BYTES: usize = 8 * 1024;

/// The journal refuses an entry that has a longer name of a field.
const NAME_MAX_BYTES: usize = 64;

/// How long a line waits for a journal that does not keep up. Its queue is some hundred entries, so that a burst of
/// transitions fills it now and then, and it is empty again within milliseconds.
const PATIENCE: Duration = Duration::from_millis(50);

/// The way to the journal.
#[derive(Debug)]
pub(super) struct Journal {
    /// Not connected: a journal that is started anew is found again.
    socket: UnixDatagram,
    path: PathBuf,
    /// The last entry had to wait in vain, so that the next ones do not wait: a journal that hangs stops nothing.
    stalled: AtomicBool,
}

impl Journal {
    pub(super) fn at(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, path, stalled: AtomicBool::new(false) })
    }

    /// False when the journal did not take it, so that the line has to go elsewhere.
    pub(super) fn send(&self, line: &Line) -> bool {
        let entry = entry(line);
        // Ends: a signal that interrupts three sends of one line is no accident.
        for _ in 0..3 {
            match self.socket.send_to(&entry, &self.path) {
                Ok(_) => {
                    self.stall(false);
                    return true;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => {
                    self.stall(e.kind() == ErrorKind::WouldBlock);
                    return false;
                }
            }
        }
        false
    }

    fn stall(&self, stalled: bool) {
        if self.stalled.swap(stalled, Ordering::Relaxed) != stalled {
            // When it fails, lines wait longer or not at all; none is lost.
            let _ = self.socket.set_nonblocking(stalled);
        }
    }
}

/// Whether a stream is the one that `JOURNAL_STREAM` names by device and inode. The variable alone says little: it is
/// inherited by whatever a service starts, also where standard error leads elsewhere.
pub(super) fn is_stream(named: &str, stream: impl AsFd) -> bool {
    let (Some((dev, ino)), Ok(stat)) = (named.split_once(':'), rustix::fs::fstat(stream)) else { return false };
    dev.parse() == Ok(stat.st_dev) && ino.parse() == Ok(stat.st_ino)
}

/// One `NAME=value` a line. What would end a line early, or act on the terminal of whoever reads the journal, is
/// shown as text, so that the protocol's binary form is never needed.
fn entry(line: &Line) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut put = |name: &str, value: &str| {
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        let value = visible(value);
        let kept = value.floor_char_boundary(VALUE_MAX_BYTES);
        out.extend_from_slice(&value.as_bytes()[..kept]);
        if kept < value.len() {
            out.extend_from_slice("…".as_bytes());
        }
        out.push(b'\n');
    };
    let event = line.event.as_deref();
    put("MESSAGE", if line.message.is_empty() { event.unwrap_or(&line.target) } else { &line.message });
    if let Some(id) = event.and_then(message_id) {
        put("MESSAGE_ID", id);
    }
    put("PRIORITY", priority(line.level));
    put("SYSLOG_IDENTIFIER", IDENTIFIER);
    put("CDN_USAGED_TIMESTAMP", &line.timestamp);
    put("CDN_USAGED_LEVEL", &line.level.as_str().to_ascii_lowercase());
    put("CDN_USAGED_EVENT", event.unwrap_or("log"));
    if event.is_none() {
        put("CDN_USAGED_TARGET", &line.target);
    }
    for (name, value) in &line.fields {
        match value {
            Value::String(text) => put(&field_name(name), text),
            other => put(&field_name(name), &other.to_string()),
        }
    }
    out
}

/// The severities of syslog: information is 6, not 5, which is for what a person should notice.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// Capital letters, digits and underscores are all that the journal takes.
fn field_name(name: &str) -> String {
    let capital = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    "CDN_USAGED_".chars().chain(name.chars().map(capital)).take(NAME_MAX_BYTES).collect()
}

#[cfg(test)]
mod tests;
