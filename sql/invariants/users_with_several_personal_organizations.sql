-- title: No user has more than one personal organization
-- why: The new query takes the first personal organization it finds; with two, rows would seem to come and go.
-- when: before commit
SELECT o.owner_id AS owner, count(*) AS organizations
FROM organizations AS o
WHERE o.type = {{ text("personal") }}
GROUP BY o.owner_id
HAVING count(*) > 1
