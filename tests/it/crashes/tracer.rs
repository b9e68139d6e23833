//! Runs the binary under `ptrace`, stops it at every system call, and does to it what a test decides: kill it before or
//! after the call, or have the call fail.
//!
//! All requests for a traced process come from the thread that started it, and that thread waits for its own children
//! only: other tests run theirs in this process, too. Registers are read as x86-64 has them.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Write as _,
    os::unix::{fs::FileExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
};

use nix::{
    errno::Errno,
    libc::{self, c_long, user_regs_struct},
    sys::{
        ptrace,
        signal::Signal,
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use crate::common::{DEADLINE, Run, World};

/// Of a longer write only this much is looked at: more than a page of the database or a line.
const WRITTEN_MAX: u64 = 8192;

/// What is done at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Nothing; the next call is looked at, too.
    Pass,
    /// SIGKILL, and the call is not made.
    KillBefore,
    /// The call is made, then SIGKILL.
    KillAfter,
    /// The call is not made and returns this error.
    Fail(Errno),
    /// The call is made and returns this error all the same.
    FailAfter(Errno),
    /// Nothing, and no call is looked at any more.
    Leave,
}

/// A call that changes what is durable below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// The system call.
    pub call: &'static str,
    /// What it changes, relative to the folder; of a rename both names, with ` > ` between them.
    pub path: String,
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.call, self.path)
    }
}

/// A call that is about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Call {
    thread: Pid,
    regs: user_regs_struct,
}

impl Call {
    /// What it changes below a folder, if it does.
    pub fn point(&self, folder: &Path) -> Option<Point> {
        let (call, paths) = self.changed()?;
        let below: Option<Vec<_>> = paths.iter().map(|p| p.strip_prefix(folder).ok()?.to_str()).collect();
        Some(Point { call, path: below?.join(" > ") })
    }

    /// The file that it reads from at a place, as SQLite does, if it does.
    pub fn read(&self) -> Option<PathBuf> {
        (self.number() == libc::SYS_pread64).then(|| self.fd(self.regs.rdi)).flatten()
    }

    /// What it writes to standard error, if it does.
    pub fn said(&self) -> Option<String> {
        (self.number() == libc::SYS_write && self.regs.rdi == 2).then(|| self.text())
    }

