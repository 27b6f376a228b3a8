-- What roles may do with tables: every superuser everything.
SELECT pg_get_userbyid(c.relowner) AS grantor, r.rolname AS grantee,
       current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       p.privilege AS privilege_type, 'YES' AS is_grantable, CASE p.privilege WHEN 'SELECT' THEN 'YES' ELSE 'NO' END AS with_hierarchy
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN pg_roles r
  CROSS JOIN (VALUES ('INSERT'), ('SELECT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('REFERENCES'), ('TRIGGER')) p(privilege)
 WHERE c.relkind IN ('r', 'v') AND r.rolsuper
