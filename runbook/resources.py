"""Where the files lie that the runbook brings along: `sql/` and `notebooks/`.

In a clone they stand at the top, where people read them; in an installed package, inside it.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path


def resource_folder(name: str) -> Path:
    """The folder `sql` or `notebooks`, of the package or else of the clone around it."""
    installed = importlib.resources.files("runbook") / name
    if installed.is_dir():
        return Path(str(installed))
    return Path(__file__).resolve().parent.parent / name
