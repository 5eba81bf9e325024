-- title: Findings by kind, each with the databases that have it
WITH each AS (
  SELECT m.number, m.name, unnest(r.findings, recursive := true)
  FROM records AS r JOIN members AS m ON m.file = r.file
)
SELECT
  "table", change, min(message) AS message, count(DISTINCT number) AS databases,
  list(DISTINCT name ORDER BY name)[:$shown] AS names
FROM each
GROUP BY "table", change
ORDER BY databases DESC, "table", change;
