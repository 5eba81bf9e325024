"""One migration of one database: its folder, its stage records, and what may happen next.

A stage's record is written *started* before the stage touches anything and *finished* last, both
atomically. Whatever is killed in between, the next start finds a record that says how far it got;
whether the migration itself happened is not asked of a record but of the ledger in the database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

from runbook import __version__
from runbook.errors import NotAllowedNow, RunbookError, RunFolderError
from runbook.files import private, read_json, sync_folder, write_json
from runbook.plan import Plan
from runbook.records import Identity, from_json, to_json
from runbook.sql import FOLDER

T = TypeVar("T")
Status = Literal["started", "proven", "finished", "failed"]

STAGES = (
    "preflight",
    "rehearse",
    "snapshot",
    "migrate",
    "verify",
    "report",
    "monitor",
    "rollback",
)
"""Every stage in the order of its notebook; the number in file names is the position from 1."""

SNAPSHOT_VALID = timedelta(hours=24)
"""How long a snapshot may be used: after a day nobody should trust that nothing was written."""


@dataclass(frozen=True)
class Rule:
    """When a stage may run: `after` these are finished, and not after any of `never_after`."""

    after: tuple[str, ...]
    never_after: tuple[str, ...] = ()
    begun: tuple[str, ...] = ()
    """These have begun and may have happened; whether they did, the stage asks the ledger."""


ALLOWED: dict[str, Rule] = {
    # Looking does no harm, but after the migration it would look at another database.
    "preflight": Rule(after=(), never_after=("migrate", "rollback")),
    # Works on a copy; needs preflight to know that a copy can be migrated at all.
    "rehearse": Rule(after=("preflight",), never_after=("migrate", "rollback")),
    # The backup must be from before the migration, so never from after it.
    "snapshot": Rule(after=("preflight",), never_after=("migrate", "rollback")),
    # The gate compares with the backup, so there is no migration without a snapshot.
    "migrate": Rule(after=("preflight", "snapshot"), never_after=("rollback",)),
    # There is nothing to verify before the migration, nor after it was taken back.
    "verify": Rule(after=("migrate",), never_after=("rollback",)),
    # A report may be written at any time once something is known, also of a failure.
    "report": Rule(after=()),
    # Watches the migrated database.
    "monitor": Rule(after=("migrate",), never_after=("rollback",)),
    # Takes back what was migrated, once; also where a kill left the migration without a record.
    "rollback": Rule(after=(), begun=("migrate",)),
}


@dataclass(frozen=True)
class StageRecord:
    """The file `stages/NN_<stage>.json`; `result` is the stage's own record as JSON."""

    stage: str
    status: Status
    started_at: str
    finished_at: str = ""
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunInfo:
    """The file `run.json`: what is migrated, by whom, with which software and which SQL."""

    run: str
    created_at: str
    database: str
    identity: Identity
    plan: Plan
    operator: str
    ticket: str
    versions: dict[str, str]
    sql: dict[str, str]
    options: dict[str, str] = dataclasses.field(default_factory=dict)


