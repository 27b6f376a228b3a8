-- Sources: where rows come from by themselves, and how they are doing; counts are since the server started.
SELECT id, schema_name, name, table_name, connector, state, pause_reason, rows, bytes, batches, dead_letters, rows_per_second,
       partitions, lag_rows, lag_ms, event_watermark_at, late_rows, future_rows, errors, last_error, last_error_at, last_row_at,
       breaker, retry_at, options
  FROM facts.sources
