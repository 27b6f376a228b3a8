-- Tables: where they are, how large they are, what version they are at; `error` for one that cannot be opened.
SELECT id, schema_name, table_name AS name, location, version, committed_at, rows, files, bytes,
       tail_rows, tail_bytes, tail_since, watermark_lsn, event_watermark, event_watermark_at, event_watermark_lag_ms,
       late_policy, late_rows, future_rows,
       partitioned_by, clustered_by, external, error
  FROM facts.tables
