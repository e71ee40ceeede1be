-- Version 9. A change raises it in store.py, and brings a database of the version before up to it (upgrade_1.sql ...).

-- What is done with a set of files. `state` says what is to be done next; see file_mover.py.
CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY,
    study         TEXT NOT NULL,               -- key; '' for files that belong to no study
    study_uid     TEXT NOT NULL,
    patient       TEXT NOT NULL,               -- key
    state         TEXT NOT NULL,
    revision      INTEGER,                     -- of the result; set when the analysis starts
    incomplete    TEXT,                        -- why the study went on without being complete
    code          TEXT,                        -- why it waits, is held or was put aside; of a result, why no number
    reason        TEXT,
    alone         INTEGER NOT NULL DEFAULT 0,  -- 1: a person said so, it is measured without the patient's other results
    series_uid    TEXT,                        -- the series that a person chose; '' where he left it to Scanside again
    attempts      INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,  -- starts that the study is not to blame for
    passed_over   INTEGER NOT NULL DEFAULT 0,  -- graver studies that were taken before it
    not_before    REAL NOT NULL DEFAULT 0,     -- monotonic seconds of the boot `boot`
    boot          TEXT NOT NULL DEFAULT '',
    result_dir    TEXT,                        -- where the finished result lies while it is being published
    verdict       TEXT,
    severity      TEXT,
    trend         TEXT,
    created_at    TEXT NOT NULL,               -- wall clock, shown only
    finished_at   TEXT,
    rested_h      INTEGER NOT NULL DEFAULT 0   -- hours that the box had run (counter hours_run) when it came to rest
);
CREATE INDEX jobs_by_state ON jobs (state);
CREATE INDEX jobs_by_study ON jobs (study);
CREATE INDEX jobs_by_patient ON jobs (patient);

-- Every file that was ever taken from the inbox, and the one place where it is.
CREATE TABLE files (
    id      INTEGER PRIMARY KEY,
    job     INTEGER NOT NULL REFERENCES jobs (id),
    study   TEXT NOT NULL,
    sop_uid TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    size    INTEGER NOT NULL,
    whole   INTEGER NOT NULL,  -- 0: it breaks off
    source  BLOB NOT NULL,     -- its path in the inbox, as the file system spells it
    place   TEXT NOT NULL,     -- a folder relative to the root, or 'cleaned': removed from the archive, or gone before it was measured
    name    TEXT NOT NULL,
    mtime_ns INTEGER NOT NULL DEFAULT 0,  -- of the copy when its bytes were summed; else, see rows.py, when it matters
    data_sha256 TEXT NOT NULL DEFAULT ''  -- of the data set alone, whoever wrote the file around it; '' where not known
);
CREATE INDEX files_by_job ON files (job);
CREATE INDEX files_by_study ON files (study, sop_uid);

-- What was copied out of the inbox and is still to be removed there, as it was when it was copied.
CREATE TABLE taken (
    source   BLOB PRIMARY KEY,
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode    INTEGER NOT NULL
);

-- What a published result consists of.
CREATE TABLE result_files (
    job    INTEGER NOT NULL REFERENCES jobs (id),
    name   TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (job, name)
);

-- The archives that were ever set; results from before are not sent by themselves.
CREATE TABLE archives (target TEXT PRIMARY KEY, since TEXT NOT NULL);

-- What is to go to an archive by the network, or went; see network/outbox.py.
CREATE TABLE deliveries (
    id         INTEGER PRIMARY KEY,
    job        INTEGER NOT NULL REFERENCES jobs (id),
    target     TEXT NOT NULL,               -- the archive: AE title, host, port
    state      TEXT NOT NULL,
    attempts   INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,     -- monotonic seconds of the boot `boot`
    boot       TEXT NOT NULL DEFAULT '',
    code       TEXT,                        -- why the last attempt failed
    why        TEXT,
    changed_at TEXT NOT NULL,               -- wall clock, shown only
    UNIQUE (job, target)
);
CREATE INDEX deliveries_by_state ON deliveries (state, target);

-- The objects of a delivery that the archive has.
CREATE TABLE sent_objects (
    delivery     INTEGER NOT NULL REFERENCES deliveries (id),
    name         TEXT NOT NULL,
    sop_uid      TEXT NOT NULL,
    sha256       TEXT NOT NULL,
    sent_at      TEXT NOT NULL,             -- wall clock, shown only
    committed_at TEXT,                      -- when the archive said that it will keep it
    PRIMARY KEY (delivery, name)
);

CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);

-- What the box did, in order; audit.py says what a row holds. Rows are only added.
CREATE TABLE audit (
    n      INTEGER PRIMARY KEY,
    at     TEXT NOT NULL,   -- wall clock, shown only
    event  TEXT NOT NULL,
    study  TEXT NOT NULL,   -- key, or ''
    facts  TEXT NOT NULL,   -- JSON
    sha256 TEXT NOT NULL    -- of the row before and this one
);
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_whole BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;

-- The sum of every row but the audit's, which has its chain (rows.py). Whoever adds a column puts it into its table's sum.
-- That of files begins with the number: a study's rows lie side by side, or each of its commits writes all over the disk.
CREATE INDEX jobs_sum ON jobs (row_sum(
    id, study, study_uid, patient, state, revision, incomplete, code, reason, alone, series_uid, attempts,
    interruptions, passed_over, not_before, boot, result_dir, verdict, severity, trend, created_at, finished_at,
    rested_h
));
CREATE INDEX files_sum ON files (id, row_sum(
    id, job, study, sop_uid, sha256, size, whole, source, place, name, mtime_ns, data_sha256
));
CREATE INDEX taken_sum ON taken (row_sum(source, size, mtime_ns, inode));
CREATE INDEX result_files_sum ON result_files (row_sum(job, name, sha256));
CREATE INDEX archives_sum ON archives (row_sum(target, since));
CREATE INDEX deliveries_sum ON deliveries (row_sum(
    id, job, target, state, attempts, not_before, boot, code, why, changed_at
));
CREATE INDEX sent_objects_sum ON sent_objects (row_sum(delivery, name, sop_uid, sha256, sent_at, committed_at));
CREATE INDEX counters_sum ON counters (row_sum(name, value));
