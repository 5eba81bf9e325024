-- title: The references that the migration made hold
-- why: Organizations and memberships must lead to users, and memberships to organizations, in both directions of every later join.
-- when: before commit
SELECT 'organizations.owner_id' AS reference, o.id AS row_id
FROM organizations AS o
WHERE NOT EXISTS (SELECT 1 FROM {{ users.table }} AS u WHERE u.{{ users.key }} = o.owner_id)
UNION ALL
SELECT 'organization_memberships.user_id', m.id
FROM organization_memberships AS m
WHERE NOT EXISTS (SELECT 1 FROM {{ users.table }} AS u WHERE u.{{ users.key }} = m.user_id)
UNION ALL
SELECT 'organization_memberships.organization_id', m.id
FROM organization_memberships AS m
WHERE NOT EXISTS (SELECT 1 FROM organizations AS o WHERE o.id = m.organization_id)
