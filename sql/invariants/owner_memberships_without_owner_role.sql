-- title: The owner's membership has the role owner
-- why: A membership with a lesser role locks the owner out of administration.
-- when: before commit
SELECT o.id AS organization_id, o.owner_id AS owner, m.role AS role
FROM organizations AS o
JOIN organization_memberships AS m ON m.organization_id = o.id AND m.user_id = o.owner_id
WHERE m.role IS DISTINCT FROM {{ text("owner") }}
