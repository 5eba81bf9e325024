-- The application's query before the migration: a user's rows, by owner.
-- Bind the user's key.
SELECT r.*
FROM {{ resource.table }} AS r
WHERE r.{{ resource.owner }} = ?
