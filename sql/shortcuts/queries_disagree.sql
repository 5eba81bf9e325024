-- title: The new query returns what the old one returned
-- why: Where every row is in its owner's organization, the two queries agree if every organization is a personal one and its owner is its only member.
-- assumes: resources_of_another_owner, resources_without_organization, resources_of_missing_organization, organizations_without_owner_membership
{% import "rules.sql" as rules with context -%}
SELECT o.id AS organization_id
FROM organizations AS o
WHERE o.type IS DISTINCT FROM 'personal'
   OR o.id IS DISTINCT FROM {{ rules.organization_id("o.owner_id") }}
   OR typeof(o.owner_id) <> '{{ key_class }}'
UNION ALL
SELECT m.organization_id
FROM organization_memberships AS m
WHERE m.organization_id IS DISTINCT FROM {{ rules.organization_id("m.user_id") }}
   OR typeof(m.user_id) <> '{{ key_class }}'
