-- Commits that moved rows or removed files without changing any: OPTIMIZE, VACUUM and the like.
SELECT schema_name, table_name, operation, version, committed_at AS finished_at, files_removed, files_added,
       bytes_removed, bytes_added
  FROM facts.commits
 WHERE operation IN ('OPTIMIZE', 'VACUUM START', 'VACUUM END')
