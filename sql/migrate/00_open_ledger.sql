-- title: Enter the migration in the ledger
-- why: The row commits or vanishes with the migration, so it can never lie about whether it happened; its time is the one timestamp of the migration.
CREATE TABLE IF NOT EXISTS runbook_ledger (
    migration TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    checksum TEXT NOT NULL,
    applied_at TEXT NOT NULL
);

INSERT INTO runbook_ledger (migration, run, checksum, applied_at)
VALUES ({{ migration }}, {{ run }}, {{ checksum }}, strftime('%Y-%m-%d %H:%M:%f', 'now'));

-- The guard: a table whose named CHECKs refuse a violated invariant, and with it the whole script.
-- It lives only inside this transaction.
CREATE TABLE runbook_guard (
    name TEXT NOT NULL,
    subject TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (name, subject)
{%- for invariant in invariants %},
    CONSTRAINT {{ invariant.name }} CHECK (name <> '{{ invariant.name }}' OR rows = 0)
{%- endfor %}
);
{% for table in tables %}
INSERT INTO runbook_guard (name, subject, rows)
SELECT 'rows before', {{ table.text }}, count(*) FROM {{ table.name }};
{% endfor %}
{%- for trigger in suspended %}
-- Suspended until the last step, so that the backfill does not fire it.
DROP TRIGGER {{ trigger.name }};
{% endfor %}
