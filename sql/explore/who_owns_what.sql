-- title: Who owns what
-- why: Each organization with its owner, and how many rows of each kind belong to it.
{%- for resource in resources %}
SELECT
    o.id AS organization_id,
    o.name AS organization,
    o.owner_id AS owner,
    {%- if users.email %}
    u.{{ users.email }} AS email,
    {%- endif %}
    {{ resource.literal }} AS kind,
    r.number_of_rows
FROM (
    SELECT organization_id, count(*) AS number_of_rows FROM after.{{ resource.table }}
    GROUP BY organization_id
) AS r
JOIN after.organizations AS o ON o.id = r.organization_id
LEFT JOIN after.{{ users.table }} AS u ON u.{{ users.key }}::VARCHAR = o.owner_id::VARCHAR
{%- if not loop.last %}
UNION ALL{% endif %}
{%- endfor %}
