-- title: How long databases took: how many in each band of seconds
SELECT
  round(pow(2, band), 3) AS from_seconds, round(pow(2, band + 1), 3) AS to_seconds, count(*) AS databases
FROM (SELECT floor(log2(greatest(seconds, 0.001))) AS band FROM members WHERE seconds > 0)
GROUP BY band
ORDER BY band;
