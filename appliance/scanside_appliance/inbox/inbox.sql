-- What is known of each file in the inbox. Thrown away with the daemon: what is not known is looked at again.
CREATE TABLE files (
    id         INTEGER PRIMARY KEY,
    name       BLOB NOT NULL UNIQUE,  -- its path in the inbox, as the file system spells it
    folder     BLOB NOT NULL,
    temporary  INTEGER NOT NULL,      -- 1: hidden, or named like a copy in progress
    size       INTEGER NOT NULL,      -- with mtime_ns and inode: what it looks like from outside
    mtime_ns   INTEGER NOT NULL,
    inode      INTEGER NOT NULL,
    first      REAL NOT NULL,         -- monotonic seconds when it was first seen
    since      REAL NOT NULL,         -- ... and when it was last seen to be new or changed
    before     REAL NOT NULL,         -- ... what `since` was before that: it holds again where the content is the same
    touched    REAL NOT NULL,         -- ... and when it was last seen to be new, changed or touched: that one stays
    unrest     REAL NOT NULL,         -- ... since when it changes again and again, with less than the patience between
    looked     REAL NOT NULL DEFAULT 0,  -- ... and when it was last read
    study      TEXT NOT NULL DEFAULT '',  -- key; stays known while the file grows on
    kind       TEXT NOT NULL DEFAULT '',  -- of its facts, '' where they are not known; what follows are facts, too
    sha256     TEXT NOT NULL DEFAULT '',
    whole      INTEGER NOT NULL DEFAULT 0,
    study_uid  TEXT NOT NULL DEFAULT '',
    sop_uid    TEXT NOT NULL DEFAULT '',
    patient_id TEXT,
    issuer     TEXT,
    stack      TEXT NOT NULL DEFAULT '',
    along_mm   REAL,
    why        TEXT NOT NULL DEFAULT '',
    data_sha256 TEXT NOT NULL DEFAULT ''
);
CREATE INDEX by_study ON files (study, since, first, kind, whole) WHERE study <> '';
CREATE INDEX by_folder ON files (folder) WHERE kind IN ('', 'broken', 'out_of_reach', 'too_large');
