//! Opening, and what is refused: a database that is another program's, newer than this program, or damaged is named
//! and left as it is, never replaced by an empty one.

use std::{
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, Row as _, SqliteConnection, SqlitePool,
    migrate::Migrator,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{FileId, Store, together::Steps, unhurried::Unhurried};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// "CDNU"; the first migration sets it.
const APPLICATION_ID: i64 = 0x4344_4E55;
/// Where it stands in the file's header.
const APPLICATION_ID_AT: u64 = 68;
/// A database up to this size is checked whole at start (some 2 ms a MiB); a larger one would delay the start, and its
/// damage shows when it is read.
const CHECKED_AT_START_MAX_BYTES: u64 = 16 * 1024 * 1024;
/// How long a statement waits for a lock that another process holds, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// A database up to this size is written anew at a clean close, by way of as much memory: some 5 ms a MiB.
const VACUUMED_MAX_BYTES: u64 = 32 * 1024 * 1024;
/// How much of the database a command that reads, and ends, sees by way of a mapping: what is checked whole at first is then read
/// again by index without a call for each page, and without an allocation. What runs for long reads with calls: a disk that fails
/// under a mapping ends the process.
const READ_ONCE_MAPPED_BYTES: &str = "67108864";
/// The write-ahead log shrinks back to this after a burst.
const JOURNAL_SIZE_LIMIT_BYTES: &str = "16777216";

/// Why a database was not opened. It is left as it is.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is there, and it is no database of ours.
    #[error(
        "{path} is a database of another program (application id {found}); it is left as it is: \
         point storage.state_dir elsewhere, or move the file away"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it says it is.
        found: i64,
    },
    /// A later version of this program wrote it.
    #[error(
        "{path} was written by a newer version of cdn-usaged (schema {found}, this one knows {known}); it is left as it \
         is: install that version again"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// SQLite cannot read it.
    #[error(
        "{path} is damaged or no SQLite database ({detail}); it is left as it is: restore it from a backup, or move it \
         away, with the -wal, -shm and -journal beside it, and run `cdn-usaged once`, which adopts the files that are there"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        detail: String,
    },
    /// A process was killed while it changed the file, and its journal would have to be played back.
    #[error("{path} was being changed when a process was cut off; `cdn-usaged once` or `cdn-usaged run` sets it right")]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// Anything else: permissions, a missing folder, a lock.
    #[error("cannot open the database {path}: {detail}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why not.
        detail: String,
    },
    /// A reader found nothing there.
    #[error("there is no database at {path} yet; `cdn-usaged once` or `cdn-usaged run` makes it")]
    Absent {
        /// The file.
        path: PathBuf,
    },
}

fn file_name(state_dir: &Path) -> PathBuf {
    state_dir.join("usage.db")
}

