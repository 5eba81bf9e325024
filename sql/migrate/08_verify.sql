-- title: Verify
-- why: A violated invariant trips the guard's CHECK of the same name, and everything above is rolled back.
{% for guard in guards -%}
{% if guard.left_to_gate -%}
-- Where the runbook itself runs this in a SQLite file, its gate asks the same of every row instead.
{% endif -%}
INSERT INTO runbook_guard (name, subject, rows)
SELECT '{{ guard.name }}', {{ guard.subject }}, count(*) FROM (
{{ guard.query }}
);

{% endfor %}
DROP TABLE runbook_guard;
