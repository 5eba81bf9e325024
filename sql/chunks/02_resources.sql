-- title: Assign resources
-- why: As step 6 of the migration, for the rows of one range of keys.
-- for each: resource
{% import "rules.sql" as rules with context -%}
UPDATE {{ resource.table }} AS u
SET organization_id = {{ rules.organization_of("u." ~ resource.owner) }}
{%- if resource.updated_at %},
    {{ resource.updated_at }} = (SELECT {{ resource.now }} FROM runbook_ledger WHERE migration = {{ migration }})
{%- endif %}
WHERE {{ range }} AND u.organization_id IS NULL;
