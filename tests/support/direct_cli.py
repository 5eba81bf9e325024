"""The command `runbook` with its notebooks executed in this process: quick, and killable.

python -m tests.support.direct_cli run --run-dir runs/x --yes
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping

from runbook.cli import main
from runbook.headless import run_stages
from runbook.headless.papermill import Execute
from runbook.run.folder import Run
from tests.support.windows import Direct


@contextlib.contextmanager
def direct(run: Run) -> Iterator[Execute]:
    """In place of Papermill; what the cells print is the notebook's, and not the terminal's."""

    def execute(run: Run, stage: str, parameters: Mapping[str, object]) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            Direct()(run, stage, parameters)

    yield execute


if __name__ == "__main__":
    run_stages.notebooks = direct
    main()
