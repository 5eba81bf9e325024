-- title: Roll back
-- why: Restores every row that still carries the migration's own instant, drops what was added, and forgets that the migration was applied, so that it can be applied again.
{% import "rules.sql" as rules with context -%}
-- The guard refuses the whole file where there is nothing to roll back, or where organizations or
-- memberships have been made or moved since; delete the last two INSERTs if those may go.
CREATE TABLE runbook_guard (
    name TEXT NOT NULL,
    rows INTEGER NOT NULL,
    CONSTRAINT nothing_to_roll_back CHECK (name <> 'ledger' OR rows = 1),
    CONSTRAINT other_migrations_in_the_ledger CHECK (name <> 'others' OR rows = 0),
    CONSTRAINT organizations_made_since CHECK (name <> 'organizations' OR rows = 0),
    CONSTRAINT memberships_made_since CHECK (name <> 'memberships' OR rows = 0)
);

INSERT INTO runbook_guard (name, rows)
SELECT 'ledger', count(*) FROM runbook_ledger WHERE migration = {{ migration }};

{% if drop_ledger -%}
INSERT INTO runbook_guard (name, rows)
SELECT 'others', count(*) FROM runbook_ledger WHERE migration <> {{ migration }};

{% endif -%}
INSERT INTO runbook_guard (name, rows)
SELECT 'organizations', count(*) FROM organizations AS o
WHERE o.id <> {{ rules.organization_id("o.owner_id") }} OR o.created_at <> {{ rules.now_specified() }};

INSERT INTO runbook_guard (name, rows)
SELECT 'memberships', count(*) FROM organization_memberships AS m
WHERE m.id <> {{ rules.membership_id("m.user_id") }} OR m.created_at <> {{ rules.now_specified() }};
{% for trigger in suspended %}
DROP TRIGGER {{ trigger.name }};
{% endfor %}
{%- for resource in resources %}
{%- if resource.updated_at %}
UPDATE {{ resource.table }}
SET {{ resource.updated_at }} = kept.updated_at
FROM {{ resource.kept }} AS kept
WHERE {{ resource.same_row }}
    AND {{ resource.table }}.{{ resource.updated_at }} IS (SELECT {{ resource.now }} FROM runbook_ledger WHERE migration = {{ migration }});

DROP TABLE {{ resource.kept }};
{% endif %}
DROP INDEX {{ resource.index }};

ALTER TABLE {{ resource.table }} DROP COLUMN organization_id;
{% endfor %}
DROP TABLE organization_memberships;

DROP TABLE organizations;

{% if drop_ledger -%}
DROP TABLE runbook_ledger;
{%- else -%}
DELETE FROM runbook_ledger WHERE migration = {{ migration }};
{%- endif %}
{% for trigger in suspended %}
{{ trigger.sql }};
{% endfor %}
{%- for statement in forget %}
{{ statement }}
{% endfor %}
DROP TABLE runbook_guard;
