"""What D1 itself shows of a migration: its ledger, wrangler's note, its tables, its chunks."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runbook.run.identity import LedgerRow
from runbook.script.migration import GUARD, LEDGER, NEW_TABLES
from runbook.sqlite.quoting import quote_name, quote_value
from runbook.targets.d1.chunks import CHUNKS, UNFINISHED
from runbook.targets.d1.migration_file import file_name
from runbook.targets.d1.state_file import open_state, write_lock
from runbook.targets.d1.wrangler import Wrangler


@dataclass(frozen=True)
class Signs:
    """What the database shows of the migration: each sign of it, or that it is absent."""

    ledger: LedgerRow | None
    noted: bool
    objects: tuple[str, ...]

    def after(self, run: str) -> bool:
        """Whether it happened wholly, by this run."""
        done = self.ledger is not None and self.ledger.run == run and self.noted
        return done and set(NEW_TABLES) <= set(self.objects) and GUARD not in self.objects

    @property
    def broken(self) -> bool:
        """Whether it is there in part: a guard is left, or one of its tables is missing."""
        return GUARD in self.objects or not set(NEW_TABLES) <= set(self.objects)

    @property
    def before(self) -> bool:
        """Whether nothing of it happened."""
        return self.ledger is None and not self.noted and not self.objects

    def __str__(self) -> str:
        ledger = "the ledger has its row" if self.ledger else "the ledger has no row"
        noted = "wrangler has noted it" if self.noted else "wrangler has not noted it"
        return f"{ledger}, {noted}, and of its tables there are {', '.join(self.objects) or 'none'}"


class Inspector:
    """Asks the database that `wrangler` is for."""

    def __init__(self, wrangler: Wrangler, file: str = "") -> None:
        """Takes the database, and the name of the migration's file, if it is not `NAME.sql`."""
        self._wrangler = wrangler
        self._file = file

    def inspect(self, migration: str) -> Signs:
        """The signs of the migration in D1 itself."""
        objects = self.settled_objects()
        ledger, applied = self.rows_of(
            objects,
            {
                LEDGER: _ledger_sql(migration),
                self._wrangler.config.migrations_table: self._applied_sql(),
            },
        )
        return Signs(
            ledger=LedgerRow(**ledger[0]) if ledger else None,
            noted=(self._file or file_name(migration)) in {row["name"] for row in applied or []},
            objects=tuple(sorted(objects & {*NEW_TABLES, GUARD})),
        )

    def unfinished(self, migration: str) -> LedgerRow | None:
        """The row of a migration in chunks that has begun and not ended, from D1 itself."""
        (chunks,) = self.rows_of(
            self.settled_objects(), {CHUNKS: _ledger_sql(migration + UNFINISHED)}
        )
        return LedgerRow(**chunks[0]) if chunks else None

    def parts_done(self) -> list[dict[str, Any]]:
        """Number and digest of each part of a migration in chunks that has happened."""
        query = f"SELECT number, digest FROM {CHUNKS} ORDER BY number"
        return self.rows_of(self.settled_objects(), {CHUNKS: query})[0] or []

    def applied(self) -> list[str] | None:
        """The migrations that wrangler has noted as applied; None where it has no table yet."""
        table = self._wrangler.config.migrations_table
        (rows,) = self.rows_of(self.objects(), {table: self._applied_sql()})
        return None if rows is None else [str(row["name"]) for row in rows]

    def settled_objects(self) -> set[str]:
        """Names of what the schema holds, once nobody is writing any more.

        Locally, a wrangler that another start left behind may still hold the lock: it is waited
        for, so that what is seen cannot change any more.
        """
        if self._wrangler.local:
            with write_lock(self._wrangler.state_file, wait=30):
                pass
        return self.objects()

    def objects(self) -> set[str]:
        """Names of what the schema holds."""
        return {str(r["name"]) for r in self.ask(["SELECT name FROM sqlite_schema"])[0]}

    def rows_of(
        self, objects: set[str], queries: Mapping[str, str]
    ) -> list[list[dict[str, Any]] | None]:
        """The rows of each query about a table; None where there is no such table."""
        possible = [query for table, query in queries.items() if table in objects]
        answers = iter(self.ask(possible) if possible else [])
        return [next(answers) if table in objects else None for table in queries]

    def ask(self, queries: Sequence[str]) -> list[list[dict[str, Any]]]:
        """Rows of simple queries: locally from the state file itself, which costs no call."""
        if not self._wrangler.local:
            return self._wrangler.read(queries)
        with contextlib.closing(open_state(self._wrangler.state_file)) as state:
            state.row_factory = sqlite3.Row
            return [[dict(row) for row in state.execute(query)] for query in queries]

    def _applied_sql(self) -> str:
        return f"SELECT name FROM {quote_name(self._wrangler.config.migrations_table)} ORDER BY id"


def _ledger_sql(migration: str) -> str:
    return (
        f"SELECT migration, run, checksum, applied_at FROM {LEDGER}"
        f" WHERE migration = {quote_value(migration)}"
    )
