-- The application's query after the migration: the rows of the user's personal organization.
-- Bind the user's key. A user without an organization gets no rows, and no error.
SELECT r.*
FROM {{ resource.table }} AS r
JOIN organization_memberships AS m ON m.organization_id = r.organization_id
JOIN organizations AS o ON o.id = m.organization_id
WHERE m.user_id = ? AND o.type = 'personal'
