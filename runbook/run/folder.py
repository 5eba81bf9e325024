"""One migration of one database: its folder, its stage records, and what may happen next.

A stage's record is written *started* before the stage touches anything and *finished* last, both
atomically. Whatever is killed in between, the next start finds a record that says how far it got;
whether the migration itself happened is not asked of a record but of the ledger in the database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import secrets
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from runbook.errors import NotAllowedNow, RunFolderError
from runbook.files import (
    append_line,
    check_vacant,
    ignore_in_git,
    private,
    sweep,
    sync_folder,
    write_sealed,
)
from runbook.run.approvals import approval_problem
from runbook.run.attempts import ATTEMPTS
from runbook.run.info import Request, RunInfo
from runbook.run.json_form import read_part, read_record, to_json
from runbook.run.lock import ORPHAN_SECONDS, hold_lock
from runbook.run.log import LOG
from runbook.run.notices import notify
from runbook.run.rules import ALLOWED, CLOCK_STEP, SNAPSHOT_VALID, STAGES, file_stem
from runbook.run.session import Session, Way
from runbook.run.stage import Stage, StageRecord, now, rehearsal_problem, translate_error
from runbook.run.versions import account, origin, sql_checksums, versions

__all__ = ["STAGES", "Request", "Run", "RunInfo", "Stage", "StageRecord", "file_stem", "now"]

T = TypeVar("T")


_FOLDERS = ("stages", "notebooks", "sql", "backup", "snapshots")


class Run:
    """An open run folder. Use `Run.create` or `Run.open`, never the constructor."""

    def __init__(self, folder: Path, info: RunInfo) -> None:
        self.folder = folder
        self.info = info
        self.session = Session(info.operator, info.ticket)

    @classmethod
    def create(cls, folder: Path, request: Request) -> Run:
        """A new run folder, readable by its owner alone.

        Raises:
            RunFolderError: the folder cannot be made or holds something else.
        """
        try:
            parent = folder.resolve().parent
            shared = parent.name == "runs" or not parent.exists()  # else it is somebody's own
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            with hold_lock(folder, "run"):
                check_vacant(folder, _FOLDERS)
                for name in _FOLDERS:
                    (folder / name).mkdir(mode=0o700, exist_ok=True)
                ignore_in_git(parent if shared else folder)
                wanted = {f.name: getattr(request, f.name) for f in dataclasses.fields(request)}
                wanted["account"] = request.account or account()
                info = RunInfo(
                    run=f"{folder.resolve().name}-{secrets.token_hex(4)}",
                    created_at=now(),
                    versions=versions(request.identity),
                    sql=sql_checksums(),
                    origin=origin(),
                    **wanted,
                )
                write_sealed(folder / "run.json", to_json(info))
            sync_folder(parent)
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
        return cls(folder, read_record(folder / "run.json", RunInfo))

    def work_as(self, operator: str = "", ticket: str = "", way: Way | None = None) -> Run:
        """This run, in which this call now works: what is empty stays as it is."""
        self.session = self.session.changed(operator, ticket, way)
        return self

    def settle(self, **changes: object) -> None:
        """Keeps fields of `run.json` otherwise from now on: the plan, the options."""
        if (info := dataclasses.replace(self.info, **changes)) != self.info:  # type: ignore[arg-type]
            self.info = info
            write_sealed(self.folder / "run.json", to_json(info))

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

    def record_path(self, stage: str) -> Path:
        """Where the stage's record stands, for example `stages/04_migrate.json`."""
        return self.folder / "stages" / f"{file_stem(stage)}.json"

    def record(self, stage: str) -> StageRecord | None:
        """The stage's record; None where the stage never began.

        Raises:
            RunFolderError: the record is damaged, or is that of another run.
        """
        path = self.record_path(stage)
        if not path.exists():
            return None
        record = read_record(path, StageRecord)
        if (record.run, record.stage) != (self.info.run, stage):
            raise RunFolderError(
                f"{path} is the record of the stage {record.stage} in the run {record.run}, not of "
                f"{stage} in {self.info.run}; put the right one back."
            )
        return record

    def finished(self, stage: str) -> bool:
        """Whether the stage is finished and its result still stands.

        Raises:
            RunFolderError: its record is damaged.
        """
        record = self.record(stage)
        return record is not None and record.status == "finished" and not self._stale(stage)

    def unsettled(self, stage: str) -> bool:
        """Whether the stage was begun and its record does not tell whether it happened."""
        try:
            record = self.record(stage)
        except RunFolderError:
            return True
        return record is not None and (
            record.status in ("started", "proven")
            or (record.error is not None and record.error.get("exit_code") == 3)
        )

    def result(self, stage: str, cls: type[T]) -> T:
        """The result of a finished stage.

        Raises:
            NotAllowedNow: the stage is not finished.
            RunFolderError: its record is damaged.
        """
        record = self.record(stage)
        if record is None or record.status != "finished" or record.result is None:
            raise NotAllowedNow(
                f"The stage {stage} is not finished in {self.folder}; {self.allowed_now()}."
            )
        return read_part(self.record_path(stage), cls, "result")

    # -- stages ------------------------------------------------------------------------------

    def perform(
        self,
        stage: str,
        cls: type[T],
        work: Callable[[Stage], T],
        *,
        again: bool = False,
        guard: Callable[[], None] = lambda: None,
    ) -> T:
        """Runs `work` as `stage` and records it; a finished stage gives its result instead.

        A record of this very stage that is damaged counts as missing: the stage finds out what is
        true, and writes it anew.

        Args:
            stage: one of `STAGES`; `cls` is the class of its result.
            work: what the stage does; it is handed the open `Stage`.
            again: run it even if it is finished, where the rules allow it.
            guard: raises if the stage must not even begin; an earlier record then stays.

        Raises:
            NotAllowedNow: the rules forbid the stage now, or another process works here.
            RunFolderError: a record that the stage relies on is damaged, or the folder is full.
            RunbookError: whatever `work` raises; it is recorded first.
        """
        with self.locked(wait=ORPHAN_SECONDS), private():
            previous = None
            try:
                if self.finished(stage) and not again:
                    return self.result(stage, cls)
                previous = self.record(stage)
            except RunFolderError as error:
                self.log(stage, "damaged", note=str(error))
            self.check_allowed(stage)
            guard()
            self._sweep()
            open_stage = self.stage(stage, now())
            open_stage.begin(previous, unsettled=self.unsettled(stage))
            return self._attempt(open_stage, work)

    def _attempt(self, stage: Stage, work: Callable[[Stage], T]) -> T:
        """Does the work and records its end, whichever it is."""
        self.log(stage.name, "started")
        try:
            result = work(stage)
        except BaseException as error:
            translated = translate_error(stage.name, self.folder, error)
            stage.failed(translated)
            if translated is error:
                raise
            raise translated from error
        stage.write("finished", result)
        self.log(stage.name, "finished")
        return result

    def check_allowed(self, stage: str) -> None:
        """Raises NotAllowedNow unless the rules allow `stage` now."""
        reason = self.forbidden(stage)
        if reason:
            raise NotAllowedNow(
                f"The stage {stage} may not run now: {reason}; {self.allowed_now()}."
            )

    def forbidden(self, stage: str) -> str:
        """Why `stage` may not run now; an empty text where it may.

        Raises:
            RunFolderError: a record that decides it is damaged.
        """
        rule = ALLOWED[stage]
        for barrier in rule.never_after:
            if self.unsettled(barrier):
                return (
                    f"{barrier} was begun and its record does not say whether it happened, so run "
                    f"{barrier} again, which finds out"
                )
            if self.finished(barrier):
                return f"{barrier} is already done"
        for needed in rule.after:
            if not self.finished(needed):
                return self._stale(needed) or f"{needed} is not finished"
        for needed in rule.begun:
            if not (self.unsettled(needed) or self.finished(needed)):
                return f"{needed} is not finished"
        # Where the migration may have happened already, its stage first asks the ledger.
        if stage == "migrate" and not self.unsettled("migrate") and not self.finished("migrate"):
            rehearsal = rehearsal_problem(self.record("rehearse"))
            return rehearsal or self.snapshot_problem() or approval_problem(self)
        return ""

    def allowed_now(self) -> str:
        """The stages that may run now, as words."""
        stages = []
        for stage in STAGES:
            with contextlib.suppress(RunFolderError):  # reported by the stage that relies on it
                if not self.forbidden(stage) and not self.finished(stage):
                    stages.append(stage)
        return f"allowed now: {', '.join(stages)}" if stages else "nothing is left to do"

    def snapshot_problem(self) -> str:
        """Why the snapshot cannot be used at this time of day; an empty text where it can."""
        record = self.record("snapshot")
        if record is None or not record.finished_at:
            return "snapshot is not finished"
        age = datetime.now(UTC) - datetime.fromisoformat(record.finished_at)
        if age > SNAPSHOT_VALID:
            return f"the snapshot is from {record.finished_at}, so take a new one"
        if age < -CLOCK_STEP:
            return (
                f"the snapshot is from the future ({record.finished_at}), so check the clock, and "
                "if it is right now, begin a new run folder"
            )
        return ""

    def _stale(self, stage: str) -> str:
        """Why the result of a finished stage does not stand any more.

        A snapshot does not outlive a day, nor a failed migration, after which what it was compared
        with has moved. It is needed as it is once the migration has happened, or may have.
        """
        if stage != "snapshot" or self.unsettled("migrate"):
            return ""
        snapshot, migrate = self.record("snapshot"), self.record("migrate")
        if snapshot is None or (migrate is not None and migrate.status == "finished"):
            return ""
        if migrate is not None and migrate.order > snapshot.order:
            return "the snapshot is from before a migration that failed, so take a new one"
        problem = self.snapshot_problem()
        return problem if problem.endswith("take a new one") else ""

    def stage(self, name: str, started_at: str) -> Stage:
        """The stage `name` at work, whose record is not written yet."""
        clock = time.perf_counter()
        path = self.record_path(name)
        order, session = self._next_order(), self.session
        return Stage(path, self.info.run, self.log, name, order, started_at, clock, session)

    def _next_order(self) -> int:
        """The number of the stage that begins now, counted from 1."""
        orders = [0]
        for stage in STAGES:
            with contextlib.suppress(RunFolderError):
                record = self.record(stage)
                orders.append(record.order if record else 0)
        return max(orders) + 1

    def _sweep(self) -> None:
        """Removes what a kill left of files that were being written; makes a lost folder anew."""
        stages = self.folder / "stages"
        with contextlib.suppress(OSError):  # whoever writes into it says why it cannot be there
            stages.mkdir(mode=0o700, exist_ok=True)
        for folder in (self.folder, stages, stages / ATTEMPTS, self.folder / "sql"):
            sweep(folder)

    def locked(
        self,
        name: str = "stage",
        *,
        wait: float = 0.0,
        echo: Callable[[str], object] | None = None,
    ) -> AbstractContextManager[None]:
        """Holds the folder's lock `name` (see `runbook.run.lock.hold_lock`)."""
        options = {} if echo is None else {"echo": echo}
        return hold_lock(self.folder, name, wait=wait, **options)

    def log(self, stage: str, event: str, **details: object) -> None:
        """Appends one line to `log.jsonl`; the records decide, so a full disk stops nothing here.

        A line that a kill tore stays alone on its line.
        """
        line = json.dumps({"at": now(), "stage": stage, "event": event, **details})
        with contextlib.suppress(OSError):
            append_line(self.folder / LOG, line.encode(), durable=False)
        notify(self, stage, event, details)
