-- title: A resource belongs to its owner's organization
-- why: Ids of organizations are made from keys, one to one among keys of one storage class. If every row's id is made from its owner, and every organization's from its own, each row is in its owner's organization, and no row needs a look-up to show it.
-- for each: resource
{% import "rules.sql" as rules with context -%}
SELECT r.organization_id AS organization_id
FROM {{ resource.table }} AS r
WHERE r.organization_id IS DISTINCT FROM {{ rules.organization_id("(" ~ resource.belongs_to ~ ")") }}
   OR typeof({{ resource.belongs_to }}) <> '{{ key_class }}'
   OR EXISTS (
    SELECT 1 FROM organizations AS o
    WHERE o.id IS DISTINCT FROM {{ rules.organization_id("o.owner_id") }}
       OR typeof(o.owner_id) <> '{{ key_class }}'
)
