-- A user with a row of this resource in the own personal organization.
SELECT o.owner_id AS user_key, o.id AS organization_id
FROM {{ resource.table }} AS r
JOIN organizations AS o ON o.id = r.organization_id
JOIN organization_memberships AS m ON m.organization_id = o.id AND m.user_id = o.owner_id
WHERE o.type = 'personal' AND o.owner_id IS NOT NULL AND r.{{ resource.owner }} = o.owner_id
LIMIT 1
