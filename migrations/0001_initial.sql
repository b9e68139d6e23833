-- "CDNU": how this program recognises its own database.
PRAGMA application_id = 1128549973;

-- One row a listing: what the last polls of it found.
CREATE TABLE listings (
    account                  TEXT NOT NULL,
    export                   TEXT NOT NULL,
    endpoint                 TEXT NOT NULL,
    total                    INTEGER,          -- as the service last counted
    last_poll_at             TEXT,             -- the last poll of any kind that succeeded
    last_sweep_at            TEXT,             -- the last full sweep that ended
    last_consistent_sweep_at TEXT,
    last_beat_at             TEXT,             -- the last full sweep that also brought abandoned downloads back
    sweep_due                INTEGER NOT NULL DEFAULT 0, -- a quick poll found more than it reads
    error                    TEXT,             -- of the last poll, when it failed
    consistent_total         INTEGER,          -- of the last consistent sweep that was not suspect
    suspect_since            TEXT,
    PRIMARY KEY (account, export)
) STRICT;

-- One row a task: the projection of its transitions.
CREATE TABLE tasks (
    account            TEXT NOT NULL,
    export             TEXT NOT NULL,
    task_id            TEXT NOT NULL,
    name               TEXT,
    status             TEXT NOT NULL,
    created_at         TEXT,
    updated_at         TEXT,
    range_start        TEXT,
    range_end          TEXT,
    first_seen_at      TEXT NOT NULL,
    last_seen_at       TEXT NOT NULL,          -- written when something changes, not at every poll
    unlisted_at        TEXT,
    missed_at          TEXT,                   -- begin of the first consistent sweep that lacked it
    update_recorded_at TEXT,                   -- when a newer update time alone was last recorded
    page               INTEGER,                -- where it was last seen, kept while that matters
    PRIMARY KEY (account, export, task_id)
) STRICT;
CREATE INDEX tasks_unfinished ON tasks (account, export, last_seen_at)
    WHERE unlisted_at IS NULL AND status NOT IN ('success', 'failed');

-- Every observed change. Replaying these gives each task's status, update time and whether it is listed.
CREATE TABLE transitions (
    id                INTEGER PRIMARY KEY,
    account           TEXT NOT NULL,
    export            TEXT NOT NULL,
    task_id           TEXT NOT NULL,
    kind              TEXT NOT NULL
        CHECK (kind IN ('first', 'status', 'updated', 'unlisted', 'relisted', 'reissued')),
    from_status       TEXT,
    to_status         TEXT NOT NULL,
    remote_updated_at TEXT,
    observed_at       TEXT NOT NULL,
    request_id        TEXT,
    FOREIGN KEY (account, export, task_id) REFERENCES tasks (account, export, task_id)
) STRICT;
CREATE INDEX transitions_by_task ON transitions (account, export, task_id, id);

-- The queue: one row a task at most.
CREATE TABLE downloads (
    account            TEXT NOT NULL,
    export             TEXT NOT NULL,
    task_id            TEXT NOT NULL,
    state              TEXT NOT NULL CHECK (state IN ('pending', 'active', 'stored', 'abandoned')),
    attempt            INTEGER NOT NULL DEFAULT 0,  -- number of the last attempt begun
    not_before         TEXT,
    path               TEXT,                        -- of the newest revision, like bytes, sha256 and stored_at
    bytes              INTEGER,
    sha256             TEXT,
    reason             TEXT,                        -- of the last failure
    error              TEXT,
    stored_at          TEXT,
    failures           INTEGER NOT NULL DEFAULT 0,  -- in a row, that count
    queued_for         TEXT NOT NULL,               -- the task's creation time: the oldest task goes first
    link               TEXT,                        -- a secret: only while it is of use
    link_at            TEXT,                        -- when it was first listed
    link_host          TEXT,                        -- its host and port: one that is down is passed over
    link_refused       TEXT,                        -- SHA-256 of the last link that was refused
    wanted_at          TEXT,                        -- since when another link is waited for
    recheck            INTEGER NOT NULL DEFAULT 0,  -- stored, and to be looked at again
    reissued_at        TEXT,                        -- the id was issued anew, and its file not fetched since
    rechecked_at       TEXT,
    fetched_updated_at TEXT,                        -- the task's update time when its file was last fetched
    partial_etag       TEXT,                        -- what the partial is a prefix of
    active_since       TEXT,
    intent             TEXT,                        -- JSON: what is about to be published, where
    changed_at         TEXT NOT NULL,               -- when state last changed
    PRIMARY KEY (account, export, task_id),
    FOREIGN KEY (account, export, task_id) REFERENCES tasks (account, export, task_id)
) STRICT;
CREATE INDEX downloads_waiting ON downloads (account, queued_for, task_id)
    WHERE state = 'pending' OR recheck = 1;
