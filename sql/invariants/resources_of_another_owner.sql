-- title: A resource belongs to its owner's organization
-- why: A row in somebody else's organization is a leak, however complete the backfill looks.
-- for each: resource
-- when: before commit
SELECT {{ resource.row }}, r.{{ resource.owner }} AS owner, o.owner_id AS organization_owner
FROM {{ resource.table }} AS r
JOIN organizations AS o ON o.id = r.organization_id
WHERE o.owner_id IS DISTINCT FROM {{ resource.belongs_to }}
