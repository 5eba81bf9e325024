"""What a run folder holds, read once: the stage records, and how far each stage came.

The folder may be of a run that stopped anywhere, so everything but `run.json` may be missing; a
record that is damaged is noted and otherwise treated as missing. The database is never opened.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from runbook.errors import RunFolderError
from runbook.files import read_sealed
from runbook.plan.plan import Plan
from runbook.report.mask_contents import mask_contents
from runbook.report.masking import without_commands
from runbook.report.stage_status import (
    STAGES,
    Attempt,
    StageStatus,
    read_attempts,
    read_stage,
)
from runbook.run.approvals import Standing, standing
from runbook.run.findings import Finding, InvariantResult, StepResult
from runbook.run.folder import Run
from runbook.run.identity import Identity
from runbook.run.info import account_of
from runbook.run.json_form import from_json
from runbook.run.log import begun_stages
from runbook.run.notebooks import altered_notebooks, kept_notebooks
from runbook.run.records import (
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.run.window_records import Observation, ScanCounts, Tick, WindowStep
from runbook.script.footprint import FootprintLine
from runbook.window.series import read_series
from runbook.window.store import STEPS, read_scan, read_step, read_ticks
from runbook.wording import map_text, visible

T = TypeVar("T")


@dataclass(frozen=True)
class ScriptFile:
    """One file of SQL as it was executed."""

    name: str
    sha256: str
    bytes: int
    text: str


@dataclass(frozen=True)
class Contents:
    """Everything that is known about a run from its folder."""

    folder: str
    path: str
    """The whole path of the folder, as it was when it was read."""
    run: str
    created_at: str
    database: str
    identity: Identity
    plan: Plan | None
    operator: str
    ticket: str
    account: str
    origin: Mapping[str, str]
    versions: Mapping[str, str]
    sql: Mapping[str, str]
    stages: Mapping[str, StageStatus]
    preflight: PreflightRecord | None = None
    rehearse: RehearseRecord | None = None
    snapshot: SnapshotRecord | None = None
    migrate: MigrateRecord | None = None
    verify: VerifyRecord | None = None
    attempts: tuple[Attempt, ...] = ()
    """Earlier attempts at stages, in the order in which they began."""
    approvals: Standing = field(default_factory=lambda: Standing(0))
    rollback: RollbackRecord | None = None
    monitor: Mapping[str, Any] = field(default_factory=dict)
    observations: tuple[Observation, ...] = ()
    window: Mapping[str, WindowStep] = field(default_factory=dict)
    ticks: Mapping[int, tuple[Tick, ...]] = field(default_factory=dict)
    scan: ScanCounts | None = None
    scripts: tuple[ScriptFile, ...] = ()
    damage: tuple[str, ...] = ()
    backup_gone: str = ""
    """Why the backup that the record names is not there any more; empty where it is."""
    values_shown: bool = False

    @property
    def steps(self) -> tuple[StepResult, ...]:
        """The steps of the migration."""
        return self.migrate.steps if self.migrate else ()

    @property
    def footprint(self) -> tuple[FootprintLine, ...]:
        """The footprint, each line with what every witness counted, the gate included."""
        records = (self.preflight, self.migrate, self.verify)
        lines: dict[tuple[str, str, str, str], FootprintLine] = {}
        for record in records:
            for line in record.footprint if record else ():
                key = (line.table, line.change, line.column, line.rule)
                earlier = lines[key].counts if key in lines else {}
                lines[key] = dataclasses.replace(line, counts={**earlier, **line.counts})
        return tuple(lines.values())

    @property
    def invariants(self) -> tuple[InvariantResult, ...]:
        """The invariants, each with the violations that every witness counted, gate included."""
        results: dict[str, InvariantResult] = {}
        for record in (self.migrate, self.verify):
            for invariant in record.invariants if record else ():
                earlier = results.get(invariant.name)
                counts = {**(earlier.violations if earlier else {}), **invariant.violations}
                results[invariant.name] = dataclasses.replace(invariant, violations=counts)
        return tuple(results.values())

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of the migration, the verification and the rollback."""
        records = (self.migrate, self.verify, self.rollback)
        return tuple(finding for record in records if record for finding in record.findings)


