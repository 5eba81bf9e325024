-- title: How many organizations the plan makes
-- why: Counted in the database as it was before, so that a row too few or too many shows.
{% import "rules.sql" as rules with context -%}
SELECT count(*)
FROM {{ before }}.{{ users.table }} AS u
{%- if scope == "users_with_resources" %}
WHERE {{ rules.needs_organization("u." ~ users.key, before ~ ".") }}
{%- endif %}
