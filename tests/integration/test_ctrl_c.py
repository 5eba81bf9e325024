"""Ctrl-C while a database engine is at work ends the statement, and is taken for nothing else.

Each case is a process of its own, which ends with 77 where it was interrupted as it should be.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runbook.errors import Interrupted
from runbook.run.stage import translate_error
from runbook.targets.sqlite import SqliteTarget
from tests.support.databases import dump, execute
from tests.support.faults.harness import environment, hear_interrupts

LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000000)"
"""Minutes of work."""

MIGRATE = """
import sys
from pathlib import Path
from runbook.migration.job import Job
from runbook.migration.migrate import migrate
from runbook.plan.plan import Plan, Resource, Users
from runbook.targets.sqlite import SqliteTarget

users, notes = Users("users", "id", None), Resource("notes", "user_id", "updated_at")
path, backup = map(Path, sys.argv[1:])
shown = lambda what, *_: print(what, flush=True)
try:
    migrate(Job(SqliteTarget(path), Plan(users=users, resources=(notes,)), "run", backup, shown))
except KeyboardInterrupt:
    sys.exit(77)
"""

SQLITE = """
import sqlite3, sys
from pathlib import Path
from runbook.sqlite.authorizer import note_compiling
from runbook.sqlite.cells import provide_functions
from runbook.sqlite.connect import open_writable
from runbook.sqlite.interrupts import hear_interrupts, time_limit

connection = open_writable(Path(sys.argv[1]))
hear_interrupts(connection)
provide_functions(connection)
try:
    try:
        print("begins", flush=True)
        {statement}
    except sqlite3.Error:  # as many do who can go on without an answer
        pass
except KeyboardInterrupt:
    sys.exit(77)
"""

STATEMENTS = {
    "execute": "connection.execute('{LONG} SELECT count(*) FROM n')",
    "executemany": "connection.executemany('INSERT INTO t {LONG} SELECT ? FROM n', [(1,)])",
    "executescript": "connection.executescript('INSERT INTO t {LONG} SELECT 1 FROM n')",
    "fetchone": "cursor = connection.execute('{TWO}'); cursor.fetchone(); cursor.fetchone()",
    "fetchmany": "connection.execute('{TWO}').fetchmany(5)",
    "fetchall": "connection.execute('{TWO}').fetchall()",
    "iteration": "list(connection.execute('{TWO}'))",
    "a function of ours": "connection.execute('{LONG} SELECT max(runbook_digits(i * 0.5)) FROM n')",
    "an authorizer": "with note_compiling(connection, lambda *_: sum(1 for _ in range(10**9))):\n"
    "            connection.execute('SELECT x FROM t')",
    "within a time limit": "with time_limit(connection, 300): connection.execute('{TWO}').fetchall()",
    "after a time limit": "with time_limit(connection, 0.01):\n"
    "            try: connection.execute('{TWO}').fetchall()\n"
    "            except sqlite3.OperationalError: pass\n"
    "        connection.execute('{TWO}').fetchall()",
}
TWO = f"SELECT 1 UNION ALL SELECT * FROM ({LONG} SELECT count(*) FROM n)"

DUCKDB = """
import sys, time
from pathlib import Path
import duckdb
from runbook.errors import Interrupted
from runbook.run.stage import translate_error

connection = duckdb.connect()
print("begins", flush=True)
try:
    connection.execute("SELECT count(*) FROM range(20000) AS a, range(20000) AS b"
        " WHERE a.range * b.range % 7 = 3").fetchall()
    time.sleep(60)  # DuckDB does not hear it while other threads have its work
except BaseException as error:
    sys.exit(77 if isinstance(translate_error("verify", Path(), error), Interrupted) else 1)
"""


def interrupted(script: str, *arguments: Path, at: str = "begins") -> int:
    """The exit code of a process that gets Ctrl-C a second after it printed `at`."""
    with subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        preexec_fn=hear_interrupts,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line == f"{at}\n":
                time.sleep(1)
                process.send_signal(signal.SIGINT)
    return process.returncode


def test_while_a_view_is_compared_nothing_is_committed(tmp_path: Path) -> None:
    path, backup = tmp_path / "app.db", tmp_path / "backup.db"
    execute(
        path,
        "CREATE TABLE users (id TEXT PRIMARY KEY)",
        "INSERT INTO users VALUES ('a')",
        "CREATE TABLE notes (id TEXT PRIMARY KEY, user_id TEXT, updated_at TEXT)",
        "INSERT INTO notes VALUES ('n', 'a', '2024-01-01 00:00:00')",
        f"CREATE VIEW long AS {LONG} SELECT count(*) AS c, (SELECT count(*) FROM notes) FROM n",
    )
    SqliteTarget(path).backup(backup)
    before = dump(path)
    assert interrupted(MIGRATE, path, backup, at="Comparing what views return") == 77
    assert dump(path) == before


@pytest.mark.parametrize("name", STATEMENTS)
def test_who_catches_sqlites_errors_does_not_catch_it(tmp_path: Path, name: str) -> None:
    execute(tmp_path / "app.db", "CREATE TABLE t (x)")
    statement = STATEMENTS[name].replace("{LONG}", LONG).replace("{TWO}", TWO)
    assert interrupted(SQLITE.replace("{statement}", statement), tmp_path / "app.db") == 77


def test_duckdb_at_work_is_interrupted_too() -> None:
    assert interrupted(DUCKDB) == 77


def test_duckdbs_own_error_is_understood() -> None:
    error = translate_error("verify", Path(), RuntimeError("Query interrupted"))
    assert isinstance(error, Interrupted)
    another = RuntimeError("Symlink loop from 'a'")
    assert translate_error("verify", Path(), another) is another
