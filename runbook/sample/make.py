"""Makes the sample database: the specification's application, as it is before the migration."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import BadInput
from runbook.files import publish
from runbook.sample import rows
from runbook.templates import split_statements, sql_file

# A database of this name would take an old file of these names for its own unfinished work.
_LEFTOVERS = ("-journal", "-wal", "-shm")

_WITHOUT_PROJECTS = """
SELECT count(*) FROM users AS u WHERE NOT EXISTS (SELECT 1 FROM projects WHERE owner_id = u.id)
"""


@dataclass(frozen=True)
class SampleResult:
    """What was made: counts of rows, size in bytes, and the hard cases with their rows each."""

    path: Path
    users: int
    projects: int
    users_without_projects: int
    bytes: int
    planted: tuple[tuple[str, int], ...]


def make_sample(
    path: Path, *, users: int = 200, projects: int = 1000, seed: int = 1, messy: bool = False
) -> SampleResult:
    """Make a sample database at `path`, byte for byte the same for the same arguments.

    (And the same version of SQLite, which is written into the file.) Appears whole or not at all.
    A messy sample has the hard cases on top of the ordinary rows; they count as users and projects.

    Raises:
        BadInput: something is at `path` already, it cannot be written, or a count is impossible.
    """
    _check_counts(users, projects)
    path = Path(path)
    _check_free(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A folder of its own keeps half a database out of sight, and goes away whatever happens.
        with tempfile.TemporaryDirectory(prefix=".sample-", dir=path.parent) as folder:
            scratch = Path(folder) / "scratch.db"
            without, planted = _fill(scratch, users, projects, seed, messy)
            size = scratch.stat().st_size
            _check_free(path)
            publish(scratch, path)
    except (OSError, sqlite3.OperationalError) as error:
        raise BadInput(
            f"The sample database '{path}' cannot be written ({error}): "
            "choose a folder that you may write to, with enough free space."
        ) from error
    of_users = sum(n for case, n in planted if case.startswith("user_"))
    of_projects = sum(n for case, n in planted if case.startswith("project_"))
    return SampleResult(
        path, users + of_users, projects + of_projects, without, size, tuple(planted)
    )


def _check_counts(users: int, projects: int) -> None:
    if users < 1:
        raise BadInput(f"A sample needs at least 1 user and {users} were asked for: ask for more.")
    if projects < 0:
        raise BadInput(f"A sample cannot have {projects} projects: ask for 0 or more.")


def _check_free(path: Path) -> None:
    """Refuse a path where a file is, or beside which an older database left its journal."""
    if os.path.lexists(path):
        raise BadInput(
            f"Something is at '{path}' already: choose another path, or delete it first."
        )
    for leftover in (path.with_name(path.name + end) for end in _LEFTOVERS):
        if os.path.lexists(leftover):
            raise BadInput(
                f"'{leftover}' was left by an older database and would damage a new one: "
                "choose another path, or delete it first."
            )


def _fill(
    scratch: Path, users: int, projects: int, seed: int, messy: bool
) -> tuple[int, list[tuple[str, int]]]:
    """Write all tables; returns the users without projects, and the hard cases planted."""
    hard_users = list(rows.hard_users()) if messy else []
    hard_projects = list(rows.hard_projects()) if messy else []
    with closing(sqlite3.connect(scratch, isolation_level=None)) as db:
        # Safety comes from the scratch file, so SQLite need not look after it, nor check rows
        # that are right by construction (a check costs a third of the time). With secure_delete no
        # page keeps what was in it before, whatever this SQLite was built with.
        for setting in (
            "page_size = 4096",
            "encoding = 'UTF-8'",
            "auto_vacuum = NONE",
            "journal_mode = OFF",
            "synchronous = OFF",
            "foreign_keys = OFF",
            "ignore_check_constraints = ON",
            "secure_delete = ON",
            "cache_size = -65536",
        ):
            db.execute(f"PRAGMA {setting}")
        db.execute("BEGIN")
        _run(db, "01_tables", messy)
        _insert(db, "users", 4, rows.user_rows(users, seed))
        _insert(db, "users", 4, (row for _, row in hard_users))
        _insert(db, "projects", 8, rows.project_rows(projects, users, seed))
        _insert(db, "projects", 8, (row for _, row in hard_projects))
        _insert(db, "tasks", 7, rows.task_rows(projects, users, seed))
        _insert(db, "comments", 5, rows.comment_rows(projects, users, seed))
        _insert(db, "tags", 2, rows.tag_rows(projects))
        _insert(
            db,
            "audit_log (action, event, weight, payload, detail, at)",
            6,
            rows.audit_rows(projects, seed),
        )
        _run(db, "02_indexes", messy)
        if db.execute("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'").fetchone():
            _run(db, "03_search", messy)
        db.execute("COMMIT")
        (without,) = db.execute(_WITHOUT_PROJECTS).fetchone()
    planted = Counter(case for case, _ in hard_users)
    planted.update(case for case, _ in hard_projects)
    return without, list(planted.items())


def _run(db: sqlite3.Connection, name: str, messy: bool) -> None:
    for statement in split_statements(sql_file(f"sample/{name}").render(messy=messy)):
        db.execute(statement)


def _insert(
    db: sqlite3.Connection, table: str, columns: int, cells: Iterable[tuple[rows.Cell, ...]]
) -> None:
    marks = ", ".join("?" * columns)
    db.executemany(f"INSERT INTO {table} VALUES ({marks})", cells)
