-- From version 5 to version 6. What happened before is not told.
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