    /// What a call writes, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.memory(self.regs.rsi, self.regs.rdx.min(WRITTEN_MAX))).into_owned()
    }

    fn number(&self) -> c_long {
        self.regs.orig_rax.cast_signed()
    }

    fn changed(&self) -> Option<(&'static str, Vec<PathBuf>)> {
        let [a, b, c, d] = [self.regs.rdi, self.regs.rsi, self.regs.rdx, self.regs.r10];
        let fd = |call| self.fd(a).map(|path| (call, vec![path]));
        let one = |call, path: Option<PathBuf>| path.map(|path| (call, vec![path]));
        let two = |call, from: Option<PathBuf>, to: Option<PathBuf>| from.zip(to).map(|(f, t)| (call, vec![f, t]));
        let cwd = libc::AT_FDCWD as u64;
        match self.number() {
            libc::SYS_write => fd("write"),
            libc::SYS_writev => fd("writev"),
            libc::SYS_pwrite64 => fd("pwrite"),
            libc::SYS_pwritev | libc::SYS_pwritev2 => fd("pwritev"),
            libc::SYS_ftruncate => fd("ftruncate"),
            libc::SYS_fallocate => fd("fallocate"),
            libc::SYS_fsync => fd("fsync"),
            libc::SYS_fdatasync => fd("fdatasync"),
            libc::SYS_fchmod => fd("fchmod"),
            libc::SYS_chmod => one("chmod", self.at(cwd, a)),
            libc::SYS_fchmodat => one("chmod", self.at(a, b)),
            libc::SYS_truncate => one("truncate", self.at(cwd, a)),
            libc::SYS_rename => two("rename", self.at(cwd, a), self.at(cwd, b)),
            libc::SYS_renameat => two("rename", self.at(a, b), self.at(c, d)),
            libc::SYS_renameat2 => {
                let call =
                    if self.regs.r8 == u64::from(libc::RENAME_NOREPLACE) { "rename_noreplace" } else { "rename" };
                two(call, self.at(a, b), self.at(c, d))
            }
            libc::SYS_link => two("link", self.at(cwd, a), self.at(cwd, b)),
            libc::SYS_linkat => two("link", self.at(a, b), self.at(c, d)),
            libc::SYS_unlink | libc::SYS_rmdir => one("unlink", self.at(cwd, a)),
            libc::SYS_unlinkat => one("unlink", self.at(a, b)),
            libc::SYS_mkdir => one("mkdir", self.at(cwd, a)),
            libc::SYS_mkdirat => one("mkdir", self.at(a, b)),
            libc::SYS_creat => one("create", self.at(cwd, a)),
            libc::SYS_open => self.created(b, self.at(cwd, a)),
            libc::SYS_openat => self.created(c, self.at(a, b)),
            _ => None,
        }
    }

    /// An open that makes the file, or empties it.
    fn created(&self, flags: u64, path: Option<PathBuf>) -> Option<(&'static str, Vec<PathBuf>)> {
        let path = path?;
        let has = |flag: i32| flags & flag as u64 != 0;
        let changes = (has(libc::O_CREAT) && !path.exists()) || (has(libc::O_TRUNC) && path.exists());
        changes.then(|| ("create", vec![path]))
    }

    fn fd(&self, fd: u64) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/fd/{fd}", self.thread)).ok()
    }

    /// A name in the process's memory, below the folder of a descriptor.
    fn at(&self, folder: u64, name: u64) -> Option<PathBuf> {
        let bytes = self.memory(name, 4096);
        let name = PathBuf::from(String::from_utf8(bytes.split(|&b| b == 0).next()?.to_vec()).ok()?);
        if name.is_absolute() {
            return Some(name);
        }
        let folder = match i32::try_from(folder.cast_signed()) {
            Ok(libc::AT_FDCWD) => fs::read_link(format!("/proc/{}/cwd", self.thread)).ok()?,
            _ => self.fd(folder & u64::from(u32::MAX))?,
        };
        Some(folder.join(name))
    }

    /// What is readable of so many bytes.
    fn memory(&self, from: u64, length: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(length).unwrap()];
        let mut read = 0;
        let Ok(memory) = File::open(format!("/proc/{}/mem", self.thread)) else { return Vec::new() };
        // Page by page: the one behind the text may not be there.
        while read < bytes.len() {
            let at = from + read as u64;
            let end = (read + (4096 - at % 4096) as usize).min(bytes.len());
            match memory.read_at(&mut bytes[read..end], at) {
                Ok(n) if n > 0 => read += n,
                _ => break,
            }
        }
        bytes.truncate(read);
        bytes
    }
}

impl World {
    /// Runs a command to its end, with a decision at every system call. Standard output and error go to files, so that what
    /// was said before a kill is known.
    pub async fn trace(&self, args: &[&str], decide: impl FnMut(&Call) -> Act + Send + 'static) -> Run {
        let (out, err) = (self.path().join("traced.out"), self.path().join("traced.err"));
        let program = self.command(args);
        let program = program.as_std();
        let mut command = Command::new("/bin/sh");
        // It waits until it is traced, and becomes the program then.
        command.args(["-c", "read go; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
        command.env_clear().current_dir(self.path());
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::piped()).stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let (status, hangs) = tokio::task::spawn_blocking(move || trace(&mut command, decide)).await.unwrap();
        let text = |path| fs::read_to_string(path).unwrap();
        let run = Run { status, stdout: text(out), stderr: text(err) };
        assert!(!hangs, "it did not end by itself: {run}");
        run
    }
}

/// Runs a command that waits for a line on its standard input, traced from then on. Says how it ended, and whether it had to
/// be ended because it took too long.
#[expect(clippy::zombie_processes, reason = "the tracer waits for all of them")]
fn trace(command: &mut Command, decide: impl FnMut(&Call) -> Act) -> (ExitStatus, bool) {
    let mut child = command.spawn().unwrap();
    let leader = Pid::from_raw(child.id().cast_signed());
    let options = ptrace::Options::PTRACE_O_TRACESYSGOOD
        | ptrace::Options::PTRACE_O_TRACECLONE
        | ptrace::Options::PTRACE_O_TRACEFORK
        | ptrace::Options::PTRACE_O_TRACEVFORK
        | ptrace::Options::PTRACE_O_TRACEEXEC
        | ptrace::Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options).unwrap();
    // Calls are looked at from its next stop on: at once.
    ptrace::interrupt(leader).unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    std::thread::scope(|scope| {
        let (done, watched) = mpsc::channel::<()>();
        let watch = scope.spawn(move || {
            let hangs = watched.recv_timeout(DEADLINE) == Err(mpsc::RecvTimeoutError::Timeout);
            if hangs {
                kill(leader);
            }
            hangs
        });
        let status = Tracer { leader, decide, watching: true, exits: HashMap::new() }.run();
        drop(done);
        (status, watch.join().unwrap())
    })
}

