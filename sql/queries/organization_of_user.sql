-- The personal organization of one user, as the application looks it up after the migration.
-- Bind the user's key as :user_id. A user without an organization gets no row.
SELECT om.organization_id
FROM organization_memberships AS om
JOIN organizations AS o ON o.id = om.organization_id
WHERE om.user_id = :user_id AND o.type = 'personal'
