-- Statements that run and those that ended lately; `progress` from 0 to 1, `rows` given or written, files and bytes of scans.
SELECT query_id, pid, user_name, wire, sql, state, progress, started_at, duration_ms, rows, bytes_scanned, files_total,
       files_pruned, row_groups_total, row_groups_pruned, NULL::bigint AS peak_memory_bytes, error
  FROM facts.statements