impl Store {
    /// Opens the database of a state directory for reading and writing; makes it when there is none. The caller
    /// holds the lock, except `retry`, which writes beside a running daemon.
    ///
    /// # Errors
    /// When what is there is not ours to use; see [`OpenError`].
    pub async fn open(state_dir: &Path) -> Result<Self, OpenError> {
        let path = file_name(state_dir);
        match length(&path)? {
            Some(size) => match inspect(&reading(&path), &path, size).await {
                // What SQLite does with it changes nothing but what was half done.
                Err(OpenError::CutOff { .. }) if is_ours(&path)? => inspect(&at_rest(&path), &path, size).await?,
                verdict => verdict?,
            },
            None => {
                refuse_remains(&path)?;
                create(&path).await?;
            }
        }
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)
            // What is deleted is overwritten: a link that is of no use any more must not linger in a free page.
            .pragma("secure_delete", "ON")
            // A page cache of 2 MiB: the working set of a page of tasks is far smaller.
            .pragma("cache_size", "-2048")
            .disable_statement_logging();
        let refused = |e: sqlx::Error| broken(&path, &e);
        let unhurried = Unhurried::default();
        let writer = lasting(1, &unhurried).min_connections(1).connect_with(options.clone()).await.map_err(refused)?;
        MIGRATIONS.run(&writer).await.map_err(|e| schema(&path, &e))?;
        let readers = pool_of_readers(options.read_only(true)).await.map_err(refused)?;
        let file = FileId::of(&path).map_err(|e| unusable(&path, &e))?;
        Ok(Self { writer, steps: Steps::default(), unhurried, readers, path, file })
    }

    /// Opens it for reading only: never writes, works beside a daemon and without permission to write.
    ///
    /// # Errors
    /// As [`Store::open`], and when there is none.
    pub async fn open_read_only(state_dir: &Path) -> Result<Self, OpenError> {
        let path = file_name(state_dir);
        let Some(size) = length(&path)? else { return Err(OpenError::Absent { path }) };
        let options = reading(&path).pragma("mmap_size", READ_ONCE_MAPPED_BYTES);
        let readers = pool_of_readers(options).await.map_err(|e| broken(&path, &e))?;
        let mut first = readers.acquire().await.map_err(|e| broken(&path, &e))?;
        inspect_with(&mut first, &path, size).await?;
        drop(first);
        let file = FileId::of(&path).map_err(|e| unusable(&path, &e))?;
        let (steps, unhurried) = (Steps::default(), Unhurried::default());
        Ok(Self { writer: readers.clone(), steps, unhurried, readers, path, file })
    }

    /// Closes it so that a reader without write permission can open it: the log is written back and the file leaves
    /// WAL mode, which would need files beside it. Another reader that is in the way keeps it in WAL mode, where
    /// such a reader can open it as well while those files are there.
    ///
    /// What SQLite moves from page to page stays behind in gaps that `secure_delete` does not overwrite. So that no link
    /// lingers there, a database that is not too large is written anew.
    pub async fn close(self) {
        let size = length(&self.path).ok().flatten();
        if size.is_some_and(|size| size <= VACUUMED_MAX_BYTES)
            && let Ok(mut connection) = self.writer.acquire().await
        {
            // In memory: a temporary file would be in another folder. Should it fail, everything works without it.
            let _ = sqlx::query("PRAGMA temp_store = MEMORY").execute(&mut *connection).await;
            let _ = sqlx::query("VACUUM").execute(&mut *connection).await;
        }
        self.leave().await;
    }

    async fn leave(self) {
        self.readers.close().await;
        if let Ok(mut connection) = self.writer.acquire().await {
            let _ = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *connection).await;
            let _ = sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut *connection).await;
        }
        self.writer.close().await;
    }

    /// Closes it beside another process that may go on using it: as [`Store::close`], without waiting for that one
    /// and without writing it anew.
    pub async fn close_beside(self) {
        if let Ok(mut connection) = self.writer.acquire().await {
            let _ = sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *connection).await;
        }
        self.leave().await;
    }
}

/// For looking at a database that is there; it stays in the mode that it is in.
fn at_rest(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

fn reading(path: &Path) -> SqliteConnectOptions {
    at_rest(path).read_only(true)
}

/// Connections that stay: while one is open, nobody can take the database out of WAL mode under a daemon. One that still
/// believes in a transaction when it is taken again is replaced: SQLite itself rolls back when a write finds no space or a
/// broken disk, the rollback after that fails, and the connection would refuse every transaction from then on. Any other commits
/// as it was opened, whoever takes it.
fn lasting(connections_max: u32, unhurried: &Unhurried) -> SqlitePoolOptions {
    let unhurried = unhurried.clone();
    SqlitePoolOptions::new().max_connections(connections_max).idle_timeout(None).max_lifetime(None).before_acquire(
        move |connection, _| {
            let unhurried = unhurried.clone();
            Box::pin(async move {
                if connection.is_in_transaction() {
                    return Ok(false);
                }
                unhurried.end(connection).await.map(|()| true)
            })
        },
    )
}

async fn pool_of_readers(options: SqliteConnectOptions) -> Result<SqlitePool, sqlx::Error> {
    // Two: a long read of one command or page does not stop the queue from looking.
    lasting(2, &Unhurried::default()).connect_with(options).await
}

/// The length of a database that is there; none when there is none. One of no length was ours or will be nobody's: a full
/// disk or a power cut leaves such a file, and a fresh database in its place would hide what was lost.
fn length(path: &Path) -> Result<Option<u64>, OpenError> {
    match fs::metadata(path) {
        Ok(meta) if meta.len() > 0 => Ok(Some(meta.len())),
        Ok(_) => Err(OpenError::Damaged { path: path.to_owned(), detail: "it is empty".to_owned() }),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(unusable(path, &e)),
    }
}

/// A log or a journal without its database would be replayed into a new one. Empty ones are removed.
fn refuse_remains(path: &Path) -> Result<(), OpenError> {
    for suffix in ["-wal", "-journal", "-shm"] {
        let mut beside = path.as_os_str().to_owned();
        beside.push(suffix);
        let beside = PathBuf::from(beside);
        match fs::metadata(&beside) {
            Ok(meta) if meta.len() > 0 && suffix != "-shm" => {
                let name = beside.display();
                let detail =
                    format!("{name} is there without its database: put the database back, or move this where it went");
                return Err(OpenError::Damaged { path: path.to_owned(), detail });
            }
            Ok(_) => fs::remove_file(&beside).map_err(|e| unusable(path, &e))?,
            Err(_) => {}
        }
    }
    Ok(())
}

fn unusable(path: &Path, e: &io::Error) -> OpenError {
    let hint = match e.kind() {
        ErrorKind::PermissionDenied => "; run as the user or in the group that it belongs to",
        _ => "",
    };
    OpenError::Unusable { path: path.to_owned(), detail: format!("{e}{hint}") }
}

/// Makes a database beside its name, whole, and then gives it the name: a start that is cut off leaves none. It has the
/// mode that it shall have from the beginning; the log and shared-memory files beside it take it over.
async fn create(path: &Path) -> Result<(), OpenError> {
    let new = path.with_extension("db.new");
    let failed = |e: io::Error| OpenError::Unusable {
        path: path.to_path_buf(),
        detail: format!("{e}; see that the folder exists and that this user may write there"),
    };
    for leftover in [new.clone(), path.with_extension("db.new-journal")] {
        match fs::remove_file(leftover) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o640).open(&new).map_err(failed)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o640)).map_err(failed)?;
    let options = SqliteConnectOptions::new()
        .filename(&new)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    let mut connection = options.connect().await.map_err(|e| broken(path, &e))?;
    let migrated = MIGRATIONS.run(&mut connection).await;
    let closed = connection.close().await;
    migrated.map_err(|e| schema(path, &e))?;
    closed.map_err(|e| broken(path, &e))?;
    give_name(&new, path).map_err(failed)
}

