-- Data files of tables; `level` grows with a file's size, `clustered` tells whether its rows lie as CLUSTER BY wants it.
SELECT schema_name, table_name, path, rows, bytes, partition, level, clustered, modified_at FROM facts.files
