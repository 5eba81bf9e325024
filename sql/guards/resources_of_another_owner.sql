-- title: A resource belongs to its owner's organization
-- why: Inside the migration the same question can be answered without a look-up for each row: an organization's id is made from its owner's key, one to one, so a row is in its owner's organization if its organization_id is made from its owner, and so are the organizations' own ids.
-- for each: resource
{% import "rules.sql" as rules with context -%}
SELECT {{ resource.row }}, r.{{ resource.owner }} AS owner, r.organization_id AS organization_id
FROM {{ resource.table }} AS r
WHERE r.organization_id <> {{ rules.organization_id("(" ~ resource.belongs_to ~ ")") }}
   OR EXISTS (
    SELECT 1 FROM organizations AS o
    WHERE o.id IS DISTINCT FROM {{ rules.organization_id("o.owner_id") }}
)