/// Renames without replacing, durably.
fn give_name(new: &Path, path: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, new, CWD, path, RenameFlags::NOREPLACE) {
        // A file system without it: the caller holds the lock, and has seen that there is nothing.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => rustix::fs::rename(new, path)?,
        done => done?,
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

fn schema(path: &Path, e: &sqlx::migrate::MigrateError) -> OpenError {
    OpenError::Unusable { path: path.to_owned(), detail: format!("the schema cannot be set up: {e}") }
}

/// Looks before anything is written: setting WAL mode alone would change a file that is not ours.
async fn inspect(options: &SqliteConnectOptions, path: &Path, size: u64) -> Result<(), OpenError> {
    let mut connection = options.connect().await.map_err(|e| broken(path, &e))?;
    let verdict = inspect_with(&mut connection, path, size).await;
    let _ = connection.close().await;
    verdict
}

/// Whether the file itself says that it is ours, without SQLite, which cannot read it before a journal is played back.
fn is_ours(path: &Path) -> Result<bool, OpenError> {
    let mut id = [0; 4];
    let read = fs::File::open(path).and_then(|file| file.read_exact_at(&mut id, APPLICATION_ID_AT));
    read.map_err(|e| unusable(path, &e))?;
    Ok(i64::from(i32::from_be_bytes(id)) == APPLICATION_ID)
}

async fn inspect_with(db: &mut SqliteConnection, path: &Path, size: u64) -> Result<(), OpenError> {
    let failed = |e: sqlx::Error| broken(path, &e);
    let application_id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut *db).await.map_err(failed)?;
    if application_id != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_path_buf(), found: application_id });
    }
    let found: i64 = sqlx::query_scalar("SELECT COALESCE(max(version), 0) FROM _sqlx_migrations")
        .fetch_one(&mut *db)
        .await
        .map_err(failed)?;
    let known = MIGRATIONS.iter().map(|m| m.version).max().unwrap_or(0);
    if found > known {
        return Err(OpenError::Newer { path: path.to_path_buf(), found, known });
    }
    if size <= CHECKED_AT_START_MAX_BYTES {
        let row = sqlx::query("PRAGMA quick_check(1)").fetch_one(&mut *db).await.map_err(failed)?;
        let word: String = row.try_get(0).map_err(failed)?;
        if word != "ok" {
            return Err(OpenError::Damaged { path: path.to_path_buf(), detail: word });
        }
    }
    Ok(())
}

/// Names what SQLite refuses: 8 is SQLITE_READONLY, 776 its form SQLITE_READONLY_ROLLBACK, 11 is SQLITE_CORRUPT, 13 is
/// SQLITE_FULL, 26 is SQLITE_NOTADB.
fn broken(path: &Path, error: &sqlx::Error) -> OpenError {
    let path = path.to_path_buf();
    let code = error.as_database_error().and_then(|e| e.code().and_then(|c| c.parse::<i64>().ok()));
    match code {
        Some(code) if matches!(code & 0xFF, 11 | 26) => OpenError::Damaged { path, detail: error.to_string() },
        Some(776) => OpenError::CutOff { path },
        Some(code) if code & 0xFF == 8 => {
            OpenError::Unusable { path, detail: format!("{error}; run this as the user that owns it") }
        }
        Some(code) if code & 0xFF == 13 => OpenError::Unusable { path, detail: format!("{error}; free some space") },
        _ => OpenError::Unusable { path, detail: error.to_string() },
    }
}
