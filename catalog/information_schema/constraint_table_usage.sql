-- Tables that constraints name.
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       current_database() AS constraint_catalog, kn.nspname AS constraint_schema, k.conname AS constraint_name
  FROM pg_constraint k
  JOIN pg_namespace kn ON kn.oid = k.connamespace
  JOIN pg_class c ON c.oid = CASE WHEN k.contype = 'f' THEN k.confrelid ELSE k.conrelid END
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE k.contype IN ('p', 'u', 'f')
