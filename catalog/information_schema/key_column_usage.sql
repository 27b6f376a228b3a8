-- Columns of primary keys, unique constraints and foreign keys.
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, k.conname AS constraint_name,
       current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       a.attname AS column_name, array_position(k.conkey, a.attnum)::int AS ordinal_position,
       CASE WHEN k.contype = 'f' THEN array_position(k.conkey, a.attnum)::int END AS position_in_unique_constraint
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE k.contype IN ('p', 'u', 'f') AND a.attnum = ANY (k.conkey)
