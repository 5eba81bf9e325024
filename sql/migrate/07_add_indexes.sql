-- title: Add indexes
-- why: After the rows are in, because one sorted build is several times cheaper than an insertion for each row.
CREATE INDEX idx_organizations_owner ON organizations(owner_id);

CREATE INDEX idx_organizations_type ON organizations(type);

CREATE INDEX idx_memberships_user ON organization_memberships(user_id);

{% for resource in resources -%}
CREATE INDEX {{ resource.index }} ON {{ resource.table }}(organization_id);

{% endfor %}
{%- for trigger in suspended %}
{{ trigger.sql }};

{% endfor %}
