-- Conditions that rows must meet, those of NOT NULL among them.
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, k.conname AS constraint_name,
       k.conbin AS check_clause
  FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
 WHERE k.contype = 'c'
UNION ALL
SELECT current_database(), n.nspname, concat(n.oid, '_', c.oid, '_', a.attnum, '_not_null')::name,
       concat(a.attname, ' IS NOT NULL')
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE a.attnotnull AND a.attnum > 0 AND c.relkind = 'r'
