"""A Cloudflare D1 database as a target, local or remote, reached through wrangler alone.

D1 holds no transaction open across calls, so nothing can be compared before its commit. Instead:

1. the script runs on a copy of the backup and is proven there, in SQLite;
2. D1 gets it as one migration file, which is one atomic unit with wrangler's own row about it and
   whose guards abort it as a whole;
3. a new replica is proven against the backup, after the commit.

Where an answer is missing, the database is looked at, never written to again.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from runbook.errors import BadInput, NotProven, OutcomeUnknown, Refused, TargetError
from runbook.plan.plan import Plan
from runbook.plan.shape import look
from runbook.progress import Progress, no_progress
from runbook.run.findings import StepResult
from runbook.run.identity import D1Conditions, Identity, LedgerRow
from runbook.script.migration import LEDGER, Script, render
from runbook.sqlite.connect import immutable_uri
from runbook.sqlite.copy import copy_database
from runbook.targets.d1.apply import Applying
from runbook.targets.d1.chunks import CHUNKS, UNFINISHED, finishing_sql
from runbook.targets.d1.config import find_config
from runbook.targets.d1.engine import Engine
from runbook.targets.d1.inspect import Looking
from runbook.targets.d1.install import Tool, find_tool
from runbook.targets.d1.migration_file import (
    TRANSACTION_WORDS,
    engine_copy,
    file_name,
    file_text,
    try_out,
)
from runbook.targets.d1.notes import note_beside, open_copy, seen_beside
from runbook.targets.d1.read_rows import LOCAL, REMOTE
from runbook.targets.d1.replica import replicate
from runbook.targets.d1.schema import INTERNAL, read_schema, sums_sql
from runbook.targets.d1.state_file import (
    check_exact,
    copy_state,
    differences,
)
from runbook.targets.d1.wrangler import Wrangler
from runbook.targets.protocol import Applied, Explain, Prepare, Prove
from runbook.targets.sqlite import SqliteTarget

PREFIX = "d1:"

OPTIONS = ("wrangler_config", "where", "persist_to", "environment", "timeout", "chunk_rows")


class D1Target:
    """A D1 database named in a wrangler configuration."""

    proof_before_commit = False
    file = None

    def __init__(
        self, database: str, options: Mapping[str, str] | None = None, tool: Tool | None = None
    ) -> None:
        """Takes the database `d1:NAME`.

        Args:
            database: `d1:` and the database's name or binding.
            options: `wrangler_config` (by default the one in the current folder), `where`
                (`local` or `remote`, which has no default), and where needed `persist_to`,
                `environment`, `timeout` (seconds) and `chunk_rows`, with which the migration is
                made in chunks.
            tool: which wrangler; by default the pinned one.

        Raises:
            BadInput: an option is missing or unknown.
            TargetError: no such database, no wrangler, or no token.
        """
        options = dict(options or {})
        unknown = sorted(options.keys() - set(OPTIONS))
        if unknown:
            raise BadInput(f"D1 knows no option {unknown[0]!r}; it takes {', '.join(OPTIONS)}.")
        if options.get("where") not in ("local", "remote"):
            raise BadInput(f"Say where {database} is: pass --local or --remote.")
        self._tool = tool or find_tool()
        config = options.get("wrangler_config")
        persist = options.get("persist_to")
        self._wrangler = Wrangler(
            Path(config) if config else find_config(Path.cwd()),
            database.removeprefix(PREFIX),
            local=options["where"] == "local",
            persist_to=Path(persist) if persist else None,
            environment=options.get("environment"),
            tool=self._tool,
            timeout=float(options.get("timeout", "300")),
        )
        self._config = self._wrangler.config
        self._local = self._wrangler.local
        self._looking = Looking(self._wrangler)
        self._applying = Applying(self._wrangler)
        self._chunk_rows = int(options.get("chunk_rows", "0"))
        self._folder: Path | None = None
        self._replica: Path | None = None
        self._bookmark = ""

    def identity(self) -> Identity:
        """Which database this is; it must have tables, since a wrong id opens a new empty one.

        Raises:
            TargetError: it cannot be reached, or is empty.
        """
        where = "local" if self._local else "remote"
        id_ = self._config.local_id if self._local else str(self._config.remote_id)
        query = (
            "SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table'"
            f" AND substr(name, 1, 4) <> '{INTERNAL}' AND name NOT LIKE 'sqlite%'"
        )
        is_there = not self._local or self._wrangler.state_file.is_file()
        tables = int(self._looking.ask([query])[0][0]["n"]) if is_there else 0
        if not tables:
            raise TargetError(
                f"The {where} D1 database {self._config.name} ({id_}) has no tables; see that its "
                f"id in {self._config.path} is right, because a wrong one opens an empty database."
            )
        size = self._wrangler.state_file.stat().st_size if self._local else 0
        details = {"where": where, "id": id_, "wrangler": self._wrangler.version}
        return Identity("d1", self._config.name, f"{where} D1 {id_}", size, details)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection to an exact replica of the database as it is now, which is read-only.

        A migration that stopped between two chunks looks finished in it, so that it can be taken
        back like one that is.
        """
        with contextlib.closing(open_copy(self._fresh(finish=True))) as connection:
            yield connection

    def conditions(self, plan: Plan, trial: sqlite3.Connection | None) -> D1Conditions:
        """What wrangler and the folder of migrations say; the script is tried on a copy."""
        text = "" if trial is None else file_text(render(plan, look(trial, plan), "trial"))
        return self._conditions(plan.migration.name, text)

    def backup(self, to: Path, progress: Progress = no_progress) -> None:
        """Writes an exact replica to `to`, and beside it wrangler's export and what else was seen.

        The export is the customary backup; it loses integers above 2^53, NUL characters and
        rowids, and is left out where there are virtual tables, which it refuses.

        Raises:
            Refused: a migration in chunks has not ended, so this would not be the database before.
        """
        if CHUNKS in self._looking.objects():
            raise Refused(
                f"A migration in chunks of the D1 database {self._config.name} has not ended; go "
                "on in its run folder (`runbook run`), or take it back there (`runbook rollback`)."
            )
        if self._local:
            replica = to.with_name("replica.tmp")
            replica.unlink(missing_ok=True)
            self._copy_pages(replica, progress)
        else:
            replica = self._fresh(progress)
        # Copied once more, so that the backup is to the byte what it restores to.
        with contextlib.closing(open_copy(replica)) as source:
            copy_database(source, to, progress)
        if self._local:
            replica.unlink()
        with contextlib.closing(open_copy(to)) as copy:
            (virtual,) = copy.execute(
                "SELECT count(*) FROM pragma_table_list WHERE type = 'virtual'"
            ).fetchone()
        exported = "left out because of virtual tables"
        if not virtual:
            self._wrangler.export(to.with_name("export.sql"))
            exported = "export.sql"
        seen: dict[str, Any] = {
            "database": self._config.name,
            "bookmark": self._bookmark,
            "export": exported,
            "applied": self._looking.applied(),
        }
        note_beside(to.parent, **seen)

    def restore_by_hand(self, backup: Path) -> str:
        """Time Travel to the bookmark of the snapshot; locally, the backup as the state file."""
        if self._local:
            return f"put {backup} in the place of {self._wrangler.state_file}"
        bookmark = seen_beside(backup.parent)["bookmark"]
        return f"run `wrangler d1 time-travel restore {self._config.name} --bookmark={bookmark}`"

    @contextlib.contextmanager
    def committed(self) -> Iterator[Path]:
        """An exact replica of the database as it is now."""
        yield self._fresh()

    def ledger(self, migration: str) -> LedgerRow | None:
        """The ledger's row in D1 itself, once nobody is writing any more."""
        return self._looking.look(migration).ledger

    def unfinished(self, migration: str) -> LedgerRow | None:
        """The row of a migration in chunks that has begun and not ended, from D1 itself."""
        return self._looking.unfinished(migration)

    def apply(
        self,
        script: Script | Prepare,
        backup: Path,
        prove: Prove,
        explain: Explain,
        progress: Progress = no_progress,
        wait: float = 30.0,
    ) -> Applied:
        """Proves the script on a copy, has D1 run it as one unit, and proves a new replica.

        A `Script` is a migration: it is applied as a file of the migrations folder. What is
        prepared from the database as it is now takes a migration back, and its note with it.

        Raises:
            NotProven: the proof failed on the copy; D1 was not touched.
            Refused: D1 refused it and rolled it back, or did not run it.
            OutcomeUnknown: it may have happened, or happened and is not proven.
        """
        began = time.perf_counter()
        made: list[Script] = []

        def prepared(connection: sqlite3.Connection) -> Script:
            made.append(script if isinstance(script, Script) else script(connection))
            return made[-1]

        begun = None
        if isinstance(script, Script):
            begun = self._applying.begun(script)
            if begun is None:
                self._check_unchanged(backup)
        now = backup if isinstance(script, Script) else self._fresh(progress, finish=True)
        with tempfile.TemporaryDirectory(prefix="d1-copy-", dir=backup.parent) as folder:
            copy = Path(folder) / "copy.db"
            with contextlib.closing(open_copy(now)) as source:
                copy_database(source, copy)
            tried = SqliteTarget(copy).apply(prepared, backup, prove, explain, progress, wait)
            waited = time.perf_counter()
            progress("Change in D1", 0, 1)
            if isinstance(script, Script) and (self._chunk_rows or begun):
                self._applying.apply_chunks(script, backup, self._chunk_rows, progress)
            elif isinstance(script, Script):
                self._applying.apply_file(script)
            else:
                self._applying.take_back(made[-1], now, copy, backup.parent)
            applied = time.perf_counter()
            progress("Proof of what D1 holds", 0, 1)
            after = self._fresh(progress)
            if isinstance(script, Script):
                note_beside(backup.parent, bookmark_after=self._bookmark)
                self._prove_committed(after, backup, prove, tried.steps)
            elif found := differences(after, copy):
                raise OutcomeUnknown(
                    f"D1 took the migration back, but it does not hold what was proven on a copy "
                    f"({found[0]}); look at it, and compare it with the backup."
                )
        return Applied(
            steps=tried.steps,
            waited_seconds=round(waited - began, 3),
            gate_seconds=round(time.perf_counter() - applied, 3),
            locked_seconds=round(applied - waited, 3),
        )

    def _prove_committed(
        self, after: Path, backup: Path, prove: Prove, steps: tuple[StepResult, ...]
    ) -> None:
        with contextlib.closing(open_copy(after)) as connection:
            connection.execute("ATTACH ? AS before", (immutable_uri(backup),))
            try:
                prove(connection, steps)
            except NotProven as error:
                raise OutcomeUnknown(
                    f"D1 committed the migration, but what it holds now is not as it should be "
                    f"({str(error).rstrip('.')}); read the findings, and roll it back.",
                    record=error.record,
                ) from error

    def _conditions(self, migration: str, text: str) -> D1Conditions:
        """What the probes of D1 need; an empty `text` is not tried out."""
        folder = self._config.migrations_dir
        files = tuple(sorted(p.name for p in folder.glob("*.sql"))) if folder.is_dir() else ()
        refused, seconds = None, 0.0
        if text:
            assert self._replica is not None
            with engine_copy(
                self._replica, self._replica.parent, self._tool, self._wrangler.timeout
            ) as copy:
                began = time.perf_counter()
                refused = try_out(text, migration, copy)
                seconds = time.perf_counter() - began
        return D1Conditions(
            name=file_name(migration),
            applied=tuple(self._looking.applied() or ()),
            files=files,
            in_the_way=file_name(migration) in files,
            transaction_words=TRANSACTION_WORDS in text,
            refused=refused,
            seconds=seconds,
            remote=not self._local,
            chunk_rows=self._chunk_rows,
        )

    def _check_unchanged(self, backup: Path) -> None:
        """Refuses where the database is no longer what the backup holds."""
        changed = Refused(
            f"The D1 database {self._config.name} was written to since the snapshot; put the "
            "application into maintenance mode and take the snapshot again; nothing was migrated."
        )
        if self._local:
            try:
                check_exact(backup, self._wrangler.state_file, self._config.migrations_table)
            except TargetError as error:
                raise changed from error
            return
        schema = read_schema(self._wrangler.read, self._config.migrations_table)
        now = self._wrangler.read([sums_sql(table) for table in schema.tables])
        with contextlib.closing(open_copy(backup)) as connection:
            for table, rows in zip(schema.tables, now, strict=True):
                try:
                    (was,) = connection.execute(sums_sql(table)).fetchone()
                except sqlite3.OperationalError:
                    raise changed from None
                if was != rows[0]["sums"]:
                    raise changed
        if seen_beside(backup.parent)["bookmark"] != self._wrangler.time_travel_bookmark():
            raise changed

    def _fresh(self, progress: Progress = no_progress, finish: bool = False) -> Path:
        """A file that holds what the database holds now, without wrangler's own table.

        Locally it is copied from the state file, which is exact and takes no calls; remotely it is
        a replica, kept as long as nothing is written. With `finish`, a migration in chunks that
        stopped looks finished there.
        """
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="runbook-d1-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        to = self._folder / "replica.db"
        if self._local:
            to.unlink(missing_ok=True)
            copy_state(self._wrangler.state_file, to, self._config.migrations_table)
        elif not to.exists() or self._wrangler.time_travel_bookmark() != self._bookmark:
            to.unlink(missing_ok=True)
            self._copy_pages(to, progress)
        self._replica = to
        return _finished(to) if finish else to

    def _copy_pages(self, to: Path, progress: Progress) -> None:
        """Writes a replica to `to` through D1's own SQL, and shows that nobody wrote meanwhile."""
        bookmark = "" if self._local else self._wrangler.time_travel_bookmark()
        with Engine(self._wrangler) if self._local else contextlib.nullcontext() as engine:
            replicate(
                engine.read if engine else self._wrangler.read,
                to,
                pace=LOCAL if self._local else REMOTE,
                leave_out=self._config.migrations_table,
                told=lambda table, done, total: progress(f"Copying {table}", done, total),
            )
        try:
            if self._local:
                check_exact(to, self._wrangler.state_file, self._config.migrations_table)
            elif self._wrangler.time_travel_bookmark() != bookmark:
                raise TargetError(
                    f"The D1 database {self._config.name} was written to while it was copied; put "
                    "the application into maintenance mode and try again."
                )
        except TargetError:
            to.unlink()
            raise
        self._bookmark = bookmark


def _finished(replica: Path) -> Path:
    """The replica, or a copy beside it in which a migration in chunks looks finished."""
    copy = replica.with_name("finished.db")
    with contextlib.closing(open_copy(replica)) as source:
        query = f"SELECT 1 FROM sqlite_schema WHERE name = '{CHUNKS}'"
        if source.execute(query).fetchone() is None:
            return replica
        (name,) = source.execute(
            f"SELECT migration FROM {LEDGER} WHERE migration LIKE '%' || ?", (UNFINISHED,)
        ).fetchone()
        copy.unlink(missing_ok=True)
        copy_database(source, copy)
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        for statement in finishing_sql(name.removesuffix(UNFINISHED)):
            connection.execute(statement)
    return copy
