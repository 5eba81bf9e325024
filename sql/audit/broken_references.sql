-- title: Rows that refer to rows that do not exist
-- why: SQLite's own check of every foreign key of one schema, or of one table of it, counted by table and the table that it refers to.
SELECT "table", parent, count(*)
FROM pragma_foreign_key_check({{ table | default("NULL") }}, {{ schema }})
GROUP BY 1, 2
