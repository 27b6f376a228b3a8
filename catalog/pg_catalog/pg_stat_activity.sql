-- Sessions and what they run, or ran last.
SELECT d.oid AS datid, d.datname, s.pid, NULL::int4 AS leader_pid, r.oid AS usesysid, s.user_name AS usename, s.application_name,
       s.address AS client_addr, NULL::text AS client_hostname, NULL::int4 AS client_port, s.started_at AS backend_start,
       NULL::timestamptz AS xact_start, q.started_at AS query_start, NULL::timestamptz AS state_change,
       NULL::text AS wait_event_type, NULL::text AS wait_event,
       CASE WHEN q.state = 'running' THEN 'active' ELSE 'idle' END AS state, NULL::oid AS backend_xid, NULL::oid AS backend_xmin,
       q.query_id, q.sql AS query, 'client backend' AS backend_type
  FROM facts.sessions s
  JOIN pg_database d ON d.datname = current_database()
  LEFT JOIN pg_roles r ON r.rolname = s.user_name
  LEFT JOIN (SELECT pid, max(query_id) AS query_id FROM facts.statements GROUP BY pid) last ON last.pid = s.pid
  LEFT JOIN facts.statements q ON q.query_id = last.query_id
