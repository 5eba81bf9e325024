-- title: A database is handed to a worker
UPDATE databases
SET state = 'running', wave = coalesce(:wave, wave), attempts = attempts + 1
WHERE number = :number;
