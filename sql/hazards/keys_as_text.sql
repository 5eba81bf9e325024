-- title: Make keys text
-- why: Keys whose bytes are no text are read as the letters of Western Europe, one byte each, together with every reference to them. No key stands in the script itself.
{% macro byte(place) -%}
instr('123456789ABCDEF', substr(hex(raw), 2 * {{ place }} - 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(raw), 2 * {{ place }}, 1))
{%- endmacro -%}
BEGIN;
PRAGMA defer_foreign_keys = ON;
CREATE TEMP TABLE {{ kept }} AS
WITH RECURSIVE wrong(raw) AS (
    SELECT raw FROM (
        SELECT CAST({{ key }} AS BLOB) AS raw, {{ number }} AS number FROM main.{{ users }}
    ) WHERE number IN ({{ numbers }})
)
{%- if encoding == "UTF-8" %},
bytes(raw, place, byte, key) AS (
    SELECT raw, 1, {{ byte("1") }}, '' FROM wrong
    UNION ALL
    SELECT raw, place + 1, {{ byte("(place + 1)") }}, key || char(CASE byte {{ letters }} ELSE byte END)
    FROM bytes
    WHERE place <= length(raw)
)
SELECT raw, key FROM bytes WHERE place > length(raw);
{%- else %}
SELECT raw, 'key' AS key FROM wrong;
{%- endif %}
UPDATE temp.{{ kept }} AS k SET key = key || '-' || lower(hex(raw))
WHERE EXISTS (SELECT 1 FROM main.{{ users }} AS u WHERE u.{{ key }} = k.key)
    OR (SELECT count(*) FROM temp.{{ kept }} AS o WHERE o.key = k.key COLLATE NOCASE) > 1
    OR k.key = 'key';
{%- for column in columns %}
UPDATE main.{{ column.table }} SET {{ column.name }} = (
    SELECT k.key FROM temp.{{ kept }} AS k WHERE k.raw = CAST({{ column.table }}.{{ column.name }} AS BLOB)
)
WHERE typeof({{ column.name }}) = 'text' AND CAST({{ column.name }} AS BLOB) IN (SELECT raw FROM temp.{{ kept }});
{%- endfor %}
DROP TABLE temp.{{ kept }};
COMMIT;
