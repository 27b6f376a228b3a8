-- Commits of tables, newest first a table: what each did, and by which application.
SELECT schema_name, table_name, version, committed_at, operation, rows_added, rows_removed, files_added, files_removed,
       bytes_added, bytes_removed, app_id, app_version, user_name
  FROM facts.commits
