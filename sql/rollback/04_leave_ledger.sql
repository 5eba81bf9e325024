-- title: Leave the ledger
-- why: The row vanishes with the migration, in the same transaction, so that the ledger never says what is not so.
DELETE FROM runbook_ledger WHERE migration = {{ migration }};
{% if drop_ledger %}
-- The table was the migration's own, and is empty now.
DROP TABLE runbook_ledger;
{% endif %}
{%- for trigger in suspended %}
{{ trigger.sql }};
{% endfor %}
