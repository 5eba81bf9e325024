-- title: The rows that were not changed since and are not identical to the backup
-- why: Only asked where the number is wrong, for samples.
SELECT b.{{ key }} AS {{ key }}
FROM {{ now }} AS b
WHERE NOT EXISTS (SELECT 1 FROM {{ written }} AS k WHERE {{ same_row }})
    AND NOT EXISTS (
        SELECT 1 FROM {{ before }} AS a WHERE {{ counterpart }} AND ({{ differs }}) IS NOT TRUE
    )
