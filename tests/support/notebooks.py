"""Executes the notebooks on a fresh sample and keeps their outputs: `make notebooks`.

Like nbval, it runs them in a copy of the folders that their parameters point to.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from runbook.sample.make import make_sample
from tests.support.paths import ROOT

NOTEBOOKS = ROOT / "notebooks"


def code_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a notebook that hold code."""
    notebook = json.loads(path.read_text())
    return [c for c in notebook["cells"] if c["cell_type"] == "code" and "".join(c["source"])]


CONFIRMED = 'confirm: str = "sample.db"'
"""What stands in the parameters of a notebook whose operator has agreed beforehand."""


def stage_folder(folder: Path) -> Path:
    """`folder` laid out like the project: the notebooks as they come, the samples beside them."""
    copied = folder / "notebooks"
    shutil.copytree(NOTEBOOKS, copied, ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    make_sample(folder / "sample" / "sample.db")
    for number in range(1, 5):
        tenant = folder / "sample" / "tenants" / f"t{number}.db"
        make_sample(tenant, users=20, projects=50, seed=number)
    return copied


def confirm(folder: Path) -> None:
    """Agrees in the parameters of the notebooks in `folder`, for who cannot be asked."""
    for path in folder.glob("*.ipynb"):
        text = path.read_text()
        path.write_text(text.replace('confirm: str = \\"\\"', CONFIRMED.replace('"', '\\"')))


def environment() -> dict[str, str]:
    """The environment in which kernels find this very package."""
    inherited = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), inherited]))}


def main() -> None:
    """Runs every notebook in order and copies it back with its outputs."""
    with tempfile.TemporaryDirectory() as scratch:
        copied = stage_folder(Path(scratch))
        confirm(copied)
        variables = {**environment(), "LOGNAME": "ada"}  # the operator, whoever executes them
        for notebook in sorted(copied.glob("*.ipynb")):
            command = ["-m", "jupyter", "execute", "--inplace", notebook.name]
            subprocess.run([sys.executable, *command], cwd=copied, env=variables, check=True)
            tidy(notebook)
            (NOTEBOOKS / notebook.name).write_bytes(notebook.read_bytes())
            print(notebook.name)


def tidy(path: Path) -> None:
    """Takes out what changes with every execution and says nothing."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        cell.source = cell.source.replace(CONFIRMED, 'confirm: str = ""')
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
