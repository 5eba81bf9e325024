-- title: A table of a snapshot, decoded and typed
-- why: Each column has the one type that holds its every cell exactly; a mixed one is text, with a column beside it that says each cell's storage class.
{% import "explore/cells.sql" as cells with context -%}
SELECT
    {{ number }},
{%- for column in columns %}
    {{ cells.value(column, column.cell, column.raw) }} AS v{{ loop.index0 }}
    {%- if column.mixed %},
    {{ cells.storage_class(column.cell) }} AS k{{ loop.index0 }}{% endif %}
    {%- if not loop.last %},{% endif %}
{%- else %}
    r AS v0
{%- endfor %}
FROM {{ cells.source(side, number) }}
