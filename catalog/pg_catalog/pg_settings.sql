-- Settings of the session, with what PostgreSQL tells of each.
SELECT name, value AS setting, unit, 'Session' AS category, description AS short_desc, NULL::text AS extra_desc,
       'user' AS context, 'string' AS vartype, source, NULL::text AS min_val, NULL::text AS max_val, NULL::text[] AS enumvals,
       default_value AS boot_val, default_value AS reset_val, NULL::text AS sourcefile, NULL::int AS sourceline,
       false AS pending_restart
  FROM facts.settings
 WHERE scope = 'session'
