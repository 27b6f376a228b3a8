-- Settings of the server and of this session: value, default, where the value was set, and what it means.
SELECT name, value, default_value, unit, source, scope, description FROM facts.settings
