-- title: Each owner of a resource once, its rows, and whether it is exactly a user's key
-- why: Unary plus takes the column's affinity and collation away, so that the key's own rules apply. Where a column can hold 1 and 1.0 side by side, they are kept apart.
SELECT
    r.{{ owner }} AS value,
    count(*) AS rows,
    typeof(r.{{ owner }}) <> 'real' AND {{ is_key }} AS exact
FROM main.{{ table }} AS r
GROUP BY r.{{ owner }} COLLATE BINARY
{%- if keeps_reals %}, typeof(r.{{ owner }}){% endif %}
