"""How far each stage of a run came: its record, and those of its earlier attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from runbook.errors import RunFolderError
from runbook.files import read_sealed
from runbook.run.attempts import attempts
from runbook.wording import map_text, visible

Status = Literal["not run", "started", "proven", "finished", "failed", "damaged"]

STAGES: tuple[tuple[str, str], ...] = (
    ("preflight", "Preflight"),
    ("rehearse", "Rehearsal"),
    ("snapshot", "Snapshot"),
    ("migrate", "Migration"),
    ("verify", "Verification"),
    ("report", "Report"),
    ("monitor", "Monitoring"),
    ("rollback", "Rollback"),
)
"""Name and title of every stage, in the order of their files' numbers."""


@dataclass(frozen=True)
class StageStatus:
    """How far one stage came; times are ISO 8601 in UTC, `exit_code` is that of its error.

    Operator and ticket are those of the call that did it, `way` is how it was executed, and
    `notebooks` what was kept of it, each file with the way by which it was executed.
    """

    number: int
    name: str
    title: str
    status: Status = "not run"
    started_at: str = ""
    finished_at: str = ""
    seconds: float = 0.0
    error_type: str = ""
    error: str = ""
    exit_code: int = 0
    operator: str = ""
    ticket: str = ""
    way: str = ""
    notebooks: Mapping[str, str] = field(default_factory=dict)

    @property
    def was_interrupted(self) -> bool:
        """Whether a person or the system stopped it, which is no failure of its own."""
        return self.error_type == "Interrupted"

    @property
    def ending(self) -> str:
        """What became of a stage that has no result, as a verb: `was interrupted`, for one."""
        if self.was_interrupted:
            return "was interrupted"
        return "was cut off" if self.status == "started" else "did not succeed"


@dataclass(frozen=True)
class Attempt:
    """An earlier attempt at a stage, kept in `file`.

    `verdict` and `findings` are those of a verification; `blocks` the number of hazards that
    stopped a preflight.
    """

    stage: StageStatus
    file: str
    verdict: str = ""
    findings: int = 0
    blocks: int = 0


def read_stage(
    number: int, name: str, title: str, path: Path, damage: list[str]
) -> tuple[StageStatus, dict[str, Any] | None]:
    """How far the stage came, and its result as JSON."""
    if not path.exists():
        return StageStatus(number, name, title), None
    try:
        data = map_text(read_sealed(path), visible)
        error = data.get("error") or {}
        status = data["status"]
        if status not in ("started", "proven", "finished", "failed"):
            raise ValueError(status)
        reached = StageStatus(
            number,
            name,
            title,
            status=status,
            started_at=str(data.get("started_at") or ""),
            finished_at=str(data.get("finished_at") or ""),
            seconds=float(data.get("seconds") or 0),
            error_type=str(error.get("type", "")),
            error=str(error.get("message", "")),
            exit_code=int(error.get("exit_code", 0)),
            operator=str(data.get("operator") or ""),
            ticket=str(data.get("ticket") or ""),
            way=str(data.get("way") or ""),
        )
        result = data.get("result")
        if result is not None and not isinstance(result, dict):
            raise ValueError("result")
    except (RunFolderError, KeyError, ValueError, TypeError, AttributeError):
        damage.append(f"stages/{path.name} is damaged and cannot be read")
        return StageStatus(number, name, title, status="damaged"), None
    return reached, result


def read_attempts(run_dir: Path, damage: list[str]) -> list[Attempt]:
    """The earlier attempts at all stages, in the order in which they began."""
    kept: list[Attempt] = []
    for number, (name, title) in enumerate(STAGES, start=1):
        record = run_dir / "stages" / f"{number:02d}_{name}.json"
        for path in attempts(record):
            stage, result = read_stage(number, name, title, path, damage)
            result = result or {}
            hazards = result.get("hazards", ()) if name == "preflight" else ()
            kept.append(
                Attempt(
                    stage,
                    f"stages/attempts/{path.name}",
                    str(result.get("verdict", "")),
                    len(result.get("findings", ())),
                    sum(h.get("level") == "block" for h in hazards),
                )
            )
    return sorted(kept, key=lambda attempt: attempt.stage.started_at)
