-- title: A resource belongs to its owner's organization
-- why: A row in another user's organization is a leak, however complete the backfill looks.
-- for each: resource
-- when: before commit
SELECT {{ resource.row }}, r.{{ resource.owner }} AS owner, o.owner_id AS organization_owner
FROM {{ resource.table }} AS r
LEFT JOIN (
    -- DISTINCT has SQLite set these two columns apart, where it finds them in half the time.
    SELECT DISTINCT id, owner_id FROM organizations
) AS o ON o.id = r.organization_id
WHERE o.id IS NOT NULL AND o.owner_id IS DISTINCT FROM {{ resource.belongs_to }}
