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
import dataclasses
import functools
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from runbook.errors import Refused, TargetError
from runbook.plan.plan import Plan
from runbook.plan.shape import read_shape
from runbook.progress import Progress, no_progress
from runbook.run.identity import D1Conditions, Identity, LedgerRow
from runbook.script.migration import Script, render
from runbook.sqlite.connect import open_immutable
from runbook.sqlite.copy import copy_database
from runbook.targets.d1.apply import Applier, same_migration
from runbook.targets.d1.chunks import CHUNKS
from runbook.targets.d1.config import D1Config, find_config
from runbook.targets.d1.halfway import SENT, Halfway, locate_sent, part_of
from runbook.targets.d1.inspect import Inspector, Signs
from runbook.targets.d1.install import Tool
from runbook.targets.d1.migration_file import (
    TRANSACTION_WORDS,
    engine_copy,
    file_name,
    file_text,
    try_out,
)
from runbook.targets.d1.migrations_folder import split_pending
from runbook.targets.d1.notes import read_notes, write_notes
from runbook.targets.d1.options import D1_PREFIX, check_options
from runbook.targets.d1.proof import check_taken_back, check_unchanged, prove_committed
from runbook.targets.d1.replicas import Replicas
from runbook.targets.d1.schema import INTERNAL
from runbook.targets.d1.wrangler import Where, Wrangler
from runbook.targets.protocol import Applied, Prepare, R, Work
from runbook.targets.sqlite import SqliteTarget
from runbook.wording import counted

