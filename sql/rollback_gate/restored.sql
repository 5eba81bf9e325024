-- title: How many rows that were not changed since are identical to the backup
-- why: They are counted, not those that differ: a row that is missing on either side cannot pass for a good one.
SELECT count(*)
FROM {{ now }} AS b
CROSS JOIN {{ before }} AS a ON {{ counterpart }}
WHERE NOT EXISTS (SELECT 1 FROM {{ written }} AS k WHERE {{ same_row }})
    AND ({{ differs }}) IS NOT TRUE
