-- title: Add organization_id
-- why: Nullable, because rows that are there already have no organization yet; a reference, so that none can point to nothing later.
{% for resource in resources -%}
ALTER TABLE {{ resource.table }}
ADD COLUMN organization_id TEXT REFERENCES organizations(id);

{% endfor %}
