"""Where the files lie that the runbook brings along, `sql/` and `notebooks/`, or fetches.

In a clone they stand at the top, where people read them; in an installed package, inside it.
"""

from __future__ import annotations

import importlib.resources
import shutil
from pathlib import Path

import platformdirs

from runbook.errors import BadInput, InstallationError


def resource_folder(name: str) -> Path:
    """The folder `sql` or `notebooks`, of the package or else of the clone around it.

    Raises:
        InstallationError: there is none.
    """
    installed = importlib.resources.files("runbook") / name
    if installed.is_dir():
        return Path(str(installed))
    clone = _clone()
    if clone and (clone / name).is_dir():
        return clone / name
    raise InstallationError(f"The folder '{name}' of the runbook")


def tools_folder() -> Path:
    """The folder for fetched programs: `.tools` of the clone, or else the user's cache folder."""
    clone = _clone()
    return clone / ".tools" if clone else platformdirs.user_cache_path("runbook", appauthor=False)


def _clone() -> Path | None:
    parent = Path(__file__).resolve().parent.parent
    return parent if (parent / "pyproject.toml").is_file() else None


def copy_notebooks(folder: Path) -> tuple[Path, ...]:
    """Copies the notebooks to `folder`, for JupyterLab; the copies, in the order of the stages.

    Raises:
        BadInput: one of them is there already, or the folder cannot be written.
    """
    sources = sorted(resource_folder("notebooks").glob("*.ipynb"))
    copies = tuple(folder / source.name for source in sources)
    for copy in copies:
        if copy.exists() or copy.is_symlink():
            raise BadInput(f"'{copy}' exists already: choose another folder, or delete it first.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source, copy in zip(sources, copies, strict=True):
            shutil.copyfile(source, copy)
    except OSError as error:
        raise BadInput(
            f"The notebooks cannot be copied to '{folder}' ({error}): choose a folder that you may "
            "write to."
        ) from error
    return copies
