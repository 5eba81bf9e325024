-- title: Organizations and owner memberships
-- why: As steps 4 and 5 of the migration, for the users of one range of keys.
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
WHERE {{ range }}
{%- if scope == "users_with_resources" %} AND (
    {{ rules.needs_organization("u." ~ users.key) }}
)
{%- endif %};

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
FROM {{ users.table }} AS u
JOIN organizations AS o ON o.id = {{ rules.organization_id("u." ~ users.key) }}
WHERE {{ range }};
