-- title: The largest organizations
-- why: Where a query will be slow first; the rows of all kinds together, the most first.
{% import "explore/cells.sql" as cells with context -%}
SELECT
    {{ cells.value(id, "o." ~ id.cell, "o." ~ id.raw) }} AS v0,
    {{ cells.value(name, "o." ~ name.cell, "o." ~ name.raw) }} AS v1,
    {{ cells.value(owner, "o." ~ owner.cell, "o." ~ owner.raw) }} AS v2,
    coalesce(m.n, 0) AS v3,
    coalesce(r.n, 0) AS v4
FROM {{ cells.source(organizations) }} AS o
LEFT JOIN ({{ cells.counts(memberships, member_of) }}) AS m ON m.cell = o.{{ id.raw }}
LEFT JOIN (
    {%- if resources | length > 1 %}
    SELECT cell, CAST(sum(n) AS BIGINT) AS n FROM ({% endif %}
    {%- for resource in resources %}
    {{ cells.counts(resource.after, resource.organization) }}
    {%- if not loop.last %}
    UNION ALL{% endif %}
    {%- endfor %}
    {%- if resources | length > 1 %}
    ) GROUP BY 1{% endif %}
) AS r ON r.cell = o.{{ id.raw }}
