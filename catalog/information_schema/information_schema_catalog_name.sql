-- The database's name.
SELECT current_database() AS catalog_name
