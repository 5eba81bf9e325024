-- title: Rows of each user, before and after
-- why: What the application's query finds: before by owner, after by the user's personal organization.
{%- for resource in resources %}
SELECT
    coalesce(b.owner, a.owner) AS user_id,
    {{ resource.literal }} AS kind,
    coalesce(b.n, 0) AS rows_before,
    coalesce(a.n, 0) AS rows_after
FROM (
    SELECT {{ resource.owner }}::VARCHAR AS owner, count(*) AS n FROM before.{{ resource.table }}
    WHERE {{ resource.owner }} IS NOT NULL
    GROUP BY 1
) AS b
FULL JOIN (
    SELECT m.user_id::VARCHAR AS owner, CAST(sum(r.n) AS BIGINT) AS n
    FROM (SELECT organization_id, count(*) AS n FROM after.{{ resource.table }} GROUP BY organization_id) AS r
    JOIN after.organizations AS o ON o.id = r.organization_id AND o.type = 'personal'
    JOIN after.organization_memberships AS m ON m.organization_id = o.id
    GROUP BY 1
) AS a ON a.owner = b.owner
{%- if not loop.last %}
UNION ALL{% endif %}
{%- endfor %}
