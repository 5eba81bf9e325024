"""The checklist for machines: what `runbook status --json` prints."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

from runbook.errors import RunbookError, RunFolderError
from runbook.report.audit_json import approvals_json, outcome_json
from runbook.report.view_model import read_view
from runbook.run.folder import STAGES, Run
from runbook.window.state import window_state
from runbook.window.store import configured


def status(run: Run) -> dict[str, Any]:
    """How the run stands, as plain JSON values; `docs/schema/status-1.json` describes them.

    Where the plan has a maintenance window, the application and the ledger are asked as well.

    Raises:
        RunFolderError: a record is damaged.
    """
    view = read_view(run.folder)
    contents = view.contents
    now, problem = None, ""
    if configured(run.info.plan, 2):
        try:
            now = dataclasses.asdict(window_state(run))
        except RunbookError as error:
            problem = str(error)
    return {
        "schema": "runbook/status/1",
        "run": contents.run,
        "folder": str(run.folder.resolve()),
        "created_at": contents.created_at,
        "operator": contents.operator,
        "ticket": contents.ticket,
        "outcome": outcome_json(view.outcome),
        "checklist": [dataclasses.asdict(line) for line in view.checklist],
        "approvals": approvals_json(contents.approvals),
        "stages": [dataclasses.asdict(stage) for stage in contents.stages.values()],
        "allowed": list(_allowed(run)),
        "now": now,
        "now_problem": problem,
    }


def _allowed(run: Run) -> Iterator[str]:
    for stage in STAGES:
        with contextlib.suppress(RunFolderError):  # noted as damage where it is read
            if not run.forbidden(stage) and not run.finished(stage):
                yield stage
