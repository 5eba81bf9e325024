-- title: Every organization's owner is a member
-- why: An owner who is no member cannot enter the own organization.
-- when: before commit
SELECT o.id AS organization_id, o.owner_id AS owner
FROM organizations AS o
WHERE NOT EXISTS (
    SELECT 1 FROM organization_memberships AS m
    WHERE m.organization_id = o.id AND m.user_id = o.owner_id
)
