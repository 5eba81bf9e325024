-- title: Assign resources
-- why: Each row goes to its owner's personal organization, and is marked as changed at the migration's own instant.
{% import "rules.sql" as rules with context -%}
{% for resource in resources -%}
UPDATE {{ resource.table }}
SET organization_id = {{ rules.organization_id(resource.owner) if adopter is none else
        "CASE WHEN " ~ resource.owned ~ " THEN " ~ rules.organization_id(resource.owner)
        ~ " ELSE " ~ rules.organization_id(adopter) ~ " END" }}
{%- if resource.updated_at %},
    {{ resource.updated_at }} = (SELECT {{ resource.now }} FROM runbook_ledger WHERE migration = {{ migration }})
{%- endif %}
WHERE organization_id IS NULL;

{% endfor %}
