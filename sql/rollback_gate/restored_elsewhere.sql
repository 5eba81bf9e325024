-- title: How many untouched rows that lie under another rowid now are identical to the backup
-- why: Rowids move when a database is dumped and loaded; such a row is found by the rowid that it had.
SELECT count(*)
FROM {{ written }} AS k
CROSS JOIN {{ now }} AS b ON {{ same_row }}
CROSS JOIN {{ before }} AS a ON a.{{ rowid }} = k.{{ origin }}
WHERE k.{{ what }} = 'untouched'
    AND ({{ differs }}) IS NOT TRUE
