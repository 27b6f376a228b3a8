-- Roles of the session.
SELECT current_user AS role_name
