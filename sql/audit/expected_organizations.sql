-- title: How many organizations the plan makes
-- why: Counted in the database as it was before, so that a row too few or too many shows.
SELECT count(*)
FROM {{ before }}.{{ users.table }} AS u
{%- if scope == "users_with_resources" %}
WHERE u.{{ users.key }} IN (
    {%- for resource in resources %}
    SELECT {{ resource.owner }} FROM {{ before }}.{{ resource.table }}
    {%- if not loop.last %} UNION{% endif %}
    {%- endfor %}
)
{%- if adopter is not none %} OR u.{{ users.key }} = {{ adopter }}{% endif %}
{%- endif %}
