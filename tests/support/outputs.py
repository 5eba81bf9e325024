"""Every record and report that a test's own process writes is held against its published schema."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from runbook.report import status_json, write
from runbook.run import folder, stage
from tests.support.schemas import problems_of

PROBLEMS: list[str] = []
"""What did not follow its schema, since it was last asked; writers go on all the same."""

_SEAL = {"sha256": "0" * 64}


@contextlib.contextmanager
def outputs_watched() -> Iterator[None]:
    """Looks at each output as it is written; another process is seen by `check_folder` alone."""

    def sealed(path: Path, data: Mapping[str, Any]) -> None:
        name = "run-1" if path.name == "run.json" else "stage-1"
        PROBLEMS.extend(problems_of(name, {**data, **_SEAL}))
        write_sealed(path, data)

    def audit(view: Any) -> dict[str, Any]:
        data = write_audit(view)
        PROBLEMS.extend(problems_of("audit-1", data))
        return data

    def status(run: folder.Run) -> dict[str, Any]:
        data = show_status(run)
        PROBLEMS.extend(problems_of("status-1", data))
        return data

    write_sealed, write_audit, show_status = stage.write_sealed, write.audit, status_json.status
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "write_sealed", sealed)
        patch.setattr(folder, "write_sealed", sealed)
        patch.setattr(write, "audit", audit)
        patch.setattr(status_json, "status", status)
        yield


def check_folder(run_dir: Path) -> None:
    """Fails unless everything that a run left in its folder follows its schema."""
    files = {run_dir / "run.json": "run-1"}
    if (run_dir / "audit.json").exists():
        files[run_dir / "audit.json"] = "audit-1"
    files |= dict.fromkeys((run_dir / "stages").glob("*.json"), "stage-1")
    problems = [
        f"{path.name}: {problem}"
        for path, name in files.items()
        for problem in problems_of(name, json.loads(path.read_text(encoding="utf-8")))
    ]
    assert not problems, "\n".join(problems)
