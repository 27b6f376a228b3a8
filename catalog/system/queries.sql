-- Statements that run and those that ended lately.
SELECT query_id, pid, user_name, wire, sql, state, NULL::float8 AS progress, started_at, duration_ms, rows,
       NULL::bigint AS bytes_scanned, NULL::bigint AS files_total, NULL::bigint AS files_pruned,
       NULL::bigint AS peak_memory_bytes, error
  FROM facts.statements
