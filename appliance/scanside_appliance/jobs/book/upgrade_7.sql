-- From version 7 to version 8. Of what came before it is not known: it is compared by its whole file, as it was.
ALTER TABLE files ADD COLUMN data_sha256 TEXT NOT NULL DEFAULT '';
