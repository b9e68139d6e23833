-- What was last said of a window that is expected, so that each change is said once: a row for each of which anything was.
CREATE TABLE windows (
    account     TEXT NOT NULL,
    export      TEXT NOT NULL,
    window      TEXT NOT NULL CHECK (window IN ('month', 'day')),
    name        TEXT NOT NULL,                 -- of the expectation: its pattern
    range_start TEXT NOT NULL,
    range_end   TEXT NOT NULL,                 -- the last second, as in the listing
    said        TEXT NOT NULL CHECK (said IN ('archived', 'overdue', 'beyond_reach')),
    said_at     TEXT NOT NULL,
    PRIMARY KEY (account, export, window, name, range_start)
) STRICT, WITHOUT ROWID;
-- Few files are revised, and whether any is has to be known of every task.
CREATE INDEX files_revised ON files (account, export, task_id, revision)
    WHERE revision > 1;
