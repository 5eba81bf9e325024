"""The driver with other notebooks: `python -m tests.support.faults.drive FOLDER STAGE NOTEBOOKS SECONDS`."""

from __future__ import annotations

import sys
from pathlib import Path

from runbook.errors import RunbookError
from runbook.headless import papermill as driver
from runbook.run.folder import Run


def main(folder: str, stage: str, notebooks: str, seconds: str) -> None:
    """Executes one notebook, each cell of which may take so many seconds."""
    driver.NOTEBOOKS = Path(notebooks)
    driver.CELL_SECONDS = int(seconds)
    run = Run.open(Path(folder))
    parameters = {"run_dir": folder, "database": "", "plan": ""}
    with driver.kernels(Path(folder) / "kernels.log") as pool:
        try:
            driver.execute(run, stage, parameters, pool)
            print("finished")
        except RunbookError as error:
            print(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main(*sys.argv[1:])
