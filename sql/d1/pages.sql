-- title: The next rows of a table, as pages of lines
-- why: One answer must be neither too long for D1 nor too long for one value. The running total of bytes, z, cuts the rows into pages and the pages into one answer.
SELECT group_concat(r, char(10) ORDER BY z) AS page
FROM (
    SELECT r, z, (z - length(r)) / {{ page_bytes }} AS p
    FROM (
        SELECT r, sum(length(r) + 1) OVER (ORDER BY {{ order }} ROWS UNBOUNDED PRECEDING) AS z
        FROM (
            SELECT {{ keys }}, {{ line }} AS r
            FROM {{ table }}
            {%- if conditions %}
            WHERE {{ conditions }}
            {%- endif %}
            ORDER BY {{ inner_order }}
            LIMIT {{ rows }}
        )
    )
    WHERE z - length(r) <= {{ answer_bytes }}
)
GROUP BY p
ORDER BY p