class Run:
    """An open run folder. Use `Run.create` or `Run.open`, never the constructor."""

    def __init__(self, folder: Path, info: RunInfo) -> None:
        self.folder = folder
        self.info = info

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        database: str,
        identity: Identity,
        plan: Plan,
        operator: str = "",
        ticket: str = "",
        options: dict[str, str] | None = None,
    ) -> Run:
        """A new run folder, readable by its owner alone.

        Raises:
            RunFolderError: the folder cannot be made or holds something else.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            strangers = [p.name for p in folder.iterdir() if not p.name.startswith(".")]
            if strangers:
                raise RunFolderError(
                    f"The folder {folder} is not empty and is no run folder (it holds "
                    f"{strangers[0]}); name a new folder with --run-dir."
                )
            for name in ("stages", "notebooks", "sql", "backup", "snapshots"):
                (folder / name).mkdir(mode=0o700)
            info = RunInfo(
                run=folder.resolve().name,
                created_at=now(),
                database=database,
                identity=identity,
                plan=plan,
                operator=operator,
                ticket=ticket,
                versions=versions(),
                sql=sql_checksums(),
                options=options or {},
            )
            write_json(folder / "run.json", to_json(info))
            sync_folder(folder.resolve().parent)
        except OSError as error:
            raise RunFolderError(
                f"The run folder {folder} cannot be written ({error.strerror}); choose another "
                "with --run-dir."
            ) from error
        return cls(folder, info)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in an existing folder.

        Raises:
            RunFolderError: there is no run in it, or its `run.json` is damaged.
        """
        if not (folder / "run.json").exists():
            raise RunFolderError(
                f"{folder} is not a run folder (it holds no run.json); check --run-dir."
            )
        return cls(folder, from_json(RunInfo, read_json(folder / "run.json")))

    @property
    def backup(self) -> Path:
        """The restorable copy of the database, from before the migration."""
        return self.folder / "backup" / "backup.db"

    @property
    def exports(self) -> Path:
        """Folder of what a rollback takes out of the database."""
        return self.folder / "exports"

    @property
    def before(self) -> Path:
        """Folder of the capture from before the migration."""
        return self.folder / "snapshots" / "before"

    @property
    def after(self) -> Path:
        """Folder of the capture from after the migration."""
        return self.folder / "snapshots" / "after"

    # -- records -----------------------------------------------------------------------------

    def record_path(self, stage: str) -> Path:
        """Where the stage's record stands, for example `stages/04_migrate.json`."""
        return self.folder / "stages" / f"{file_stem(stage)}.json"

    def record(self, stage: str) -> StageRecord | None:
        """The stage's record; None where the stage never began.

        Raises:
            RunFolderError: the record is damaged.
        """
        path = self.record_path(stage)
        if not path.exists():
            return None
        return from_json(StageRecord, read_json(path))

    def finished(self, stage: str) -> bool:
        """Whether the stage is finished and its result still stands."""
        record = self.record(stage)
        return record is not None and record.status == "finished" and not self._stale(stage)

    def result(self, stage: str, cls: type[T]) -> T:
        """The result of a finished stage.

        Raises:
            NotAllowedNow: the stage is not finished.
            RunFolderError: its record is damaged.
        """
        record = self.record(stage)
        if record is None or record.status != "finished" or record.result is None:
            raise NotAllowedNow(
                f"The stage {stage} is not finished in {self.folder}; {self.may_say()}."
            )
        return from_json(cls, record.result)

    # -- stages ------------------------------------------------------------------------------

    def perform(
        self,
        stage: str,
        cls: type[T],
        work: Callable[[Stage], T],
        *,
        again: bool = False,
    ) -> T:
        """Runs `work` as `stage` and records it; a finished stage gives its result instead.

        Args:
            stage: one of `STAGES`.
            cls: the class of the stage's result.
            work: what the stage does; it is handed the open `Stage`.
            again: run it even if it is finished (where the table of rules allows it).

        Raises:
            NotAllowedNow: the rules forbid the stage now, or another process works here.
            RunbookError: whatever `work` raises; it is recorded first.
        """
        with self.locked(), private():
            if self.finished(stage) and not again:
                return self.result(stage, cls)
            self.check_allowed(stage)
            previous = self.record(stage)
            open_stage = Stage(self, stage, now(), time.perf_counter(), previous)
            if previous is None or previous.status != "proven":
                # A proof that waits for its commit is kept until the ledger was asked.
                open_stage.write("started", None)
            self.log(stage, "started")
            try:
                result = work(open_stage)
            except BaseException as error:
                open_stage.failed(error)
                raise
            open_stage.write("finished", result)
            self.log(stage, "finished")
            return result

    def check_allowed(self, stage: str) -> None:
        """Raises NotAllowedNow unless the rules allow `stage` now."""
        reason = self.forbidden(stage)
        if reason:
            raise NotAllowedNow(f"The stage {stage} may not run now: {reason}; {self.may_say()}.")

    def forbidden(self, stage: str) -> str:
        """Why `stage` may not run now; an empty text where it may."""
        rule = ALLOWED[stage]
        for needed in rule.after:
            if not self.finished(needed):
                return f"{needed} is not finished"
        for needed in rule.begun:
            if not self._may_have_happened(needed):
                return f"{needed} is not finished"
        for barrier in rule.never_after:
            if self.finished(barrier):
                return f"{barrier} is already done"
        if stage == "migrate" and not self.finished("migrate"):
            rehearsal = self.record("rehearse")
            if rehearsal is not None and rehearsal.status == "failed":
                return "the rehearsal failed, so this would fail too"
            return self._snapshot_too_old()
        return ""

    def may_say(self) -> str:
        """The stages that may run now, as words."""
        may = [s for s in STAGES if not self.forbidden(s) and not self.finished(s)]
        return f"allowed now: {', '.join(may)}" if may else "nothing is left to do"

    def _may_have_happened(self, stage: str) -> bool:
        """Whether the stage began, and its record does not say that it left nothing behind."""
        record = self.record(stage)
        if record is None:
            return False
        unknown = record.error is not None and record.error.get("exit_code") == 3
        return record.status != "failed" or unknown

    def _stale(self, stage: str) -> bool:
        """A snapshot does not outlive a failed migration: what it was compared with has moved."""
        if stage != "snapshot":
            return False
        snapshot, migrate = self.record("snapshot"), self.record("migrate")
        return (
            snapshot is not None
            and migrate is not None
            and migrate.status == "failed"
            and migrate.started_at >= snapshot.finished_at
        )

    def _snapshot_too_old(self) -> str:
        record = self.record("snapshot")
        assert record is not None
        age = datetime.now(UTC) - datetime.fromisoformat(record.finished_at)
        if age > SNAPSHOT_VALID:
            return f"the snapshot is from {record.finished_at}, so take a new one"
        if age < timedelta(minutes=-5):
            return f"the snapshot is from the future ({record.finished_at}), so check the clock"
        return ""

    @contextlib.contextmanager
    def locked(self, name: str = "stage") -> Iterator[None]:
        """Holds the folder's lock `name`; the system lets go of it whatever happens to us.

        Raises:
            NotAllowedNow: another process holds it.
            RunFolderError: the folder cannot be written.
        """
        path = self.folder / f".{name}.lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunFolderError(
                f"The run folder {self.folder} cannot be written ({error.strerror}); make it "
                "writable, or start a new one with --run-dir."
            ) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise NotAllowedNow(
                    f"Another process is working in {self.folder}; wait until it has ended, or "
                    "end it, and try again."
                ) from None
            yield
        finally:
            os.close(handle)

    def log(self, stage: str, event: str, **details: object) -> None:
        """Appends one line to `log.jsonl`."""
        line = {"at": now(), "stage": stage, "event": event, **details}
        with private(), (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


@dataclass
class Stage:
    """A stage while it runs: where it keeps what it must not lose."""

    run: Run
    name: str
    started_at: str
    clock: float
    previous: StageRecord | None

    def write(self, status: Status, result: object, error: dict[str, Any] | None = None) -> None:
        """Writes the stage's record, atomically and durably."""
        record = StageRecord(
            stage=self.name,
            status=status,
            started_at=self.started_at,
            finished_at=now() if status in ("finished", "failed") else "",
            seconds=round(time.perf_counter() - self.clock, 3),
            result=None if result is None else to_json(result),
            error=error,
        )
        try:
            write_json(self.run.record_path(self.name), to_json(record))
        except OSError as problem:
            raise RunFolderError(
                f"The record of the stage {self.name} cannot be written to {self.run.folder} "
                f"({problem.strerror}); make room or make the folder writable, and run it again."
            ) from problem

    def proven(self, result: object) -> None:
        """Keeps the proof before the commit, so that a kill between the two loses nothing."""
        self.write("proven", result)

    def failed(self, error: BaseException) -> None:
        """Records a failure; a folder that cannot be written must not hide the reason."""
        about = {
            "type": type(error).__name__,
            "message": str(error) or type(error).__name__,
            "exit_code": getattr(error, "exit_code", 1) if isinstance(error, RunbookError) else 1,
        }
        result = getattr(error, "record", None)
        with contextlib.suppress(RunbookError, OSError):
            self.write("failed", result, about)
            self.run.log(self.name, "failed", error=about["message"])


def file_stem(stage: str) -> str:
    """`04_migrate` for `migrate`: the name that record and notebook share."""
    return f"{STAGES.index(stage) + 1:02d}_{stage}"


def now() -> str:
    """The present instant in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Versions of everything that takes part in a run."""
    packages = ("adbc-driver-sqlite", "duckdb", "pandas", "papermill", "pyarrow")
    return {
        "runbook": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: importlib.metadata.version(name) for name in packages},
    }


def sql_checksums() -> dict[str, str]:
    """SHA-256 of every file in `sql/`."""
    return {
        str(path.relative_to(FOLDER)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(FOLDER.rglob("*.sql"))
    }
