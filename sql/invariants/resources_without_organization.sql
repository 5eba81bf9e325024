-- title: No resource is without an organization
-- why: A row without one is invisible to every query that goes through organizations.
-- for each: resource
-- when: before commit
SELECT {{ resource.row }}
FROM {{ resource.table }} AS r
WHERE r.organization_id IS NULL
