-- title: How many rows that were written since are as they were just before
-- why: Row a is the one that was kept with all its values before the rollback, so that no later work is lost.
SELECT count(*)
FROM {{ written }} AS a
CROSS JOIN {{ now }} AS b ON {{ same_row }}{{ rest }}
WHERE a.{{ what }} <> 'untouched'
    AND ({{ differs }}) IS NOT TRUE
