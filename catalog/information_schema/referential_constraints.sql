-- Foreign keys and the keys they refer to.
SELECT current_database() AS constraint_catalog, n.nspname AS constraint_schema, k.conname AS constraint_name,
       CASE WHEN u.oid IS NOT NULL THEN current_database() END AS unique_constraint_catalog,
       un.nspname AS unique_constraint_schema, u.conname AS unique_constraint_name,
       'NONE' AS match_option, 'NO ACTION' AS update_rule, 'NO ACTION' AS delete_rule
  FROM pg_constraint k
  JOIN pg_namespace n ON n.oid = k.connamespace
  LEFT JOIN pg_constraint u ON u.conrelid = k.confrelid AND u.contype IN ('p', 'u') AND u.conkey = k.confkey
  LEFT JOIN pg_namespace un ON un.oid = u.connamespace
 WHERE k.contype = 'f'
