-- title: How many rows a view returns on one side only
-- why: As a multiset, since the order of a view's rows is not its meaning: each row counts 1 for the one side and -1 for the other.
SELECT total(max(balance, 0)), total(max(-balance, 0))
FROM (
    SELECT sum(side) AS balance
    FROM (
        SELECT 1 AS side, {{ cells }} FROM {{ one }}
        UNION ALL
        SELECT -1, {{ cells }} FROM {{ other }}
    )
    GROUP BY {{ chosen }}
)
