-- title: Every user who should have an organization has one
-- why: A user with resources and no membership would find nothing after the migration.
-- when: before commit
SELECT u.{{ users.key }} AS user_key
FROM {{ users.table }} AS u
WHERE
{%- if scope == "users_with_resources" %} (
    {% for resource in resources -%}
    u.{{ users.key }} IN (SELECT {{ resource.owner }} FROM {{ resource.table }})
    {%- if not loop.last %}
    OR {% endif %}
    {%- endfor %}
)
  AND {%- endif %} NOT EXISTS (
    SELECT 1 FROM organization_memberships AS m WHERE m.user_id = u.{{ users.key }}
)
