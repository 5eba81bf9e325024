-- title: Every user who should have an organization has one
-- why: A user with resources and no membership would find nothing after the migration.
-- when: before commit
{% import "rules.sql" as rules with context -%}
SELECT u.{{ users.key }} AS user_key
FROM {{ users.table }} AS u
WHERE
{%- if scope == "users_with_resources" %} (
    {{ rules.owns_something("u." ~ users.key) }}
)
  AND {%- endif %} NOT EXISTS (
    SELECT 1 FROM organization_memberships AS m WHERE m.user_id = u.{{ users.key }}
)
