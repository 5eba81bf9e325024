-- title: Each resource is in its owner's organization, with the run's timestamp
-- why: The organization is computed from the row's owner, never looked up in what the migration wrote.
-- columns: organization_id, updated_at
{% import "rules.sql" as rules with context -%}
SELECT
    {{ resource.first }} AS "row",
    r.organization_id IS NOT {{ rules.organization_id(resource.owner_before) }} AS organization_id,
    {% if resource.updated_at -%}
    r.{{ resource.updated_at }} IS NOT {{ now }} COLLATE BINARY
        OR typeof(r.{{ resource.updated_at }}) <> '{{ now_class }}'
    {%- else -%} FALSE {%- endif %} AS updated_at
FROM {{ after }}.{{ resource.table }} AS r
