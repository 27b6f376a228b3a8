-- Data files of tables; `level` grows with a file's size, `clustered` tells whether it is sorted by the clustering key.
SELECT schema_name, table_name, path, rows, bytes, partition, level, clustered, modified_at FROM facts.files
