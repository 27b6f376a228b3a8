-- Columns that constraints name: the key's own columns, or those that a foreign key refers to.
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name, a.attname AS column_name,
       current_database() AS constraint_catalog, kn.nspname AS constraint_schema, k.conname AS constraint_name
  FROM pg_constraint k
  JOIN pg_namespace kn ON kn.oid = k.connamespace
  JOIN pg_class c ON c.oid = CASE WHEN k.contype = 'f' THEN k.confrelid ELSE k.conrelid END
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE a.attnum = ANY (CASE WHEN k.contype = 'f' THEN k.confkey ELSE k.conkey END)
