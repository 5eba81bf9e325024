-- title: Backfill owner memberships
-- why: Every organization's owner is its first member, with the role that says so.
{% import "rules.sql" as rules with context -%}
INSERT INTO organization_memberships
    (id, organization_id, user_id, role, accepted_at, created_at, updated_at)
SELECT
    {{ rules.membership_id("o.owner_id") }},
    o.id,
    o.owner_id,
    'owner',
    o.created_at,
    o.created_at,
    o.created_at
FROM organizations AS o
ORDER BY o.rowid;
