-- title: Each organization is the one that the rule gives its owner
-- why: Every value of every row, computed from the users as they were before.
-- columns: id, name, slug, owner_id, type, settings, created_at, updated_at
{% import "rules.sql" as rules with context -%}
SELECT
    o.id AS "row",
    u.{{ users.key }} IS NULL OR o.id IS NOT {{ rules.organization_id("u." ~ users.key) }} AS id,
    o.name IS NOT {{ rules.organization_name("u." ~ users.email if users.email else none) }} AS name,
    o.slug IS NOT {{ rules.slug("u." ~ users.key) }} AS slug,
    o.owner_id IS NOT u.{{ users.key }} COLLATE BINARY
        OR typeof(o.owner_id) <> typeof(u.{{ users.key }}) AS owner_id,
    o.type IS NOT 'personal' AS type,
    o.settings IS NOT '{}' AS settings,
    o.created_at IS NOT {{ now_specified }} AS created_at,
    o.updated_at IS NOT {{ now_specified }} AS updated_at
FROM {{ after }}.organizations AS o
LEFT JOIN {{ before }}.{{ users.table }} AS u ON u.{{ users.key }} = o.owner_id
