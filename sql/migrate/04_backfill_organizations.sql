-- title: Backfill personal organizations
-- why: One for each user who needs one, in the order of their keys, which is the order of the indexes that the rows go into.
{% import "rules.sql" as rules with context -%}
INSERT INTO organizations (id, name, slug, owner_id, type, created_at, updated_at)
SELECT
    {{ rules.organization_id("u." ~ users.key) }},
    {{ rules.organization_name("u." ~ users.email if users.email else none) }},
    {{ rules.slug("u." ~ users.key) }},
    u.{{ users.key }},
    'personal',
    {{ rules.now_specified() }},
    {{ rules.now_specified() }}
FROM {{ users.table }} AS u
{%- if scope == "users_with_resources" %}
WHERE {{ rules.needs_organization("u." ~ users.key) }}
{%- endif %}
ORDER BY u.{{ users.key }};