fn kill(process: Pid) {
    // It may have ended by itself.
    let _ = nix::sys::signal::kill(process, Signal::SIGKILL);
}

struct Tracer<D> {
    leader: Pid,
    decide: D,
    /// Whether calls are still looked at.
    watching: bool,
    /// What is done when a thread's call returns.
    exits: HashMap<Pid, Act>,
}

impl<D: FnMut(&Call) -> Act> Tracer<D> {
    /// Until the process and all its threads have ended.
    fn run(mut self) -> ExitStatus {
        let mut ended = None;
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)) {
                Ok(status) => status,
                Err(Errno::EINTR) => continue,
                Err(Errno::ECHILD) => return ended.unwrap(),
                Err(e) => panic!("{e}"),
            };
            // A process that was killed has nothing more to be asked: each of these may find it gone.
            let _ = match status {
                WaitStatus::Exited(pid, code) => {
                    if pid == self.leader {
                        ended = Some(ExitStatus::from_raw(code << 8));
                    }
                    Ok(())
                }
                WaitStatus::Signaled(pid, signal, _) => {
                    if pid == self.leader {
                        ended = Some(ExitStatus::from_raw(signal as i32));
                    }
                    Ok(())
                }
                WaitStatus::PtraceSyscall(pid) => self.stop(pid).and_then(|()| self.go_on(pid, None)),
                WaitStatus::Stopped(pid, signal) => self.go_on(pid, Some(signal)),
                WaitStatus::PtraceEvent(pid, ..) => self.go_on(pid, None),
                other => panic!("{other:?}"),
            };
        }
    }

    fn go_on(&self, thread: Pid, signal: Option<Signal>) -> nix::Result<()> {
        let is_due = self.watching || self.exits.contains_key(&thread);
        if is_due { ptrace::syscall(thread, signal) } else { ptrace::cont(thread, signal) }
    }

    fn stop(&mut self, thread: Pid) -> nix::Result<()> {
        if ptrace::syscall_info(thread)?.op == libc::PTRACE_SYSCALL_INFO_ENTRY {
            self.enter(thread)
        } else if let Some(act) = self.exits.remove(&thread) {
            self.leave(thread, act)
        } else {
            Ok(())
        }
    }

    fn enter(&mut self, thread: Pid) -> nix::Result<()> {
        if !self.watching {
            return Ok(());
        }
        let call = Call { thread, regs: ptrace::getregs(thread)? };
        match (self.decide)(&call) {
            Act::Pass => {}
            Act::Leave => self.watching = false,
            // The call of a thread that is killed at its door is not made.
            Act::KillBefore => kill(self.leader),
            act => {
                if matches!(act, Act::Fail(_)) {
                    // No call has this number.
                    ptrace::setregs(thread, user_regs_struct { orig_rax: u64::MAX, ..call.regs })?;
                }
                self.exits.insert(thread, act);
            }
        }
        Ok(())
    }

    fn leave(&self, thread: Pid, act: Act) -> nix::Result<()> {
        match act {
            Act::Fail(error) | Act::FailAfter(error) => {
                let regs = ptrace::getregs(thread)?;
                let returned = -i64::from(error as i32);
                ptrace::setregs(thread, user_regs_struct { rax: returned.cast_unsigned(), ..regs })
            }
            _ => {
                kill(self.leader);
                Ok(())
            }
        }
    }
}
