-- Functions that can be called.
SELECT current_database() AS specific_catalog, n.nspname AS specific_schema, concat(p.proname, '_', p.oid)::name AS specific_name,
       current_database() AS routine_catalog, n.nspname AS routine_schema, p.proname AS routine_name,
       'FUNCTION' AS routine_type, format_type(p.prorettype, NULL) AS data_type, 'EXTERNAL' AS routine_body,
       p.prosrc AS routine_definition, 'INTERNAL' AS external_language, 'YES' AS is_deterministic
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
