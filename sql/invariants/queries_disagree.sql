-- title: The new query returns what the old one returned
-- why: For every user, the rows found by owner and the rows found through the membership are the same rows; that is what the application will notice.
-- for each: resource
-- when: after commit
SELECT {{ resource.row }}, r.{{ resource.owner }} AS owner, reader.user_id AS reader
FROM {{ resource.table }} AS r
LEFT JOIN (
    SELECT m.organization_id AS organization_id, m.user_id AS user_id
    FROM organization_memberships AS m
    JOIN organizations AS o ON o.id = m.organization_id
    WHERE o.type = {{ text("personal") }}
) AS reader ON reader.organization_id = r.organization_id
WHERE reader.user_id IS NULL
   OR reader.user_id IS DISTINCT FROM {{ resource.belongs_to }}
