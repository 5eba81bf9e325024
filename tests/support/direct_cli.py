"""The command `runbook` with its notebooks executed in this process: quick, and killable.

python -m tests.support.direct_cli run --run-dir runs/x --yes
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from runbook.cli import main
from runbook.headless import run_stages
from runbook.run.folder import Run
from tests.support.windows import Direct


@contextlib.contextmanager
def direct(run: Run) -> Iterator[Direct]:
    """In place of Papermill."""
    yield Direct()


if __name__ == "__main__":
    run_stages.notebooks = direct
    main()
