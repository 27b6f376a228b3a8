-- Columns of tables and views, with their types in the words of the SQL standard.
SELECT current_database() AS table_catalog, n.nspname AS table_schema, c.relname AS table_name,
       a.attname AS column_name, a.attnum::int AS ordinal_position,
       CASE WHEN a.attgenerated = '' THEN d.adbin END AS column_default,
       CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END AS is_nullable,
       CASE WHEN t.typcategory = 'A' THEN 'ARRAY' ELSE format_type(a.atttypid, NULL) END AS data_type,
       CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod <> -1 THEN a.atttypmod - 4 END AS character_maximum_length,
       CASE WHEN a.atttypid IN (1042, 1043) AND a.atttypmod <> -1 THEN (a.atttypmod - 4) * 4
            WHEN a.atttypid IN (25, 1042, 1043) THEN 1073741824 END AS character_octet_length,
       CASE a.atttypid WHEN 21 THEN 16 WHEN 23 THEN 32 WHEN 20 THEN 64 WHEN 700 THEN 24 WHEN 701 THEN 53
            WHEN 1700 THEN CASE WHEN a.atttypmod <> -1 THEN (a.atttypmod - 4) / 65536 END END AS numeric_precision,
       CASE WHEN a.atttypid IN (20, 21, 23, 700, 701) THEN 2 WHEN a.atttypid = 1700 THEN 10 END AS numeric_precision_radix,
       CASE WHEN a.atttypid IN (20, 21, 23) THEN 0
            WHEN a.atttypid = 1700 AND a.atttypmod <> -1 THEN (a.atttypmod - 4) % 65536 END AS numeric_scale,
       CASE WHEN a.atttypid = 1082 THEN 0
            WHEN a.atttypid IN (1083, 1114, 1184, 1186) THEN 6 END AS datetime_precision,
       NULL::varchar AS interval_type, NULL::int AS interval_precision,
       NULL::name AS character_set_catalog, NULL::name AS character_set_schema, NULL::name AS character_set_name,
       NULL::name AS collation_catalog, NULL::name AS collation_schema, NULL::name AS collation_name,
       NULL::name AS domain_catalog, NULL::name AS domain_schema, NULL::name AS domain_name,
       current_database() AS udt_catalog, 'pg_catalog'::name AS udt_schema, t.typname AS udt_name,
       NULL::name AS scope_catalog, NULL::name AS scope_schema, NULL::name AS scope_name,
       NULL::int AS maximum_cardinality, a.attnum::text::name AS dtd_identifier, 'NO' AS is_self_referencing,
       'NO' AS is_identity, NULL::varchar AS identity_generation, NULL::varchar AS identity_start,
       NULL::varchar AS identity_increment, NULL::varchar AS identity_maximum, NULL::varchar AS identity_minimum,
       'NO' AS identity_cycle,
       CASE WHEN a.attgenerated = '' THEN 'NEVER' ELSE 'ALWAYS' END AS is_generated,
       CASE WHEN a.attgenerated <> '' THEN d.adbin END AS generation_expression,
       CASE c.relkind WHEN 'r' THEN 'YES' ELSE 'NO' END AS is_updatable
  FROM pg_attribute a
  JOIN pg_class c ON c.oid = a.attrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE a.attnum > 0 AND c.relkind IN ('r', 'v')
