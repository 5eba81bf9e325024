-- title: How many databases are in each state, and how much they hold
SELECT state, count(*), sum(rows), sum(bytes) FROM databases GROUP BY state;
