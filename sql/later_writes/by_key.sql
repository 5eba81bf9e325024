-- title: The same rows by their key, where they are not under the rowid that they had
-- why: Rowids move when a database is dumped and loaded. Not UPDATE FROM: SQLite would make one table of both, with too many columns if they are wide.
{%- set pair -%}
FROM {{ now }} AS b CROSS JOIN {{ before }} AS a WHERE {{ same_row }} AND {{ same_key }}
{%- endset %}
UPDATE {{ written }} SET {{ what }} = 'inserted' WHERE {{ has_key }};

UPDATE {{ written }} AS k SET ({{ origin }}, {{ what }}) = (
    SELECT a.{{ rowid }}, {{ what_became }} {{ pair }}
)
WHERE EXISTS (SELECT 1 {{ pair }});