_LASTING = {
    "where": "place",
    "id": "id",
    "config": "configuration file",
    "environment": "environment",
    "state": "folder of local state",
    "migrations_dir": "folder of migrations",
    "migrations_pattern": "pattern of migrations",
    "migrations_table": "table of migrations",
}
"""Details of a D1 database that must stay as they were, each with its name for people."""


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
                `environment` (by default CLOUDFLARE_ENV's), `timeout` (seconds) and `chunk_rows`,
                with which the migration is made in chunks, and `export`, which may be `no`;
                `migration_file` is settled when a run begins (see `settled`), and `backup` is the
                path of the run's backup.
            tool: which wrangler; by default the one that `choose` finds.

        Raises:
            BadInput: an option is missing or unknown.
            TargetError: no such database, no wrangler, or no token.
        """
        options = options or {}
        check_options(database, options)
        config = options.get("wrangler_config")
        persist = options.get("persist_to")
        self._wrangler = Wrangler(
            Path(config) if config else find_config(Path.cwd()),
            database.removeprefix(D1_PREFIX),
            Where(
                options["where"] == "local",
                Path(persist) if persist else None,
                options.get("environment") or os.environ.get("CLOUDFLARE_ENV") or None,
            ),
            tool=tool,
            timeout=float(options.get("timeout", "300")),
        )
        self._config = self._wrangler.config
        self._local = self._wrangler.local
        self._file = options.get("migration_file", "")
        self._inspector = Inspector(self._wrangler, self._file)
        self._applier = Applier(self._wrangler, self._file)
        self._chunk_rows = int(options.get("chunk_rows", "0"))
        self._exports = options.get("export") != "no"
        self._backup = Path(options["backup"]) if "backup" in options else None
        located = functools.partial(locate_sent, self._backup)
        self._replicas = Replicas(self._wrangler, located)

    @property
    def config(self) -> D1Config:
        """The database's entry in wrangler's configuration."""
        return self._config

    def applied(self) -> tuple[str, ...]:
        """What wrangler has noted as applied."""
        return tuple(self._inspector.applied() or ())

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
        tables = int(self._inspector.ask([query])[0][0]["n"]) if is_there else 0
        if not tables:
            raise TargetError(
                f"The {where} D1 database {self._config.name} ({id_}) has no tables; see that its "
                f"id in {self._config.path} is right, because a wrong one opens an empty database."
            )
        size = self._wrangler.state_file.stat().st_size if self._local else 0
        return Identity("d1", self._config.name, f"{where} D1 {id_}", size, self._details())

    def settled(self, migration: str) -> dict[str, str]:
        """What was found by itself, so that every later start means the same: see the protocol.

        The migration's file gets the next free number where the plan's name would sort before a
        migration that is there; a fresh database would run it too early.
        """
        folder = self._config.migrations
        stem = folder.free_name(migration, self.applied())
        options = {
            "wrangler_config": str(self._config.path),
            "environment": self._config.environment or "",
            "migration_file": folder.place_of(stem),
        }
        return {name: value for name, value in options.items() if value}

    def difference(self, known: Identity) -> str:
        """Anything that the configuration and the options say otherwise; D1 itself is not asked."""
        return known.change_of(self._details(), _LASTING)

    def _details(self) -> dict[str, str]:
        """What tells this database from others; all of it comes from the configuration."""
        config = self._config
        return {
            "where": "local" if self._local else "remote",
            "id": config.local_id if self._local else str(config.remote_id),
            "config": str(config.path),
            "environment": config.environment or "",
            "state": str(self._wrangler.state_folder) if self._local else "",
            "migrations_dir": str(config.migrations_dir),
            "migrations_pattern": config.migrations.pattern,
            "migrations_table": config.migrations_table,
            "wrangler": self._wrangler.tool.version,
            "wrangler of the application": self._wrangler.own_version or "none",
        }

    @property
    def partial(self) -> bool:
        """Whether what was last read is a migration in chunks that has not come to every row."""
        return self._replicas.partial

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection to an exact replica, where a stopped migration looks finished."""
        with contextlib.closing(open_immutable(self._replicas.fresh(finish=True))) as connection:
            yield connection

    def conditions(self, plan: Plan, trial: sqlite3.Connection | None) -> D1Conditions:
        """What wrangler and the folder of migrations say; the script is tried on a copy."""
        migration = plan.migration.name
        name = self._file or file_name(migration)
        text = "" if trial is None else file_text(render(plan, read_shape(trial, plan), "trial"))
        folder = self._config.migrations
        applied = self.applied()
        files = folder.names()
        pending = tuple(f for f in files if f not in applied and f != name)
        assert self._replicas.latest is not None
        with contextlib.closing(open_immutable(self._replicas.latest)) as replica:
            pending, unnoted = split_pending(folder, pending, replica)
        refused, seconds = None, 0.0
        if text:
            with engine_copy(self._replicas.latest, self._wrangler) as copy:
                began = time.perf_counter()
                refused = try_out(text, migration, copy)
                seconds = time.perf_counter() - began
        return D1Conditions(
            name=name,
            applied=applied,
            pending=pending,
            unnoted=unnoted,
            renumbered=name != folder.place_of(migration),
            in_the_way=name in files or (folder.path / name).exists(),
            carriage_returns="\r" in text,
            transaction_words=TRANSACTION_WORDS in text,
            refused=refused,
            seconds=seconds,
            remote=not self._local,
            chunk_rows=self._chunk_rows,
            wrangler=self._wrangler.tool.version,
            own_wrangler=self._wrangler.own_version,
        )

    def backup(self, to: Path, progress: Progress = no_progress) -> None:
        """Writes an exact replica to `to`, and beside it wrangler's export and what else was seen.

        The export is the customary backup; it loses integers above 2^53, NUL characters and
        rowids, and is left out where there are virtual tables, which it refuses. Where it fails or
        takes too long, the notes say so; the replica is the backup.

        Raises:
            Refused: a migration in chunks has not ended, so this would not be the database before.
        """
        if CHUNKS in self._inspector.objects():
            raise Refused(
                f"A migration in chunks of the D1 database {self._config.name} has not ended; go "
                "on in its run folder (`runbook run`), or take it back there (`runbook rollback`)."
            )
        if self._local:
            replica = to.with_name("replica.tmp")
            replica.unlink(missing_ok=True)
            self._replicas.copy_pages(replica, progress)
        else:
            replica = self._replicas.fresh(progress)
        # Copied once more, so that the backup is to the byte what it restores to.
        with contextlib.closing(open_immutable(replica)) as source:
            copy_database(source, to, progress)
        if self._local:
            replica.unlink()
        with contextlib.closing(open_immutable(to)) as copy:
            (virtual,) = copy.execute(
                "SELECT count(*) FROM pragma_table_list WHERE type = 'virtual'"
            ).fetchone()
        exported = self._export(to.with_name("export.sql"), virtual=bool(virtual))
        write_notes(
            to.parent,
            database=self._config.name,
            bookmark=self._replicas.bookmark,
            export=exported,
            applied=self._inspector.applied(),
        )

    def _export(self, to: Path, virtual: bool) -> str:
        """Writes the export, and returns its name, or why there is none."""
        if virtual:
            return "left out because of virtual tables"
        if not self._exports:
            return "left out, as --without-export asks"
        try:
            self._wrangler.export(to)
        except TargetError as error:
            to.unlink(missing_ok=True)
            return f"left out: {error}"
        return to.name

    def restore_by_hand(self, backup: Path) -> str:
        """Time Travel to the bookmark of the snapshot; locally, the backup as the state file."""
        if self._local:
            return f"put {backup} in the place of {self._wrangler.state_file}"
        bookmark = read_notes(backup.parent)["bookmark"]
        return f"run `wrangler d1 time-travel restore {self._config.name} --bookmark={bookmark}`"

    @contextlib.contextmanager
    def committed(self) -> Iterator[Path]:
        """An exact replica of the database as it is now."""
        yield self._replicas.fresh()

    def ledger(self, migration: str) -> LedgerRow | None:
        """The ledger's row in D1 itself, once nobody is writing; None where it is halfway."""
        signs = self._inspector.inspect(migration)
        return None if self._part_of(signs) else signs.ledger

    def unfinished(self, migration: str) -> LedgerRow | None:
        """The row of a migration that has begun and not ended, from D1 itself."""
        signs = self._inspector.inspect(migration)
        return signs.ledger if self._part_of(signs) else self._inspector.unfinished(migration)

    def halfway(self, migration: str) -> str:
        """How far a migration came that has begun and not ended, in words."""
        if half := self._part_of(self._inspector.inspect(migration)):
            return str(half)
        if self._inspector.unfinished(migration) is None:
            return ""
        parts = len(self._inspector.parts_done())
        return f"in between: a migration in chunks has not ended ({counted(parts, 'part')} done)"

    def _part_of(self, signs: Signs) -> Halfway | None:
        return part_of(signs, self._backup, self._replicas.fresh)

    def apply(
        self,
        work: Work[R] | Prepare[R],
        backup: Path,
        progress: Progress = no_progress,
        wait: float = 30.0,
    ) -> Applied[R]:
        """Proves the work on a copy, has D1 do it as one unit, and proves a new replica.

        `Work` is a migration: its script is applied as a file of the migrations folder. What is
        prepared from the database as it is now takes a migration back, and its note with it.

        Raises:
            NotProven: the proof failed on the copy; D1 was not touched.
            Refused: D1 refused it and rolled it back, or did not run it.
            OutcomeUnknown: it may have happened, or happened and is not proven.
        """
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="d1-copy-", dir=backup.parent) as folder:
            copy = Path(folder) / "copy.db"
            if isinstance(work, Work):
                change = self._migration(work.script, backup, progress)
                now = backup
            else:
                now = self._replicas.fresh(progress, finish=True)
                change = None
            with contextlib.closing(open_immutable(now)) as source:
                copy_database(source, copy, progress)
            tried = SqliteTarget(copy).apply(work, backup, progress, wait)
            changing = time.perf_counter()
            progress("Change in D1")
            if change is not None:
                change()
            else:
                rest = self._replicas.rest
                self._applier.take_back(tried.script, now, copy, backup.parent, rest)
            changed = time.perf_counter()
            progress("Proof of what D1 holds")
            after = self._replicas.fresh(progress)
            if isinstance(work, Work):
                write_notes(backup.parent, bookmark_after=self._replicas.bookmark)
                tried = prove_committed(work, after, backup, tried)
            else:
                check_taken_back(after, copy)
        return dataclasses.replace(
            tried,
            waited_seconds=round(changing - began, 3),
            gate_seconds=round(time.perf_counter() - changed, 3),
            locked_seconds=round(changed - changing, 3),
        )

    def _migration(self, script: Script, backup: Path, progress: Progress) -> Callable[[], None]:
        """How D1 is migrated: by a file, or in chunks; the database must be as in the backup."""
        begun = self._applier.begun(script)
        signs = self._inspector.inspect(script.migration)
        if (half := self._part_of(signs)) and signs.ledger:
            same_migration(script, signs.ledger)
            return lambda: self._applier.go_on(script, half)
        if begun is None:
            check_unchanged(self._wrangler, backup)
        if self._chunk_rows or begun:
            return lambda: self._applier.apply_chunks(script, backup, self._chunk_rows, progress)
        return lambda: self._applier.apply_file(script, backup.with_name(SENT))
