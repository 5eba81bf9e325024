"""Replicas of a D1 database as it is now, made when they are needed and kept while they hold."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path

from runbook.errors import TargetError
from runbook.progress import Progress, no_progress
from runbook.script.migration import LEDGER
from runbook.sqlite.connect import open_immutable, open_writable
from runbook.sqlite.copy import copy_database
from runbook.targets.d1.chunks import CHUNKS, UNFINISHED, finishing_sql
from runbook.targets.d1.engine import open_engine
from runbook.targets.d1.halfway import Halfway, is_halfway
from runbook.targets.d1.read_rows import LOCAL, REMOTE
from runbook.targets.d1.replicate import replicate
from runbook.targets.d1.state_file import check_exact, copy_state
from runbook.targets.d1.wrangler import Wrangler


class Replicas:
    """The replicas of the database that `wrangler` is for.

    `latest` is the last one that was made, `bookmark` the Time Travel bookmark of its state, and
    `rest` what was run on it so that a migration that stopped looks finished. One in chunks, which
    looks finished although some rows have no organization yet, is `partial`.
    """

    def __init__(
        self, wrangler: Wrangler, located: Callable[[Path], Halfway | None] = lambda _: None
    ) -> None:
        """Takes the database, and what finds out how far a migration came in a replica."""
        self._wrangler = wrangler
        self._located = located
        self.rest: tuple[str, ...] = ()
        self.partial = False
        self._folder: Path | None = None
        self.latest: Path | None = None
        self.bookmark = ""

    def fresh(self, progress: Progress = no_progress, finish: bool = False) -> Path:
        """A file that holds what the database holds now, without wrangler's own table.

        Locally it is copied from the state file, which is exact and takes no calls; remotely it is
        a replica, kept as long as nothing is written. With `finish`, a migration that stopped on
        its way looks finished there.
        """
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="runbook-d1-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        to = self._folder / "replica.db"
        if self._wrangler.local:
            to.unlink(missing_ok=True)
            copy_state(self._wrangler.state_file, to, self._wrangler.config.migrations_table)
        elif not to.exists() or self._wrangler.time_travel_bookmark() != self.bookmark:
            to.unlink(missing_ok=True)
            self.copy_pages(to, progress)
        self.latest = to
        return self._finished(to) if finish else to

    def copy_pages(self, to: Path, progress: Progress) -> None:
        """Writes a replica to `to` through D1's own SQL, and shows that nobody wrote meanwhile."""
        bookmark = "" if self._wrangler.local else self._wrangler.time_travel_bookmark()
        reader = contextlib.nullcontext(self._wrangler.read)
        with open_engine(self._wrangler) if self._wrangler.local else reader as read:
            replicate(
                read,
                to,
                pace=LOCAL if self._wrangler.local else REMOTE,
                leave_out=self._wrangler.config.migrations_table,
                progress=_copying(progress),
            )
        try:
            if self._wrangler.local:
                check_exact(to, self._wrangler.state_file, self._wrangler.config.migrations_table)
            elif self._wrangler.time_travel_bookmark() != bookmark:
                raise TargetError(
                    f"The D1 database {self._wrangler.config.name} was written to while it was "
                    "copied; put the application into maintenance mode and try again."
                )
        except TargetError:
            to.unlink()
            raise
        self.bookmark = bookmark

    def _finished(self, replica: Path) -> Path:
        """The replica, or a copy beside it in which a migration that stopped looks finished."""
        statements: tuple[str, ...] = ()
        self.rest = ()
        with contextlib.closing(open_immutable(replica)) as source:
            query = f"SELECT 1 FROM sqlite_schema WHERE name = '{CHUNKS}'"
            self.partial = source.execute(query).fetchone() is not None
            if self.partial:
                (name,) = source.execute(
                    f"SELECT migration FROM {LEDGER} WHERE migration LIKE '%' || ?", (UNFINISHED,)
                ).fetchone()
                statements = finishing_sql(name.removesuffix(UNFINISHED))
            elif is_halfway(source):
                half = self._located(replica)
                statements = self.rest = half.rest if half else ()
            if not statements:
                return replica
            copy = replica.with_name("finished.db")
            copy.unlink(missing_ok=True)
            copy_database(source, copy)
        with contextlib.closing(open_writable(copy)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            for statement in statements:
                connection.execute(statement)
        return copy


def _copying(progress: Progress) -> Progress:
    """The progress of a table that is read from D1."""

    def shown(
        what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
    ) -> None:
        progress(f"Copying {what}", done, total, unit, expected)

    return shown
