"""A SQLite file as a target: one connection, one transaction, proof before commit."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from runbook.errors import Refused, RunbookError, TargetError
from runbook.plan.plan import Plan
from runbook.progress import Progress, no_progress
from runbook.run.findings import StepResult
from runbook.run.identity import Identity, LedgerRow
from runbook.script.migration import LEDGER
from runbook.sqlite.connect import (
    CACHE_KIBIBYTES,
    CutOff,
    attach_immutable,
    open_immutable,
    open_readonly,
    open_writable,
    readable_text,
)
from runbook.sqlite.copy import PAGES_AT_ONCE, copy_database
from runbook.sqlite.interrupts import hear_interrupts
from runbook.targets.protocol import Applied, Prepare, R, Work

TURN_SECONDS = 0.25
_SORTED_AT_ONCE_KIBIBYTES = 2000
_LARGE = 4 * CACHE_KIBIBYTES * 1024

_LASTING = {
    "inode": "file (by its inode)",
    "page_size": "page size",
    "encoding": "encoding",
}
"""Details of a file that stay while the same database is worked with, each with its name."""


class SqliteTarget:
    """A database in one SQLite file (with its WAL or journal beside it)."""

    proof_before_commit = True

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def file(self) -> Path:
        """The file itself."""
        return self.path

    def identity(self) -> Identity:
        """Which file this is; opening it proves that it is a database."""
        with self.reading() as connection:
            details = {
                name: str(connection.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("journal_mode", "encoding", "page_size", "schema_version")
            }
        path = self.path.resolve()
        status = path.stat()
        details["inode"] = str(status.st_ino)
        return Identity("sqlite", path.name, str(path), status.st_size, details)

    def settled(self, migration: str) -> dict[str, str]:
        """None: a file is reached by its path alone."""
        return {}

    def difference(self, known: Identity) -> str:
        """Another inode, page size or encoding, or a schema that went back.

        Size, journal mode and the rest of the header change with every day's work (a checkpoint, a
        VACUUM, a deployment), so they are recorded and not compared here; between snapshot and
        migration they are, with the backup.
        """
        try:
            now = self.identity().details
        except TargetError:
            return ""
        if change := known.change_of(now, _LASTING):
            return change
        was, version = known.details.get("schema_version"), now["schema_version"]
        if was is not None and int(version) < int(was):
            return f"its schema went back from version {was} to {version}"
        return ""

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A read-only connection; it leaves the file's bytes and time untouched."""
        with contextlib.closing(open_readonly(self.path)) as connection:
            yield connection

    def conditions(self, plan: Plan, trial: sqlite3.Connection | None) -> None:
        """None: there is no service around a file."""

    def backup(self, to: Path, progress: Progress = no_progress) -> None:
        """Copies the database with SQLite's backup API, which keeps rowids and the WAL's rows.

        A read transaction is held meanwhile, so that a writer cannot make the copy start again.
        """
        try:
            with self.reading() as source:
                source.execute("BEGIN")
                source.execute("SELECT count(*) FROM sqlite_schema").fetchone()
                copy_database(source, to, progress)
        except sqlite3.OperationalError as error:
            to.unlink(missing_ok=True)
            raise _refusal(error, self.path, f"copying it to {to}") from error
        except OSError as error:
            to.unlink(missing_ok=True)
            raise Refused(
                f"The backup {to} cannot be written ({error.strerror}); make room or choose "
                "another run folder; the database was not touched."
            ) from error

    @contextlib.contextmanager
    def committed(self) -> Iterator[Path]:
        """The file itself."""
        yield self.path

    def ledger(self, migration: str) -> LedgerRow | None:
        """The ledger's row, read from the file.

        A transaction that was cut off, ours or another's, is not undone before somebody opens the
        file for writing, and until then nobody can read what is true; so that is done first.
        """
        try:
            with self.reading() as connection:
                return read_ledger(connection, migration)
        except CutOff:
            self._undo_cut_off()
        with self.reading() as connection:
            return read_ledger(connection, migration)

    def _undo_cut_off(self) -> None:
        """Has SQLite play back the journal that a killed writer left, as any writer would."""
        with contextlib.closing(open_writable(self.path)) as connection:
            try:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            except sqlite3.Error as error:
                doing = "undoing a transaction that was cut off"
                raise _refusal(error, self.path, doing) from error

    def restore_by_hand(self, backup: Path) -> str:
        """How a person puts the whole backup back."""
        return f"stop the application and copy {backup} to {self.path}"

    @property
    def partial(self) -> bool:
        """Never: a file is migrated in one transaction."""
        return False

    def unfinished(self, migration: str) -> LedgerRow | None:
        """None: a file is migrated in one transaction."""
        return None

    def halfway(self, migration: str) -> str:
        """Never: a file is migrated in one transaction."""
        return ""

    def apply(
        self,
        work: Work[R] | Prepare[R],
        backup: Path,
        progress: Progress = no_progress,
        wait: float = 30.0,
    ) -> Applied[R]:
        """Runs the script in one `BEGIN IMMEDIATE` transaction, proves it, then commits."""
        with contextlib.closing(self._open_writable(TURN_SECONDS)) as connection:
            # Both must happen outside a transaction. Enforcement would look up a parent for each
            # row that is written; the references are proven as a whole before the commit instead.
            connection.execute("PRAGMA foreign_keys = OFF")
            attach_immutable(connection, backup)
            began = time.perf_counter()
            progress("Waiting for the write lock")
            self._patiently(connection, "BEGIN IMMEDIATE", wait)
            locked = time.perf_counter()
            try:
                work = work if isinstance(work, Work) else work(connection)
                if work.begin is not None:
                    work.begin(connection)
                steps = self._run(connection, work, progress)
                proving = time.perf_counter()
                proven = work.prove(connection, steps)
                gate_seconds = time.perf_counter() - proving
                progress("Commit")
                self._patiently(connection, "COMMIT", wait)
            except BaseException as error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _refusal(error, self.path, "changing it") from error
                raise
            locked_seconds = time.perf_counter() - locked
        return Applied(
            script=work.script,
            steps=steps,
            proven=proven,
            waited_seconds=round(locked - began, 3),
            gate_seconds=round(gate_seconds, 3),
            locked_seconds=round(locked_seconds, 3),
        )

    def restore(self, backup: Path, progress: Progress = no_progress, wait: float = 30.0) -> float:
        """Puts `backup` in place of the database, in one transaction; returns its seconds.

        SQLite's backup API holds the write lock from its first page to its last and commits once,
        so other processes see the old database or the new one; the journal mode stays.

        Raises:
            Refused: the lock was not to be had, or the disk is full; nothing has changed.
        """
        began = time.perf_counter()
        destination = self._open_writable(wait)
        source = open_immutable(backup)

        def pages(status: int, left: int, total: int) -> None:
            # A locked database answers at once and would be asked again for ever.
            if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                if time.perf_counter() - began > wait:
                    raise Refused(
                        f"The database {self.path} is locked by another process (waiting {wait:g} "
                        "s to restore it); stop what writes to it, and try again; nothing was "
                        "changed."
                    )
            else:
                progress("Restore", total - left, total, "pages")

        try:
            source.backup(destination, pages=PAGES_AT_ONCE, progress=pages, sleep=0.05)
        except sqlite3.Error as error:
            raise _refusal(error, self.path, "restoring it") from error
        finally:
            source.close()
            destination.close()
        return round(time.perf_counter() - began, 3)

    def _open_writable(self, wait: float) -> sqlite3.Connection:
        open_readonly(self.path).close()  # says clearly what is wrong with the file
        connection = open_writable(self.path, wait)
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIBIBYTES}")
        hear_interrupts(connection)
        return connection

    def _patiently(self, connection: sqlite3.Connection, statement: str, wait: float) -> None:
        """Runs BEGIN or COMMIT, which may have to wait for other processes, and can be tried again.

        SQLite's own waiting cannot be interrupted, so it gets short turns.
        """
        try:
            Retrying(
                retry=retry_if_exception(_is_busy),
                stop=stop_after_delay(wait),
                wait=wait_fixed(0.01),
                reraise=True,
            )(connection.execute, statement)
        except sqlite3.OperationalError as error:
            doing = f"waiting {wait:g} s for its write lock" if _is_busy(error) else "migrating it"
            raise _refusal(error, self.path, doing) from error

    def _run(
        self, connection: sqlite3.Connection, work: Work[R], progress: Progress
    ) -> tuple[StepResult, ...]:
        taken, script = [], work.script
        for number, step in enumerate(script.steps):
            progress(step.title, number, len(script.steps), "steps")
            began, rows = time.perf_counter(), 0
            for statement in step.statements:
                if statement in script.left_to_gate:
                    continue
                try:
                    with _sorting_in_small_runs(connection, statement):
                        rows += max(connection.execute(statement).rowcount, 0)
                except sqlite3.Error as error:
                    reason = work.explain(connection, step, error)
                    if reason is not None:
                        raise reason from error
                    raise
            seconds = round(time.perf_counter() - began, 3)
            taken.append(StepResult(step.name, step.title, rows, seconds))
        progress("Proof")
        return tuple(taken)


