-- title: The rows of a resource that were written after the migration
-- why: Found under their rowid, or under their key where there is none. What was not touched is not kept.
INSERT INTO {{ written }}
SELECT * FROM (
    SELECT
        {{ rowid }},
        NULL,
        CASE WHEN {{ missing }} THEN 'inserted' ELSE {{ what_became }} END AS became,
        {{ values }}
    FROM {{ now }} AS b
    LEFT JOIN {{ before }} AS a ON {{ counterpart }}
)
WHERE became <> 'untouched';
