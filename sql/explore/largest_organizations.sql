-- title: The largest organizations
-- why: Where a query will be slow first; the rows of all kinds together, the most first.
SELECT
    o.id AS organization_id,
    o.name AS organization,
    o.owner_id AS owner,
    coalesce(m.members, 0) AS members,
    coalesce(r.number_of_rows, 0) AS number_of_rows
FROM after.organizations AS o
LEFT JOIN (
    SELECT organization_id, count(*) AS members FROM after.organization_memberships GROUP BY 1
) AS m ON m.organization_id = o.id
LEFT JOIN (
    SELECT organization_id, CAST(sum(n) AS BIGINT) AS number_of_rows
    FROM (
        {%- for resource in resources %}
        SELECT organization_id, count(*) AS n FROM after.{{ resource.table }} GROUP BY 1
        {%- if not loop.last %}
        UNION ALL{% endif %}
        {%- endfor %}
    )
    GROUP BY 1
) AS r ON r.organization_id = o.id
ORDER BY number_of_rows DESC, o.id
