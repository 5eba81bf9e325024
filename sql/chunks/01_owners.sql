-- title: Organizations and owner memberships
-- why: As steps 4 and 5 of the migration, for the users of one range of keys.
{% import "rules.sql" as rules with context -%}
{{ rules.personal_organizations() }}
WHERE {{ range }}
{%- if scope == "users_with_resources" %} AND (
    {{ rules.needs_organization("u." ~ users.key) }}
)
{%- endif %};

{{ rules.owner_memberships() }}
FROM {{ users.table }} AS u
JOIN organizations AS o ON o.id = {{ rules.organization_id("u." ~ users.key) }}
WHERE {{ range }};
