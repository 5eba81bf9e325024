-- title: The organization that a resource points to exists
-- why: A row may point to an organization that was never made, which counting NULLs does not show.
-- for each: resource
-- when: before commit
SELECT {{ resource.row }}, r.organization_id AS organization_id
FROM {{ resource.table }} AS r
LEFT JOIN organizations AS o ON o.id = r.organization_id
WHERE r.organization_id IS NOT NULL AND o.id IS NULL
