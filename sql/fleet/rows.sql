-- title: The databases of the fleet, in their order
SELECT
  number, name, database, run, wave, state, stage, error, seconds, cpu, rows, bytes, digest,
  worker, attempts, finished_at
FROM databases
ORDER BY number;
