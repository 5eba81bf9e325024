-- A user's role in an organization.
SELECT m.role
FROM organization_memberships AS m
WHERE m.organization_id = :organization AND m.user_id = :user
