-- title: Members of each organization
-- why: Who may see and change an organization's rows, and in what role.
SELECT
    m.organization_id,
    o.name AS organization,
    m.user_id,
    {%- if users.email %}
    u.{{ users.email }} AS email,
    {%- endif %}
    m.role,
    m.accepted_at
FROM after.organization_memberships AS m
LEFT JOIN after.organizations AS o ON o.id = m.organization_id
LEFT JOIN after.{{ users.table }} AS u ON u.{{ users.key }}::VARCHAR = m.user_id::VARCHAR
