-- From version 2 to version 3.
ALTER TABLE jobs ADD COLUMN series_uid TEXT;
