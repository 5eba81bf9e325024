-- title: The fleet and its databases
-- why: The coordinator alone writes it, so that a second call goes on where the first one stopped.
CREATE TABLE fleet (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  name TEXT NOT NULL,
  created_at TEXT NOT NULL,
  version TEXT NOT NULL,
  migration TEXT NOT NULL,
  plan TEXT NOT NULL,
  plan_digest TEXT NOT NULL,
  operator TEXT NOT NULL,
  ticket TEXT NOT NULL,
  options TEXT NOT NULL
) STRICT;

CREATE TABLE databases (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  database TEXT NOT NULL,
  run TEXT NOT NULL UNIQUE,
  wave INTEGER NOT NULL DEFAULT -1,
  state TEXT NOT NULL DEFAULT 'untouched' CHECK (state IN (
    'untouched', 'running', 'ready', 'before', 'after', 'failed', 'unknown', 'taken back'
  )),
  stage TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '',
  seconds REAL NOT NULL DEFAULT 0,
  cpu REAL NOT NULL DEFAULT 0,
  rows INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  digest TEXT NOT NULL DEFAULT '',
  worker TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,
  finished_at TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX databases_by_state ON databases (state, number);
