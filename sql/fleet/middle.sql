-- title: Sums and middles over all databases
SELECT
  count(*) AS databases,
  sum(rows)::BIGINT AS rows,
  sum(bytes)::BIGINT AS bytes,
  sum(seconds) AS seconds,
  sum(cpu) AS cpu,
  quantile_cont(seconds, 0.5) FILTER (seconds > 0) AS half,
  quantile_cont(seconds, 0.99) FILTER (seconds > 0) AS nearly_all,
  max(locked_seconds) AS longest_lock
FROM members AS m LEFT JOIN records AS r ON r.file = m.file;
