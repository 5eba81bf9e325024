-- title: Restore updated_at
-- why: Each row that was not changed since gets the time back that it had. It is untouched if it still carries the migration's own instant and organization, and every other value is what the backup holds.
{% import "rules.sql" as rules with context -%}
{% for trigger in suspended -%}
-- Suspended until the last step, so that restoring does not fire it.
DROP TRIGGER {{ trigger.name }};

{% endfor %}
{%- for resource in resources if resource.updated_at %}
{%- for pair in resource.pairs -%}
UPDATE {{ resource.table }} AS r
SET {{ resource.updated_at }} = b.{{ resource.updated_at }}
FROM before.{{ resource.table }} AS b
WHERE {{ pair }}
    AND r.{{ resource.updated_at }} IS (SELECT {{ resource.now }} FROM runbook_ledger WHERE migration = {{ migration }}) COLLATE BINARY
    AND typeof(r.{{ resource.updated_at }}) = (SELECT typeof({{ resource.now }}) FROM runbook_ledger WHERE migration = {{ migration }})
    AND r.organization_id IS {{ rules.organization_of("b." ~ resource.owner, "before.") }}
{#- SQLite refuses expressions that are nested 1,000 deep, as one chain of AND over all would be.
    Only atan2 tells -0.0 from 0.0 in every release of SQLite; quote() writes both alike. #}
{%- for columns in resource.others | batch(100) %}
    AND (
    {%- for column in columns %}
        {{ "AND " if not loop.first }}+r.{{ column.name }} IS +b.{{ column.name }} COLLATE BINARY
        {%- if not column.text_only %}
        AND typeof(r.{{ column.name }}) = typeof(b.{{ column.name }})
        AND (typeof(r.{{ column.name }}) <> 'real' OR r.{{ column.name }} <> 0.0 OR atan2(0.0, r.{{ column.name }}) = atan2(0.0, b.{{ column.name }}))
        {%- endif %}
    {%- endfor %}
    )
{%- endfor %};

{% endfor %}
{%- endfor %}
