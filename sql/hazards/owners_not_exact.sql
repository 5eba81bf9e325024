-- title: Owners that are not exactly a user's key, and what each would match if read loosely
-- why: Kind 1 differs in its storage class, 2 in case or spaces, 3 matches no user at all.
-- Loose text forms are joined, once over the users, with an index that SQLite makes for the odd
-- owners (hence CROSS JOIN, which fixes the order); numbers are found by `=`.
WITH odd AS MATERIALIZED (
    SELECT value, rows, CAST(value AS TEXT) AS text,
           lower(trim(CAST(value AS TEXT), char(9, 10, 13, 32))) AS folded
    FROM {{ owners }} WHERE value IS NOT NULL AND NOT exact
), near AS MATERIALIZED (
    SELECT odd.text AS text, min({{ key }}) AS key,
           max(odd.text = CAST({{ key }} AS TEXT) COLLATE BINARY) AS same
    FROM {{ users }} CROSS JOIN odd
        ON odd.folded = lower(trim(CAST({{ key }} AS TEXT), char(9, 10, 13, 32)))
    GROUP BY odd.text COLLATE BINARY
), judged AS (
    SELECT odd.value AS value, odd.rows AS rows, near.key AS key, CASE
        WHEN near.same THEN 1
        WHEN EXISTS (
            SELECT 1 FROM {{ users }} WHERE {{ key }} = +odd.value AND typeof({{ key }}) <> typeof(odd.value)
        ) THEN 1
        WHEN typeof(odd.value) = 'text' AND EXISTS (
            SELECT 1 FROM {{ users }} WHERE {{ key }} = CAST(odd.value AS NUMERIC)
                AND typeof({{ key }}) IN ('integer', 'real') AND odd.folded <> ''
                AND NOT odd.folded GLOB '*[^0-9.+-]*'
        ) THEN 1
        WHEN near.text IS NOT NULL THEN 2
        ELSE 3 END AS kind
    FROM odd LEFT JOIN near ON near.text = odd.text COLLATE BINARY
)
SELECT kind, sum(rows) OVER (PARTITION BY kind) AS total, value, rows, key,
       row_number() OVER (PARTITION BY kind ORDER BY rows DESC, value) AS place
FROM judged