@contextlib.contextmanager
def _sorting_in_small_runs(connection: sqlite3.Connection, statement: str) -> Iterator[None]:
    """Meanwhile an index of a large database is sorted in runs that fit the processor's cache.

    SQLite sorts in runs of the size of the page cache. A small database keeps its cache: what does
    not fit into it is written early, from when on nobody else can read the file.
    """
    (pages,), (size,) = (
        connection.execute(f"PRAGMA main.{name}").fetchone() for name in ("page_count", "page_size")
    )
    if not statement.startswith("CREATE INDEX") or pages * size < _LARGE:
        yield
        return
    connection.execute(f"PRAGMA main.cache_size = -{_SORTED_AT_ONCE_KIBIBYTES}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA main.cache_size = -{CACHE_KIBIBYTES}")


def read_ledger(connection: sqlite3.Connection, migration: str) -> LedgerRow | None:
    """The migration's row in the ledger; None where there is no ledger or no row.

    Raises:
        TargetError: somebody altered the ledger's table.
    """
    exists = connection.execute(
        "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?", (LEDGER,)
    ).fetchone()
    if not exists:
        return None
    query = f"SELECT migration, run, checksum, applied_at FROM {LEDGER} WHERE migration = ?"
    try:
        with readable_text(connection):
            row = connection.execute(query, (migration,)).fetchone()
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        raise TargetError(
            f'The table "{LEDGER}" was altered ({error}), so whether the migration happened cannot '
            "be read from it; put its columns back."
        ) from error
    return LedgerRow(*row) if row else None


def _is_busy(error: BaseException) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _refusal(error: sqlite3.Error, path: Path, doing: str) -> RunbookError:
    """What SQLite's error means to the operator. Nothing was committed in any of these cases."""
    code = getattr(error, "sqlite_errorname", "")
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return Refused(
            f"The database {path} is locked by another process ({doing}); stop what writes to or "
            "reads from it, and try again; nothing was changed."
        )
    if code.startswith("SQLITE_FULL") or "disk is full" in str(error):
        return Refused(
            f"The disk is full ({doing}: {path}); make room and try again; everything was rolled "
            "back."
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return TargetError(
            f"The database {path} or its folder cannot be written ({error}); correct the "
            "permissions and try again; nothing was changed."
        )
    if code.startswith("SQLITE_IOERR"):
        return Refused(
            f"Reading or writing {path} failed ({error}, {doing}); check the disk and its free "
            "space, and try again; everything was rolled back."
        )
    return Refused(
        f"SQLite refused a statement ({error}, {doing}: {path}); everything was rolled back, so "
        "the database is as it was."
    )
