-- A user who is no member of an organization and sees none of its rows.
SELECT u.{{ users.key }} AS user_key
FROM {{ users.table }} AS u
WHERE u.{{ users.key }} IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM organization_memberships AS m
    WHERE m.organization_id = :organization AND m.user_id = u.{{ users.key }}
)
LIMIT 1
