-- title: Restore the texts of the schema
-- why: With a column SQLite takes away more than the column: it writes string literals in double quotes anew, everywhere in the schema. Each text becomes what it was, word for word.
{% if rewritten -%}
PRAGMA writable_schema = ON;

{% for object in rewritten -%}
UPDATE sqlite_schema SET sql = {{ object.sql }} WHERE type = {{ object.type }} AND name = {{ object.name }};

{% endfor -%}
-- The schema is read anew, which refuses a text that is none.
PRAGMA writable_schema = RESET;
{% endif %}
