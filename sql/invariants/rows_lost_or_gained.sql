-- title: No user and no resource was lost or gained
-- why: The migration adds columns and tables; it neither makes nor removes a row of those it starts from.
-- for each: table
-- when: before commit
SELECT counts.was AS rows_before, counts.is_now AS rows_now
FROM (
    SELECT {{ table.before }} AS was, (SELECT count(*) FROM {{ table.name }}) AS is_now
) AS counts
WHERE counts.was <> counts.is_now
