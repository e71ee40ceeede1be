-- From version 8 to version 9. What is there now is taken as it is.
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
