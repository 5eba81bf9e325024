"""The migration as a D1 migration file, and a trial of it on a copy in the same engine.

`wrangler d1 migrations apply` runs the file and its own row in `d1_migrations` as one batch, which
D1 runs in a transaction of its own: so the file has no BEGIN and COMMIT, and its guards make it
abort as a whole when an invariant fails, whoever applies it.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runbook.errors import Refused
from runbook.script.migration import Script
from runbook.sqlite.connect import open_immutable
from runbook.sqlite.copy import copy_database
from runbook.sqlite.quoting import quote_name, quote_value
from runbook.targets.d1.config import object_name
from runbook.targets.d1.wrangler import Where, Wrangler
from runbook.templates import sql_file

TRANSACTION_WORDS = "BEGIN TRANSACTION"
"""Where this stands anywhere in a file, wrangler also deletes `COMMIT;`, even inside a text."""

_COPY_ID = "copy"
_COPY_CONFIG = f"""
name = "copy"
compatibility_date = "2024-01-01"
[[d1_databases]]
binding = "COPY"
database_name = "copy"
database_id = "{_COPY_ID}"
"""
_SKIPPED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|--[^\n]*|/\*.*?\*/"
_END = re.compile(rf"{_SKIPPED}|\bEND\b(?=[^\s;])", re.DOTALL)


def file_name(migration: str) -> str:
    """Name of the migration's file where the folder of migrations is not known."""
    return f"{migration}.sql"


def noted_text(text: str, name: str, table: str) -> str:
    """A migration with wrangler's own note of it, so that both are one unit however it is run."""
    note = sql_file("d1/note").statements(table=quote_name(table), file=quote_value(name))
    return "\n\n".join([text.rstrip("\n"), *note]) + "\n"


def file_text(script: Script) -> str:
    """The script as a D1 migration file."""
    parts = [
        f"-- {' '.join(script.migration.split())}: user-owned rows become organization-owned.\n"
        "-- For Cloudflare D1, which runs this file in a transaction of its own: all or nothing.\n"
        f"-- Checksum {script.checksum}."
    ]
    for number, step in enumerate(script.steps):
        parts.append(f"-- Step {number}: {step.title}")
        parts.extend(map(spaced, step.statements))
    return "\n\n".join(parts) + "\n"


def spaced(statement: str) -> str:
    """A statement that wrangler cuts where it ends.

    wrangler takes CASE for the beginning of a body and looks for an END with a blank behind it.
    The text of a trigger is kept as it is, since the database keeps it too.
    """
    if re.match(r"(\s|--[^\n]*\n)*CREATE\s+TRIGGER\b", statement, re.IGNORECASE):
        return statement
    return _END.sub(lambda m: "END " if m[0] == "END" else m[0], statement)


def forget(name: str, table: str) -> tuple[str, ...]:
    """Statements that remove wrangler's note of a migration's file, and put its counter back."""
    return sql_file("d1/forget_note").statements(
        table=quote_name(table), text=quote_value(table), file=quote_value(name)
    )


@contextlib.contextmanager
def engine_copy(database: Path, wrangler: Wrangler) -> Iterator[Wrangler]:
    """A local D1 database that holds what the SQLite file `database` holds, in D1's own engine.

    Its configuration and migrations folder lie in a temporary folder beside `database`.
    """
    with tempfile.TemporaryDirectory(prefix="d1-copy-", dir=database.parent) as name:
        app = Path(name)
        (app / "wrangler.toml").write_text(_COPY_CONFIG, encoding="utf-8")
        (app / "migrations").mkdir()
        objects = app / ".wrangler/state/v3/d1/miniflare-D1DatabaseObject"
        objects.mkdir(parents=True)
        state = objects / f"{object_name(_COPY_ID)}.sqlite"
        with contextlib.closing(open_immutable(database)) as source:
            copy_database(source, state)
        yield Wrangler(
            app / "wrangler.toml",
            "copy",
            Where(local=True),
            tool=wrangler.tool,
            timeout=wrangler.timeout,
        )


def try_out(text: str, migration: str, copy: Wrangler) -> str | None:
    """Applies a migration file to an engine's copy; the engine's reason if it refuses, else None.

    Raises:
        OutcomeUnknown, TargetError: it could not be tried.
    """
    folder = copy.config.migrations_dir
    (folder / file_name(migration)).write_bytes(text.encode())
    try:
        copy.migrations_apply("trying the migration on a copy")
    except Refused as error:
        reason = re.search(r"\((.*)\); that unit", str(error))
        return reason[1] if reason else str(error)
    return None
