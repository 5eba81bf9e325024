-- title: Rows of each user, before and after
-- why: What the application's query finds: before by owner, after by the user's personal organization.
{% import "explore/cells.sql" as cells with context -%}
{#- Cells of users with counts; users are told apart by the cell itself, or by what it says. #}
{%- macro by_user(counted, by_cell) -%}
  {%- if by_cell %} SELECT cell AS k, cell, {{ cells.utf8_of("cell") }} AS u, n FROM ({{ counted }})
  {%- else %} SELECT k, min(cell) AS cell, min(u) AS u, CAST(sum(n) AS BIGINT) AS n FROM (
    SELECT {{ cells.identity("u", "cell") }} AS k, cell, u, n FROM (SELECT cell, {{ cells.utf8_of("cell") }} AS u, n FROM ({{ counted }}))
  ) GROUP BY 1
  {%- endif -%}
{%- endmacro -%}
{%- for resource in resources %}
SELECT
    CASE WHEN b.k IS NOT NULL THEN {{ cells.shown_text(resource.owner, "b.u", "b.cell") }} ELSE {{ cells.shown_text(user, "a.u", "a.cell") }} END AS v0,
    {{ resource.literal }} AS v1,
    coalesce(b.n, 0) AS v2,
    coalesce(a.n, 0) AS v3
FROM ({{ by_user(cells.counts(resource.before, resource.owner), resource.owner_is_user) }}) AS b
FULL JOIN (
    {%- set counted %}
    SELECT m.{{ user.raw }} AS cell, CAST(sum(r.n) AS BIGINT) AS n
    FROM ({{ cells.counts(resource.after, resource.organization) }}) AS r
    JOIN {{ cells.source(organizations) }} AS o ON o.{{ id.raw }} = r.cell AND o.{{ type }} = {{ personal }}
    JOIN {{ cells.source(memberships) }} AS m ON m.{{ member_of.raw }} = o.{{ id.raw }}
    WHERE m.{{ user.raw }} <> {{ null }}
    GROUP BY 1
    {%- endset %}
    {{- by_user(counted, resource.owner_is_user) }}
) AS a ON a.k = b.k
{%- if not loop.last %}
UNION ALL{% endif %}
{%- endfor %}