CREATE INDEX downloads_active ON downloads (active_since) WHERE active_since IS NOT NULL;

-- Every attempt that ended.
CREATE TABLE attempts (
    id         INTEGER PRIMARY KEY,
    account    TEXT NOT NULL,
    export     TEXT NOT NULL,
    task_id    TEXT NOT NULL,
    attempt    INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    ended_at   TEXT NOT NULL,
    result     TEXT NOT NULL CHECK (result IN ('stored', 'unchanged', 'failed', 'abandoned', 'interrupted')),
    reason     TEXT,
    error      TEXT,
    from_byte  INTEGER,
    to_byte    INTEGER,
    request_id TEXT,
    FOREIGN KEY (account, export, task_id) REFERENCES tasks (account, export, task_id)
) STRICT;
CREATE INDEX attempts_by_task ON attempts (account, export, task_id, id);

-- Every published revision.
CREATE TABLE files (
    id                INTEGER PRIMARY KEY AUTOINCREMENT, -- consumers remember it: never given twice
    account           TEXT NOT NULL,
    export            TEXT NOT NULL,
    task_id           TEXT NOT NULL,
    revision          INTEGER NOT NULL,
    path              TEXT NOT NULL UNIQUE,
    bytes             INTEGER NOT NULL,
    sha256            TEXT NOT NULL,
    crc64             TEXT NOT NULL,
    etag              TEXT,
    verified_by       TEXT NOT NULL CHECK (verified_by IN ('crc64', 'md5', 'length')),
    remote_updated_at TEXT,
    stored_at         TEXT NOT NULL,
    UNIQUE (account, export, task_id, revision),
    FOREIGN KEY (account, export, task_id) REFERENCES tasks (account, export, task_id)
) STRICT;

-- Rows of a listing that could not be read, as they came, without signatures.
CREATE TABLE rejected_rows (
    account       TEXT NOT NULL,
    export        TEXT NOT NULL,
    digest        TEXT NOT NULL,               -- SHA-256 of raw: the same row is kept once
    raw           TEXT NOT NULL,
    error         TEXT NOT NULL,
    first_seen_at TEXT NOT NULL,
    request_id    TEXT,
    PRIMARY KEY (account, export, digest)
) STRICT;

CREATE TRIGGER transitions_are_never_changed BEFORE UPDATE ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions is append-only'); END;
CREATE TRIGGER transitions_are_never_deleted BEFORE DELETE ON transitions
BEGIN SELECT RAISE(ABORT, 'transitions is append-only'); END;
CREATE TRIGGER attempts_are_never_changed BEFORE UPDATE ON attempts
BEGIN SELECT RAISE(ABORT, 'attempts is append-only'); END;
CREATE TRIGGER attempts_are_never_deleted BEFORE DELETE ON attempts
BEGIN SELECT RAISE(ABORT, 'attempts is append-only'); END;
CREATE TRIGGER files_are_never_changed BEFORE UPDATE ON files
BEGIN SELECT RAISE(ABORT, 'files is append-only'); END;
CREATE TRIGGER files_are_never_deleted BEFORE DELETE ON files
BEGIN SELECT RAISE(ABORT, 'files is append-only'); END;
