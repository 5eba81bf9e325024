-- title: How many organizations the plan makes
-- why: Counted in the database as it was before, so that a row too few or too many shows.
SELECT count(*)
FROM {{ before }}.{{ users.table }} AS u
{%- if scope == "users_with_resources" %}
WHERE {% for resource in resources -%}
u.{{ users.key }} IN (SELECT {{ resource.owner }} FROM {{ before }}.{{ resource.table }})
{%- if not loop.last %}
   OR {% endif %}
{%- endfor %}
{%- if adopter is not none %}
   OR u.{{ users.key }} = {{ adopter }}{% endif %}
{%- endif %}
