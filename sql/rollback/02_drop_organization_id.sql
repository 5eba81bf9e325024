-- title: Drop organization_id
-- why: SQLite takes the column's definition out of the table's text and leaves every other character as it was.
{% if broken -%}
-- Something else in this schema is broken ({{ broken }}),
-- for which alone SQLite would refuse; this word makes it go on. What really needs the column was
-- found out before.
PRAGMA writable_schema = ON;

{% endif %}
{%- for resource in resources -%}
ALTER TABLE {{ resource.table }} DROP COLUMN organization_id;

{% endfor -%}
{%- if broken %}
PRAGMA writable_schema = OFF;
{% endif %}
