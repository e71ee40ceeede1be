-- From version 4 to version 5. What is there counts as put there when the box began to count its hours.
ALTER TABLE jobs ADD COLUMN rested_h INTEGER NOT NULL DEFAULT 0;
