-- title: Hazards by kind, each with the databases that have it
WITH each AS (
  SELECT DISTINCT m.number, m.name, m.run, unnest(r.hazards, recursive := true)
  FROM records AS r JOIN members AS m ON m.file = r.file
)
SELECT
  level, code, any_value(title) AS title, count(DISTINCT number) AS databases,
  list(DISTINCT name ORDER BY name)[:$shown] AS names
FROM each
GROUP BY level, code
ORDER BY array_position(['block', 'warn', 'note'], level), databases DESC, code;
