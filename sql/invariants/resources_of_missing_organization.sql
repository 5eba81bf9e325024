-- title: The organization that a resource points to exists
-- why: A row may point to an organization that was never made, which counting NULLs does not show.
-- for each: resource
-- when: before commit
SELECT {{ resource.row }}, r.organization_id AS organization_id
FROM {{ resource.table }} AS r
WHERE r.organization_id IN (
    -- Each organization is looked up once, in the order of the index, not once for each row.
    SELECT assigned.organization_id
    FROM (SELECT DISTINCT organization_id FROM {{ resource.table }}) AS assigned
    WHERE assigned.organization_id IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM organizations AS o WHERE o.id = assigned.organization_id)
)
