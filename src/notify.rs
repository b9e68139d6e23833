//! What systemd wants to know of a service of `Type=notify`.
//!
//! The protocol is a few words in a datagram. It is spoken here, because the crates for it look into the process's
//! environment themselves, where a test cannot put anything. Without `NOTIFY_SOCKET` nothing is sent.

use std::{
    ffi::OsStr,
    fmt, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::{
            ffi::OsStrExt as _,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

use crate::{
    clock,
    config::Environment,
    text::{is_hidden, redact},
};

/// How long a word waits for a manager that does not listen. Whoever feeds the watchdog has other things to do.
const PATIENCE: Duration = Duration::from_millis(100);

/// A sentence for `systemctl status`, which shows it on one line.
const STATUS_MAX_CHARS: usize = 300;

/// Tells the service manager how things are. A word that does not arrive is no error: the next one may.
#[derive(Debug)]
pub struct Notifier {
    manager: Option<Manager>,
    watchdog: Option<Duration>,
}

struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Manager").field(&self.address).finish()
    }
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    #[must_use]
    pub fn from_environment(environment: &Environment) -> Self {
        let manager = environment.path("NOTIFY_SOCKET").and_then(|address| match Manager::at(address.as_os_str()) {
            Ok(manager) => Some(manager),
            Err(e) => {
                tracing::debug!("NOTIFY_SOCKET {} cannot be used: {e}", address.display());
                None
            }
        });
        let watchdog = manager.as_ref().and_then(|_| watchdog_interval(environment));
        Self { manager, watchdog }
    }

    /// The service works; also the end of a reload.
    pub fn ready(&self) {
        self.send("READY=1\n");
    }

    /// One sentence for people. Line ends and control characters become spaces.
    pub fn status(&self, sentence: &str) {
        let plain = |c: char| if is_hidden(c) { ' ' } else { c };
        let sentence: String = redact(sentence).chars().map(plain).take(STATUS_MAX_CHARS).collect();
        self.send(&format!("STATUS={sentence}\n"));
    }

    /// A reload begins; [`ready`](Self::ready) ends it, whether the new configuration was taken or not.
    pub fn reloading(&self) {
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}\n", clock::monotonic_usec()));
    }

    /// The service stops by itself, or as it was asked to.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    /// The scheduler turns. To be called at least every [`watchdog_interval`](Self::watchdog_interval).
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1\n");
    }

    /// Half of the time after which the manager takes a silent service for dead; none when nobody watches.
    #[must_use]
    pub const fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog
    }

    fn send(&self, words: &str) {
        let Some(manager) = &self.manager else { return };
        if let Err(e) = manager.send(words) {
            tracing::debug!("the service manager did not take {:?}: {e}", words.trim_end());
        }
    }
}

impl Manager {
    fn at(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes() {
            // A name that is in no file system.
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(address)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, address })
    }

    fn send(&self, words: &str) -> io::Result<()> {
        // Ends: a signal that interrupts three sends of one word is no accident.
        let mut tries = 3;
        loop {
            tries -= 1;
            match self.socket.send_to_addr(words.as_bytes(), &self.address) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted && tries > 0 => {}
                sent => return sent.map(|_| ()),
            }
        }
    }
}

