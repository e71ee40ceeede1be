-- From version 1 to version 2.
ALTER TABLE jobs ADD COLUMN alone INTEGER NOT NULL DEFAULT 0;
CREATE INDEX files_in_inbox ON files (source) WHERE place = 'inbox';
