-- From version 3 to version 4.
-- The archives that were ever set; results from before are not sent by themselves.
CREATE TABLE archives (target TEXT PRIMARY KEY, since TEXT NOT NULL);

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
