-- title: Each resource is in its owner's organization, with the run's timestamp
-- why: The organization is computed from the row's owner, never looked up in what the migration wrote.
-- columns: organization_id, updated_at
SELECT
    {{ resource.first }} AS "row",
    {{ resource.flags[0] }} AS organization_id,
    {{ resource.flags[1] }} AS updated_at
FROM {{ after }}.{{ resource.table }} AS r
