-- title: Backfill personal organizations
-- why: One for each user who needs one, in the order of their keys, which is the order of the indexes that the rows go into.
{% import "rules.sql" as rules with context -%}
{{ rules.personal_organizations() }}
{%- if scope == "users_with_resources" %}
WHERE {{ rules.needs_organization("u." ~ users.key) }}
{%- endif %}
ORDER BY u.{{ users.key }};
