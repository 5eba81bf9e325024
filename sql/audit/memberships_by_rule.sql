-- title: Each membership is the owner's, in the owner's organization
-- why: Every value of every row, computed from the users as they were before.
-- columns: id, organization_id, user_id, role, invited_by, invited_at, accepted_at, created_at, updated_at
{% import "rules.sql" as rules with context -%}
SELECT
    m.id AS "row",
    u.{{ users.key }} IS NULL OR m.id IS NOT {{ rules.membership_id("u." ~ users.key) }} AS id,
    m.organization_id IS NOT {{ rules.organization_id("u." ~ users.key) }} AS organization_id,
    m.user_id IS NOT u.{{ users.key }} COLLATE BINARY
        OR typeof(m.user_id) <> typeof(u.{{ users.key }}) AS user_id,
    m.role IS NOT 'owner' AS role,
    m.invited_by IS NOT NULL AS invited_by,
    m.invited_at IS NOT NULL AS invited_at,
    m.accepted_at IS NOT {{ now_specified }} AS accepted_at,
    m.created_at IS NOT {{ now_specified }} AS created_at,
    m.updated_at IS NOT {{ now_specified }} AS updated_at
FROM {{ after }}.organization_memberships AS m
LEFT JOIN {{ before }}.{{ users.table }} AS u ON u.{{ users.key }} = m.user_id
