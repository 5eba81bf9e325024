-- title: Where a database is, after its work or a query of its ledger
-- why: An order that only queries, or goes on, adds to the time; what it does not know again stays.
UPDATE databases
SET
  state = :state,
  stage = :stage,
  error = :error,
  seconds = seconds + :seconds,
  cpu = cpu + :cpu,
  rows = max(rows, :rows),
  bytes = max(bytes, :bytes),
  digest = iif(:digest = '', digest, :digest),
  worker = iif(:worker = '', worker, :worker),
  finished_at = :finished_at
WHERE number = :number;
