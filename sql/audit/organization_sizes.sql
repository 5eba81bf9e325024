-- title: How many organizations have how many rows
-- why: One band holds most of them; the largest are where a query will be slow first.
WITH sizes AS MATERIALIZED (
    SELECT o.id, (
        {%- for resource in resources %}
        (SELECT count(*) FROM {{ resource.table }} AS r WHERE r.organization_id = o.id)
        {%- if not loop.last %} +{% endif %}
        {%- endfor %}
    ) AS rows
    FROM organizations AS o
)
SELECT
    CASE
        WHEN sizes.rows = 0 THEN '0'
        WHEN sizes.rows = 1 THEN '1'
        WHEN sizes.rows <= 5 THEN '2 to 5'
        WHEN sizes.rows <= 20 THEN '6 to 20'
        WHEN sizes.rows <= 100 THEN '21 to 100'
        ELSE 'more than 100'
    END AS band,
    count(*) AS organizations
FROM sizes
GROUP BY band
ORDER BY min(sizes.rows)
