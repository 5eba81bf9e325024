-- title: The rows that were written since and are not as they were just before
-- why: Only asked where the number is wrong, for samples.
SELECT a.{{ key }} AS {{ key }}
FROM {{ written }} AS a
WHERE a.{{ what }} <> 'untouched'
    AND NOT EXISTS (
        SELECT 1 FROM {{ now }} AS b{{ rest }} WHERE {{ same_row }} AND ({{ differs }}) IS NOT TRUE
    )
