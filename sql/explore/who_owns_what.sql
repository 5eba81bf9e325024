-- title: Who owns what
-- why: Each organization with its owner, and how many rows of each kind belong to it.
{% import "explore/cells.sql" as cells with context -%}
{%- for resource in resources %}
SELECT
    {{ cells.value(id, "o." ~ id.cell, "o." ~ id.raw) }} AS v0,
    {{ cells.value(name, "o." ~ name.cell, "o." ~ name.raw) }} AS v1,
    {{ cells.value(owner, "o." ~ owner.cell, "o." ~ owner.raw) }} AS v2,
    {%- if email %}
    {{ cells.value(email, "u." ~ email.cell, "u." ~ email.raw) }} AS v3,
    {%- endif %}
    {{ resource.literal }} AS v{{ 4 if email else 3 }},
    r.n AS v{{ 5 if email else 4 }}
FROM ({{ cells.counts(resource.after, resource.organization) }}) AS r
JOIN {{ cells.source(organizations) }} AS o ON o.{{ id.raw }} = r.cell
{%- if email %}
LEFT JOIN {{ cells.source(users) }} AS u ON
    {%- if owner_is_key %} u.{{ key.raw }} = o.{{ owner.raw }} AND o.{{ owner.raw }} <> {{ null }}
    {%- else %} {{ cells.identity("u." ~ key.cell, "u." ~ key.raw) }} = {{ cells.identity("o." ~ owner.cell, "o." ~ owner.raw) }}
    {%- endif %}
{%- endif %}
{%- if not loop.last %}
UNION ALL{% endif %}
{%- endfor %}
