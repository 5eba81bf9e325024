"""Run folders as the stages leave them, of runs that ended in every way."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runbook.files import write_sealed
from runbook.plan.plan import Migration, Plan, Resource, Triggers, Unowned, Users
from runbook.plan.shape import Shape
from runbook.run.findings import (
    Finding,
    Hazard,
    InvariantResult,
    Sample,
    StepResult,
    TableDigest,
    words_sample,
)
from runbook.run.identity import Identity, LedgerRow
from runbook.run.json_form import to_json
from runbook.run.records import (
    Backup,
    Confirmation,
    MigrateRecord,
    PreflightRecord,
    RehearseRecord,
    RollbackRecord,
    SnapshotRecord,
    VerifyRecord,
)
from runbook.script.footprint import FootprintLine
from runbook.script.migration import render
from runbook.sqlite.cells import encode
from runbook.sqlite.fields import Field, read_field
from runbook.templates import sql_files

BEGAN = datetime(2026, 11, 22, 17, 17, 0, 120_000, tzinfo=UTC)
USERS, OWNERS, PROJECTS = 2_000, 1_871, 5_000

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

Rename = Callable[[str], str]


def digest(*words: object) -> str:
    return hashlib.sha256(" ".join(map(str, words)).encode("utf-8", "replace")).hexdigest()


def sql_steps() -> list[tuple[str, str, int, float]]:
    rows = {"04_backfill_organizations": OWNERS, "05_backfill_memberships": OWNERS}
    rows |= {"06_assign_resources": PROJECTS, "00_open_ledger": 1}
    seconds = {"04": 0.0121, "05": 0.0187, "06": 0.0412, "07": 0.0093, "08": 0.0248}
    return [
        (f.name[3:], f.title, rows.get(f.name, 0), seconds.get(f.name[:2], 0.0006))
        for f in sql_files("migrate")
    ]


class RunFolder:
    """Writes a run folder, stage by stage; `change` is applied to every text in it."""

    def __init__(self, folder: Path, change: Rename = str) -> None:
        self.folder = folder
        self.change = change
        self.at = BEGAN
        self.order = 0
        for name in ("stages", "sql", "backup"):
            (folder / name).mkdir(parents=True)
        self.plan = Plan(
            migration=Migration(change("0005_add_organizations_backfill")),
            users=Users(change("users"), change("id"), change("email")),
            resources=(Resource(change("projects"), change("owner_id"), change("updated_at")),),
            unowned=Unowned(),
            triggers=Triggers("suspend"),
        )
        script = render(Plan(), Shape(), "2026-11-22T17-17-00").text
        (folder / "sql" / "migrate.sql").write_text(script, encoding="utf-8")
        self._write_run()

    def _write_run(self) -> None:
        change = self.change
        identity = Identity(
            "sqlite", change("app.db"), change("/srv/app/app.db"), 1_356_800, {"journal": "wal"}
        )
        self.write(
            "run.json",
            {
                "run": change("2026-11-22T17-17-00"),
                "created_at": self.stamp(),
                "database": change("/srv/app/app.db"),
                "identity": to_json(identity),
                "plan": to_json(self.plan),
                "operator": change("Ada Lovelace"),
                "ticket": change("OPS-1742"),
                "origin": {
                    "host": change("db-1"),
                    "time zone": change("UTC (UTC+00:00)"),
                },
                "versions": {
                    "runbook": "0.1.0",
                    "python": "3.11.2",
                    "sqlite": "3.40.1",
                    "duckdb": "2.0.1",
                    "pandas": "3.1.1",
                    "pyarrow": "26.0.0",
                },
                "sql": {
                    f"migrate/{f.name}.sql": digest(f.name, f.body) for f in sql_files("migrate")
                },
                "options": {},
                "named": change("/srv/app/app.db"),
                "plan_file": "",
                "adopter": "",
                "account": change("ada"),
            },
        )

    def write(self, name: str, data: dict[str, Any]) -> None:
        write_sealed(self.folder / name, data)

    def stamp(self) -> str:
        return self.at.isoformat(timespec="milliseconds")

    def stage(
        self,
        name: str,
        result: object = None,
        *,
        seconds: float = 1.0,
        status: str = "finished",
        error: tuple[str, str, int] | None = None,
        pause: float = 2.0,
    ) -> None:
        """Writes the record of a stage that began after a pause and took `seconds`."""
        self.at += timedelta(seconds=pause)
        began = self.stamp()
        self.at += timedelta(seconds=seconds)
        self.order += 1
        data: dict[str, Any] = {
            "run": self.change("2026-11-22T17-17-00"),
            "stage": name,
            "order": self.order,
            "status": status,
            "started_at": began,
            "finished_at": self.stamp() if status in ("finished", "failed") else "",
            "seconds": seconds,
            "operator": self.change("Ada Lovelace"),
            "ticket": self.change("OPS-1742"),
            "way": "",
            "result": None if result is None else to_json(self._changed(result)),
            "error": error
            and {"type": error[0], "message": self.change(error[1]), "exit_code": error[2]},
        }
        self.write(f"stages/{STAGES.index(name) + 1:02d}_{name}.json", data)

    def _changed(self, value: Any) -> Any:
        """Every free text in the record changed; words with a fixed meaning stay."""
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fixed = {"level", "witness", "change", "verdict", "proof", "applied_at", "kind"}
            return type(value)(
                **{
                    f.name: getattr(value, f.name)
                    if f.name in fixed
                    else self._changed(getattr(value, f.name))
                    for f in dataclasses.fields(value)
                }
            )
        if isinstance(value, dict):
            witnesses = {"gate", "sqlite", "duckdb", "pandas"}
            return {
                k if k in witnesses else self.change(k): self._changed(v) for k, v in value.items()
            }
        if isinstance(value, tuple):
            return tuple(self._changed(v) for v in value)
        return self.change(value) if isinstance(value, str) and value else value

    # -- what the stages find ----------------------------------------------------------------

    def preflight(self, *hazards: Hazard) -> None:
        hazards = hazards or (INDEXES, TRIGGER, NO_EMAIL)
        self.stage(
            "preflight", PreflightRecord(hazards, footprint(), {"seconds": 0.4}), seconds=0.62
        )

    def rehearse(self) -> None:
        record = RehearseRecord(
            steps=tuple(StepResult(n, t, r, s * 1.15) for n, t, r, s in sql_steps()),
            footprint=footprint("gate"),
            digests=digests_after(),
            rolled_back_equal=True,
            locked_seconds=0.2314,
            seconds=1.9,
            bytes_before=1_356_800,
            bytes_after=2_482_176,
        )
        self.stage("rehearse", record, seconds=1.9)

    def snapshot(self) -> None:
        backup = Backup("backup/backup.db", 1_356_800, digest("backup"), 0.12, 7, True)
        path = self.folder / backup.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(backup.bytes)
        record = SnapshotRecord(backup, 7, 9_412, digests_before())
        self.stage("snapshot", record, seconds=0.81)

    def migrate(self, **changes: Any) -> None:
        self.stage("migrate", dataclasses.replace(migrated(), **changes), seconds=0.94, pause=95)

    def verify(self, **changes: Any) -> None:
        self.stage("verify", dataclasses.replace(verified(), **changes), seconds=2.37)

    def reporting(self) -> None:
        self.stage("report", status="started", seconds=0)


# -- records of a run on a sample --------------------------------------------------------------


def field(column: str, value: str | int | bytes | None) -> Field:
    """A value as a comparison leaves it in a record."""
    return read_field(column, encode(value))


def changed(
    key: str, column: str, before: str | int | bytes | None, after: str | int | bytes | None
) -> Sample:
    """A changed value of the row with this id."""
    sides = (field(column, before),), (field(column, after),)
    return Sample((field("id", key),), column, *sides)


def keys(*names: str, **others: str) -> tuple[Sample, ...]:
    """Rows named by their id, each with the same other values."""
    before = tuple(field(column, value) for column, value in others.items())
    return tuple(Sample((field("id", name),), before=before or None) for name in names)


INDEXES = Hazard(
    "redundant_index",
    "note",
    "An index repeats what a constraint already indexes",
    "idx_projects_owner_2",
    1,
    (words_sample("idx_projects_owner_2"),),
    "It costs time at every write, and nothing is found faster by it.",
    'DROP INDEX "idx_projects_owner_2";',
)
TRIGGER = Hazard(
    "trigger_fires",
    "warn",
    "A trigger would fire for every row of the backfill",
    "projects_touch",
    1,
    (words_sample("projects_touch"),),
    "It writes what the footprint does not foresee, so the plan suspends it.",
    '[triggers] policy = "suspend"',
)
NO_EMAIL = Hazard(
    "email_without_local_part",
    "warn",
    "Some e-mails have nothing before the @",
    "users.email",
    14,
    keys("u-00017", "u-00391", "u-00402"),
    "Their organizations are called Personal Workspace instead.",
    "Nothing needs to be done.",
)
ORPHANS = Hazard(
    "owner_missing",
    "block",
    "3 projects belong to a user who does not exist",
    "projects.owner_id",
    3,
    keys("p-00044", "p-01020", owner_id="ghost") + keys("p-04711", owner_id="u-99999"),
    "They would point to an organization that is never made.",
    "UPDATE projects SET owner_id = '<a user>' WHERE id IN ('p-00044', 'p-01020', 'p-04711');",
)


def footprint(*witnesses: str) -> tuple[FootprintLine, ...]:
    """The footprint on the sample, with what each of these witnesses saw."""
    lines = (
        ("organizations", "created", "", "a new table, as specified", None),
        ("organizations", "added", "", "one for each user who owns a resource", OWNERS),
        ("organization_memberships", "created", "", "a new table", None),
        ("organization_memberships", "added", "", "the owner of each organization", OWNERS),
        ("projects", "created", "organization_id", "a new column", None),
        ("projects", "changed", "organization_id", "the organization of the owner", PROJECTS),
        ("projects", "changed", "updated_at", "the run's timestamp", PROJECTS),
        ("organizations", "created", "", "the index idx_organizations_owner", None),
        ("projects", "created", "", "the index idx_projects_org", None),
        ("runbook_ledger", "added", "", "one row: this migration happened", 1),
    )
    return tuple(
        FootprintLine(
            table,
            change,  # type: ignore[arg-type]
            column,
            rule,
            predicted,
            counts=dict.fromkeys(witnesses, predicted) if predicted is not None else {},
        )
        for table, change, column, rule, predicted in lines
    )


def invariants(*witnesses: str, guarded: bool = False) -> tuple[InvariantResult, ...]:
    return tuple(
        InvariantResult(f.name, f.title, f.why, dict.fromkeys(witnesses, 0))
        for f in sql_files("invariants")
        if not guarded or f.when == "before commit"
    )


def digests_before() -> tuple[TableDigest, ...]:
    tables = {"users": USERS, "projects": PROJECTS, "sessions": 812, "audit_log": 1_590, "tags": 10}
    return tuple(
        TableDigest(t, rows, digest(t, "before"), digest(t, "outside"), digest(t, "before"))
        for t, rows in tables.items()
    )


def digests_after() -> tuple[TableDigest, ...]:
    same = tuple(d for d in digests_before() if d.table != "projects")
    new = {"organizations": OWNERS, "organization_memberships": OWNERS, "runbook_ledger": 1}
    return (
        *same,
        TableDigest(
            "projects",
            PROJECTS,
            digest("projects", "after"),
            digest("projects", "outside"),
            digest("projects", "timeless"),
        ),
        *(TableDigest(t, rows, digest(t), digest(t), digest(t, 0)) for t, rows in new.items()),
    )


def migrated() -> MigrateRecord:
    return MigrateRecord(
        committed=True,
        ledger=LedgerRow(
            "0005_add_organizations_backfill",
            "2026-11-22T17-17-00",
            digest("script"),
            "2026-11-22 17:18:46.391",
        ),
        steps=tuple(StepResult(n, t, r, s) for n, t, r, s in sql_steps()),
        footprint=footprint("gate"),
        findings=(),
        invariants=invariants("gate", guarded=True),
        waited_seconds=0.0008,
        gate_seconds=0.0713,
        locked_seconds=0.2049,
        confirmation=Confirmation(
            "Ada Lovelace", "2026-11-22T17:18:45.004+00:00", "--yes", ("trigger_fires",)
        ),
    )


def verified() -> VerifyRecord:
    before = {d.table: d.rows for d in digests_before()}
    after = {d.table: d.rows for d in digests_after()}
    return VerifyRecord(
        verdict="pass",
        invariants=invariants("sqlite", "duckdb", "pandas"),
        footprint=footprint("gate", "sqlite", "duckdb", "pandas"),
        findings=(),
        digests=digests_after(),
        rows_before=before,
        rows_after=after,
        organization_sizes={"1": 612, "2 to 5": 1_083, "6 to 20": 169, "21 to 100": 7},
    )


DRIFT = Finding(
    "gate",
    "users",
    "email",
    "changed",
    2,
    '"email" was changed in 2 rows of "users"; it is not part of the migration, so the database '
    "was written to after the snapshot; make sure that nothing writes to it, take a new snapshot and "
    "run again",
    (
        changed("u-00017", "email", "grace@example.org", "grace.hopper@example.org"),
        changed("u-00391", "email", None, "alan@example.org"),
    ),
)
LOST = Finding(
    "gate",
    "sessions",
    "",
    "removed",
    31,
    '31 rows were removed from "sessions"; it is not part of the migration',
    tuple(
        Sample(
            (field("id", f"s-{n:04}"),),
            before=(field("id", f"s-{n:04}"), field("user_name", "Grace Hopper"), field("hits", n)),
        )
        for n in range(10)
    ),
)


# -- whole runs --------------------------------------------------------------------------------


def passed(folder: Path, change: Rename = str) -> Path:
    run = RunFolder(folder, change)
    run.preflight()
    run.rehearse()
    run.snapshot()
    run.migrate()
    run.verify()
    run.reporting()
    return folder


def refused_by_gate(folder: Path, change: Rename = str) -> Path:
    """The proof before the commit failed, and everything was rolled back."""
    run = RunFolder(folder, change)
    run.preflight()
    run.rehearse()
    run.snapshot()
    record = dataclasses.replace(migrated(), committed=False, findings=(DRIFT, LOST), ledger=None)
    message = f"The proof failed before the commit: {DRIFT.message} (and 1 more finding)."
    run.stage("migrate", record, status="failed", error=("NotProven", message, 1), pause=95)
    run.reporting()
    return folder


def blocked(folder: Path, change: Rename = str) -> Path:
    run = RunFolder(folder, change)
    run.preflight(ORPHANS, TRIGGER)
    run.reporting()
    return folder


def interrupted(folder: Path, status: str = "started") -> Path:
    """Killed during the migration, before or after its proof."""
    run = RunFolder(folder)
    run.preflight()
    run.snapshot()
    run.stage("migrate", migrated() if status == "proven" else None, status=status)
    return folder


def rolled_back(folder: Path, change: Rename = str) -> Path:
    run = RunFolder(folder, change)
    run.preflight()
    run.rehearse()
    run.snapshot()
    run.migrate()
    run.verify()
    record = RollbackRecord(
        done=True,
        restored=PROJECTS,
        kept=12,
        discarded=1,
        findings=(),
        steps=(StepResult("restore_resources", "Restore the original values", PROJECTS, 0.05),),
        locked_seconds=0.31,
        exported=("rollback/organizations.jsonl",),
    )
    run.stage("rollback", record, seconds=0.9, pause=7_205)
    run.reporting()
    return folder


def disagreeing(folder: Path, change: Rename = str) -> Path:
    """pandas counted one row less than the others, in a footprint and in an invariant."""
    lines = list(footprint("sqlite", "duckdb", "pandas"))
    lines[5] = dataclasses.replace(lines[5], counts={**lines[5].counts, "pandas": PROJECTS - 1})
    asked = list(invariants("sqlite", "duckdb", "pandas"))
    asked[0] = dataclasses.replace(asked[0], violations={"sqlite": 0, "duckdb": 0, "pandas": 1})
    finding = Finding(
        "sqlite",
        "projects",
        "organization_id",
        "witnesses disagree",
        1,
        'the witnesses disagree about rows changed in "projects", column "organization_id": '
        "sqlite saw 5,000, duckdb saw 5,000, pandas saw 4,999; trust none of them before you "
        "know why",
    )
    run = RunFolder(folder, change)
    run.preflight()
    run.snapshot()
    run.migrate()
    run.verify(verdict="fail", footprint=tuple(lines), invariants=tuple(asked), findings=(finding,))
    return folder


HOSTILE = "<script>alert(1)</script>\"'&<b onclick=x>\x00\u202e\ud800]]>--"


def hostile(text: str) -> str:
    """The text with everything after it that a page, an XML file or a shell might fall for."""
    return f"{text} {HOSTILE}"


RUNS: dict[str, Callable[[Path], Path]] = {
    "passed": passed,
    "refused": refused_by_gate,
    "blocked": blocked,
    "interrupted": interrupted,
    "rolled_back": rolled_back,
    "disagreeing": disagreeing,
}
"""Every kind of run folder, by name."""