def read_contents(run_dir: Path, *, show_values: bool = False) -> Contents:
    """The contents in the run folder; personal data is masked unless `show_values`.

    Raises:
        RunFolderError: there is no run in this folder, or its `run.json` is damaged.
    """
    if not (run_dir / "run.json").exists():
        raise RunFolderError(
            f"{run_dir} is not a run folder (it holds no run.json); check --run-dir."
        )
    info = map_text(read_sealed(run_dir / "run.json"), visible)
    records = _Records(run_dir)
    identity = records.structure(Identity, info.get("identity", {}), "run.json")
    snapshot = records.result(SnapshotRecord, "snapshot")
    plan = records.structure(Plan, info["plan"], "run.json") if "plan" in info else None
    account, origin = account_of(str(info.get("account", "")), _texts(info.get("origin")))
    contents = Contents(
        folder=visible(run_dir.resolve().name),
        path=visible(str(run_dir.resolve())),
        run=str(info.get("run", "")),
        created_at=str(info.get("created_at", "")),
        database=str(info.get("database", "")),
        identity=identity or Identity("unknown", str(info.get("database", "")), ""),
        plan=plan and without_commands(plan),
        operator=str(info.get("operator", "")),
        ticket=str(info.get("ticket", "")),
        account=account,
        origin=origin,
        versions=_texts(info.get("versions")),
        sql=_texts(info.get("sql")),
        stages=records.stages,
        preflight=records.result(PreflightRecord, "preflight"),
        rehearse=records.result(RehearseRecord, "rehearse"),
        snapshot=snapshot,
        migrate=records.result(MigrateRecord, "migrate"),
        verify=records.result(VerifyRecord, "verify"),
        attempts=tuple(read_attempts(run_dir, records.damage)),
        approvals=_approvals(run_dir, records),
        rollback=records.result(RollbackRecord, "rollback"),
        monitor=records.results["monitor"] or {},
        observations=map_text(read_series(run_dir), visible),
        **_window(run_dir, records.damage),
        scripts=_scripts(run_dir / "sql"),
        damage=(*records.damage, *altered_notebooks(run_dir)),
        backup_gone=_backup_gone(run_dir, snapshot),
        values_shown=show_values,
    )
    return contents if show_values else mask_contents(contents)


def _backup_gone(run_dir: Path, snapshot: SnapshotRecord | None) -> str:
    """Whether the backup is where it was put; its bytes are compared by whoever restores them."""
    if snapshot is None:
        return ""
    file, size = snapshot.backup.file, snapshot.backup.bytes
    try:
        there = (run_dir / file).stat().st_size
    except OSError:
        return f"{file} is missing"
    return "" if there == size else f"{file} has {there:,} bytes, and was made with {size:,}"


class _Records:
    """The stage records of a run folder, and what of the folder is damaged."""

    def __init__(self, run_dir: Path) -> None:
        self.damage: list[str] = []
        begun = begun_stages(run_dir)
        self.stages: dict[str, StageStatus] = {}
        self.results: dict[str, Any] = {}
        for number, (name, title) in enumerate(STAGES, start=1):
            path = run_dir / "stages" / f"{number:02d}_{name}.json"
            stage, self.results[name] = read_stage(number, name, title, path, self.damage)
            if stage.status == "not run" and name in begun:
                self.damage.append(f"stages/{path.name} is missing, and the stage was begun")
                stage = dataclasses.replace(stage, status="damaged")
            kept = {
                visible(file): visible(str(about.get("way", "headless")))
                for file, about in kept_notebooks(run_dir, f"{path.stem}.ipynb")
            }
            self.stages[name] = dataclasses.replace(stage, notebooks=kept)

    def structure(self, cls: type[T], data: object, what: str) -> T | None:
        """The record of this class; None, and noted as damage, where the data is none."""
        try:
            return from_json(cls, data)
        except RunFolderError as error:
            self.damage.append(f"{what}: {error}")
            return None

    def result(self, cls: type[T], name: str) -> T | None:
        """The result of a stage; None where there is none, or where it is damaged."""
        if self.results[name] is None:
            return None
        file = f"stages/{self.stages[name].number:02d}_{name}.json"
        record = self.structure(cls, self.results[name], file)
        if record is None:
            self.stages[name] = dataclasses.replace(self.stages[name], status="damaged")
        return record


def _approvals(run_dir: Path, records: _Records) -> Standing:
    """Who else agreed; whoever confirmed the migration is not another person."""
    migrate = records.result(MigrateRecord, "migrate")
    confirmed = migrate.confirmation.by if migrate and migrate.confirmation else ""
    try:
        return map_text(standing(Run.open(run_dir), confirmed_by=confirmed), visible)
    except RunFolderError as error:
        records.damage.append(f"approvals: {error}")
        return Standing(0)


def _window(run_dir: Path, damage: list[str]) -> dict[str, Any]:
    """What the maintenance window left: its steps by name, ticks by line, and the scan."""
    window: dict[str, WindowStep] = {}
    for name in STEPS:
        try:
            step = read_step(run_dir, name)
        except RunFolderError as error:
            damage.append(f"window/{name}: {error}")
            continue
        if step is not None:
            window[name] = map_text(step, visible)
    ticks: tuple[Tick, ...] = ()
    scan: ScanCounts | None = None
    try:
        ticks, scan = read_ticks(run_dir), read_scan(run_dir)
    except RunFolderError as error:
        damage.append(f"window: {error}")
    return {
        "window": window,
        "ticks": {
            line: tuple(map_text(tick, visible) for tick in ticks if tick.line == line)
            for line in sorted({tick.line for tick in ticks})
        },
        "scan": scan and map_text(scan, visible),
    }


def _texts(data: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in data.items()} if isinstance(data, dict) else {}


def _scripts(folder: Path) -> tuple[ScriptFile, ...]:
    """The SQL files of the run, with the checksum of their exact bytes."""
    files = []
    for path in sorted(folder.glob("*.sql")) if folder.is_dir() else ():
        content = path.read_bytes()
        text = visible(content.decode("utf-8", "backslashreplace"))
        digest = hashlib.sha256(content).hexdigest()
        files.append(ScriptFile(visible(path.name), digest, len(content), text))
    return tuple(files)
