-- Runs of OPTIMIZE and VACUUM: the files that they took from a table or removed from its folder, and what they put there.
SELECT schema_name, table_name, operation, version, committed_at AS finished_at, files_removed, files_added,
       bytes_removed, bytes_added
  FROM facts.commits
 WHERE operation IN ('OPTIMIZE', 'VACUUM END')
