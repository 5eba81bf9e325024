-- title: Drop organization_id
-- why: SQLite takes the column's definition out of the table's text and leaves every other character as it was.
-- Without this word SQLite refuses as soon as any view is broken, however little it has to do with
-- the column; whether something really needs the column was found out before.
PRAGMA legacy_alter_table = ON;

{% for resource in resources -%}
ALTER TABLE {{ resource.table }} DROP COLUMN organization_id;

{% endfor -%}
PRAGMA legacy_alter_table = OFF;
