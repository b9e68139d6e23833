//! What the machine does wrong.

mod clock;
mod database;
mod disk;
mod folders;
mod limits;
mod names;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};

use crate::common::{World, is_root};

/// Says that a test checks nothing here; where everything is to be checked, that is a failure.
pub fn leave_out(why: &str) {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci.is_empty()), "not checked: {why}");
    eprintln!("skipped: {why}");
}

/// Runs a command of the system; false when it fails, or is not there.
fn system(program: &str, args: &[&str]) -> bool {
    let done = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// A small file system of its own on a folder; gone when it is dropped. Make it after the world, so that it goes first.
#[derive(Debug)]
struct Disk(PathBuf);

impl Disk {
    /// None where that is not permitted, which is said.
    fn mount(at: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={size},mode=0750");
        let mounted = is_root() && system("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", at.to_str().unwrap()]);
        if mounted {
            return Some(Self(at.to_owned()));
        }
        leave_out("a file system can be mounted by root alone");
        None
    }

    /// The same in a file, with a file system that can fail as those of disks do.
    fn mount_image(at: &Path, image: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        std::fs::File::create(image).unwrap().set_len(32 << 20).unwrap();
        if is_root() && system("mkfs.ext4", &["-q", image.to_str().unwrap()]) && Self::attach(at, image) {
            return Some(Self(at.to_owned()));
        }
        leave_out("an image of a file system can be made and mounted by root alone");
        None
    }

    fn attach(at: &Path, image: &Path) -> bool {
        let (at, image) = (at.to_str().unwrap(), image.to_str().unwrap());
        system("mount", &["-o", "loop,errors=remount-ro", image, at])
    }

    /// Mounts the image again, its journal replayed.
    fn repair(&mut self, image: &Path) {
        assert!(system("umount", &[self.0.to_str().unwrap()]) && Self::attach(&self.0, image));
    }

    /// Changes an option: `size=64m`, `ro`, `rw`.
    fn set(&self, option: &str) {
        let option = format!("remount,{option}");
        assert!(system("mount", &["-o", &option, self.0.to_str().unwrap()]), "{option}");
    }

    /// Fills it to the last byte; removing the file that this leaves makes room again.
    fn fill(&self) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = std::fs::File::create(&filler).unwrap();
        while std::io::Write::write_all(&mut file, &[0; 512]).is_ok() {}
        filler
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        system("umount", &["--lazy", self.0.to_str().unwrap()]);
    }
}

impl World {
    /// Changes the database behind the program's back.
    async fn meddle(&self, sql: &str) {
        let mut db = SqliteConnectOptions::new().filename(self.database()).connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut db).await.unwrap();
        db.close().await.unwrap();
    }

    /// The binary, after a script of the shell that is run in its place first.
    fn after(&self, script: &str, args: &[&str]) -> tokio::process::Command {
        let binary = self.command(args);
        let mut command = tokio::process::Command::new("sh");
        command
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir(self.path())
            .args(["-c", &format!("{script} && exec \"$@\""), "sh"])
            .arg(binary.as_std().get_program())
            .args(binary.as_std().get_args())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Asserts that the database is whole, file and statements.
    async fn assert_whole(&self) {
        assert_eq!(self.texts("PRAGMA integrity_check").await, ["ok"]);
        self.assert_sound().await;
        self.run(&["verify"]).await.expect(0);
    }
}
