"""A stage at work and its record: *started* before it touches anything, *finished* last."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from runbook.errors import (
    Interrupted,
    OutcomeUnknown,
    RunbookError,
    RunFolderError,
    TargetError,
)
from runbook.files import write_sealed
from runbook.run.attempts import SERIES, keep_attempt
from runbook.run.json_form import from_json, to_json
from runbook.run.session import Session, Way

T = TypeVar("T")
Status = Literal["started", "proven", "finished", "failed"]


@dataclass(frozen=True)
class StageRecord:
    """The file `stages/NN_<stage>.json`; `result` is the stage's own record as JSON.

    `order` counts the stages of a run as they began: clocks may be set back in between. Operator,
    ticket and way are those of the call that did the stage.
    """

    run: str
    stage: str
    order: int
    status: Status
    started_at: str
    finished_at: str = ""
    seconds: float = 0.0
    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    operator: str = ""
    ticket: str = ""
    way: Way = ""


class Log(Protocol):
    """Appends one line to the log of the run."""

    def __call__(self, stage: str, event: str, **details: object) -> None:
        """Writes that `event` happened in `stage`."""
        ...


@dataclass
class Stage:
    """A stage while it runs: where it keeps what it must not lose.

    `path` is its record's file, `run` the name of the run as the ledger knows it.
    """

    path: Path
    run: str
    log: Log
    name: str
    order: int
    started_at: str
    clock: float
    session: Session
    previous: StageRecord | None = None
    """What the record said before, where it does not tell whether the stage happened."""
    _proof: Any = None

    def begin(self, previous: StageRecord | None, *, unsettled: bool) -> None:
        """Writes the record as *started*, with the proof of an earlier attempt if there is one.

        That proof is all that is left of a commit without a record, so it is kept until the ledger
        was asked.
        """
        if self.name not in SERIES:
            self._keep()
        if unsettled and previous is not None:
            self.previous = previous
            self._proof = previous.result
        self.write("started", self._proof)

    def _keep(self) -> None:
        try:
            keep_attempt(self.path)
        except OSError as problem:
            raise RunFolderError(
                f"The stage {self.name} cannot begin: its earlier record cannot be kept in "
                f"{self.path.parent} ({problem.strerror}); make room or make the folder writable, "
                "and run it again."
            ) from problem

    def write(self, status: Status, result: object, error: dict[str, Any] | None = None) -> None:
        """Writes the stage's record, atomically and durably."""
        record = StageRecord(
            run=self.run,
            stage=self.name,
            order=self.order,
            status=status,
            started_at=self.started_at,
            finished_at=now() if status in ("finished", "failed") else "",
            seconds=round(time.perf_counter() - self.clock, 3),
            result=None if result is None else to_json(result),
            error=error,
            operator=self.session.operator,
            ticket=self.session.ticket,
            way=self.session.way,
        )
        try:
            write_sealed(self.path, to_json(record))
        except OSError as problem:
            ended = "stops: its record"
            if status == "finished":
                committed = " and committed" if self.name in ("migrate", "rollback") else ""
                ended = f"succeeded{committed}, but its record"
            raise RunFolderError(
                f"The stage {self.name} {ended} cannot be written to {self.path.parent} "
                f"({problem.strerror}); make room or make the folder writable, and run it again."
            ) from problem

    def proven(self, result: object) -> None:
        """Keeps the proof before the commit, so that a kill between the two loses nothing."""
        self._proof = result
        self.write("proven", result)

    def begin_anew(self) -> None:
        """Forgets what an earlier attempt has proven: the ledger says that it did not commit."""
        self._proof = None
        self.write("started", None)

    def proof(self, cls: type[T]) -> T | None:
        """What this attempt, or an earlier one that did not come to its end, has proven."""
        if self._proof is None or isinstance(self._proof, cls):
            return self._proof
        return from_json(cls, self._proof)

    def failed(self, error: BaseException) -> None:
        """Records a failure; a folder that cannot be written must not hide the reason."""
        about = {
            "type": type(error).__name__,
            "message": str(error) or type(error).__name__,
            "exit_code": getattr(error, "exit_code", 1) if isinstance(error, RunbookError) else 1,
        }
        result = getattr(error, "record", None)
        if result is None and isinstance(error, OutcomeUnknown):
            result = self._proof
        with contextlib.suppress(RunbookError, OSError):
            self.write("failed", result, about)
            self.log(self.name, "failed", error=about["message"], type=about["type"])


def rehearsal_problem(record: StageRecord | None) -> str:
    """Why a rehearsal bars the way to the migration.

    Empty where it succeeded, was interrupted or was left out.
    """
    kind = (record.error or {}).get("type") if record and record.status == "failed" else None
    if kind in (None, Interrupted.__name__):
        return ""
    if kind in (RunFolderError.__name__, TargetError.__name__):
        return "the rehearsal could not come to its end, so rehearse again"
    return "the rehearsal failed, so this would fail too"


def was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C, or JupyterLab's button, ended the work; DuckDB has an error of its own."""
    return isinstance(error, KeyboardInterrupt) or (
        type(error) is RuntimeError and str(error) == "Query interrupted"
    )


def shorten(error: BaseException) -> str:
    """The error in half a sentence."""
    if was_interrupted(error):
        return "it was interrupted"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}"


def translate_error(stage: str, folder: Path, error: BaseException) -> BaseException:
    """The error as one sentence where it is the system's or the operator's, otherwise itself."""
    if was_interrupted(error):
        return Interrupted(
            f"The stage {stage} was interrupted, and has left the database as it was; run it again "
            "when you are ready."
        )
    if isinstance(error, OSError):
        return RunFolderError(
            f"The stage {stage} cannot write to {folder} ({shorten(error)}); make room or "
            "correct its permissions, and run it again; the database was not touched."
        )
    return error


def now() -> str:
    """The present instant in UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
