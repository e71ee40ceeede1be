-- From version 6 to version 7. What was claimed and had not left the inbox yet is looked at anew.
ALTER TABLE files ADD COLUMN mtime_ns INTEGER NOT NULL DEFAULT 0;
DELETE FROM files WHERE place = 'inbox';
DROP INDEX files_in_inbox;
CREATE TABLE taken (
    source   BLOB PRIMARY KEY,
    size     INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode    INTEGER NOT NULL
);
