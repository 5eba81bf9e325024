-- A user with a personal organization, whether it holds rows or not.
SELECT o.owner_id AS user_key, o.id AS organization_id
FROM organizations AS o
JOIN organization_memberships AS m ON m.organization_id = o.id AND m.user_id = o.owner_id
WHERE o.type = 'personal' AND o.owner_id IS NOT NULL
LIMIT 1
