"""Whether a finished stage has to be done again; asked without importing what it would need."""

from __future__ import annotations

from runbook.errors import RunFolderError
from runbook.run.folder import Run
from runbook.run.records import VerifyRecord


def is_verify_due_again(run: Run) -> bool:
    """Whether the verdict was fail and may be another by now, because rows were corrected."""
    try:
        failed = run.finished("verify") and run.result("verify", VerifyRecord).verdict != "pass"
        return failed and not run.forbidden("verify")
    except RunFolderError:
        return False
