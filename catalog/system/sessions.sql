-- Open sessions and what they run.
SELECT s.pid, s.user_name, s.wire, s.address, coalesce(q.state, 'idle') AS state, q.sql, q.started_at
  FROM facts.sessions s LEFT JOIN facts.statements q ON q.pid = s.pid AND q.state = 'running'