/// The variables are inherited: a watchdog of another process is none of ours.
fn watchdog_interval(environment: &Environment) -> Option<Duration> {
    let usec: u64 = environment.text("WATCHDOG_USEC")?.parse().ok()?;
    let pid = environment.text("WATCHDOG_PID").map(|pid| pid.parse());
    let ours = pid.is_none_or(|pid| pid == Ok(std::process::id()));
    (ours && usec > 1).then(|| Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use tempfile::TempDir;

    use super::*;

    fn manager() -> (TempDir, PathBuf, UnixDatagram) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        (dir, path, socket)
    }

    fn heard(socket: &UnixDatagram) -> Vec<String> {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(bytes) = socket.recv(&mut buffer) {
            heard.push(String::from_utf8(buffer[..bytes].to_vec()).unwrap());
        }
        heard
    }

    fn say_everything(notifier: &Notifier) {
        notifier.ready();
        notifier.status("3 listings, all well");
        notifier.reloading();
        notifier.watchdog();
        notifier.stopping();
    }

    fn assert_everything(heard: &[String]) {
        let [ready, status, reloading, watchdog, stopping] = heard else { panic!("{heard:?}") };
        assert_eq!(
            [ready, status, watchdog, stopping],
            ["READY=1\n", "STATUS=3 listings, all well\n", "WATCHDOG=1\n", "STOPPING=1\n"]
        );
        let usec = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!((1..=clock::monotonic_usec()).contains(&usec.parse().unwrap()), "{reloading}");
    }

    #[test]
    fn every_word_is_a_datagram_to_the_named_socket() {
        let (_dir, path, socket) = manager();
        let notifier = Notifier::from_environment(&Environment::of([("NOTIFY_SOCKET", path)]));
        say_everything(&notifier);
        assert_everything(&heard(&socket));
    }

    #[test]
    fn an_abstract_socket_is_reached_too() {
        let name = format!("cdn-usaged-test-{}-{:016x}", std::process::id(), rand::random::<u64>());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let notifier = Notifier::from_environment(&Environment::of([("NOTIFY_SOCKET", format!("@{name}"))]));
        say_everything(&notifier);
        assert_everything(&heard(&socket));
    }

    #[test]
    fn a_status_is_one_line_whatever_is_in_it() {
        let (_dir, path, socket) = manager();
        let notifier = Notifier::from_environment(&Environment::of([("NOTIFY_SOCKET", path)]));
        notifier.status("a\nREADY=1\u{1b}[2J https://b.oss.com/a?Signature=MARK");
        notifier.status(&"€".repeat(100_000));
        let heard = heard(&socket);
        assert_eq!(heard[0], "STATUS=a READY=1 [2J https://b.oss.com/a?[redacted]\n");
        assert_eq!(heard[1], format!("STATUS={}\n", "€".repeat(STATUS_MAX_CHARS)));
    }

    #[test]
    fn without_a_socket_or_with_a_dead_one_nothing_happens() {
        let dir = TempDir::new().unwrap();
        let absent = dir.path().join("absent").into_os_string();
        for (address, reachable) in [(None, false), (Some(absent), true), (Some("vsock:2:1".into()), false)] {
            let environment = Environment::of(address.map(|address| ("NOTIFY_SOCKET", address)));
            let notifier = Notifier::from_environment(&environment);
            assert_eq!(notifier.manager.is_some(), reachable);
            say_everything(&notifier);
            assert_eq!(notifier.watchdog_interval(), None);
        }
    }

    #[test]
    fn a_manager_that_does_not_listen_costs_no_more_than_patience() {
        let (_dir, path, socket) = manager();
        let notifier = Notifier::from_environment(&Environment::of([("NOTIFY_SOCKET", path)]));
        let manager = notifier.manager.as_ref().unwrap();
        // The queue of a datagram socket is far shorter than this.
        let full = (0..10_000).find_map(|_| manager.send("WATCHDOG=1\n").err()).unwrap();
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        notifier.watchdog();
        assert!(!heard(&socket).is_empty());
        notifier.ready();
        assert_eq!(heard(&socket), ["READY=1\n"]);
    }

    #[test]
    fn the_watchdog_is_fed_twice_in_its_time_and_only_when_it_is_ours() {
        let (_dir, path, _socket) = manager();
        let own = std::process::id().to_string();
        for (usec, pid, expected) in [
            (Some("60000000"), Some(own.as_str()), Some(Duration::from_secs(30))),
            (Some("60000000"), None, Some(Duration::from_secs(30))),
            (Some("60000000"), Some("1"), None),
            (Some("60000000"), Some("x"), None),
            (Some("0"), None, None),
            (Some("1"), None, None),
            (Some("soon"), None, None),
            (None, Some(own.as_str()), None),
        ] {
            let variables = [("NOTIFY_SOCKET", path.to_str()), ("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid)];
            let set = variables.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let notifier = Notifier::from_environment(&Environment::of(set));
            assert_eq!(notifier.watchdog_interval(), expected, "{usec:?} {pid:?}");
        }
    }
}
