"""By which way a notebook is executed, and which file it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from runbook.notebook.display import has_person, shell
from runbook.notebook.parameters import INJECTED, PAPERMILL_PATHS
from runbook.run.session import Way

driven = False
"""Whether the headless driver forked this kernel, and keeps what was executed by itself."""

_VS_CODE = "__vsc_ipynb_file__"
_JUPYTER = "JPY_SESSION_NAME"


def way() -> Way:
    """How the notebook of this kernel is executed; empty where there is no kernel."""
    here = shell()
    if getattr(here, "kernel", None) is None:
        return ""
    if driven:
        return "headless"
    if not has_person():
        return "Papermill" if _is_papermill(here) else "notebook"
    if _VS_CODE in here.user_ns:
        return "VS Code"
    return "JupyterLab" if os.environ.get(_JUPYTER) else "notebook"


def notebook_file(way: Way) -> Path | None:
    """The file of this kernel's notebook, as it was last saved; None where it cannot be known.

    A kernel without a person may have inherited the name of another notebook, so it is not asked.
    """
    names = shell().user_ns
    name = {
        "JupyterLab": os.environ.get(_JUPYTER),
        "VS Code": names.get(_VS_CODE),
        "Papermill": names.get(PAPERMILL_PATHS[0]),
    }.get(way)
    if not isinstance(name, str) or not name.endswith(".ipynb"):
        return None
    return Path(name) if Path(name).is_file() else None


def _is_papermill(here: Any) -> bool:
    if any(cell.lstrip().startswith(INJECTED) for cell in here.user_ns.get("In", [])):
        return True
    import psutil  # which ipykernel needs, too

    try:  # without parameters it leaves no trace in the notebook
        words = psutil.Process(os.getppid()).cmdline()
    except psutil.Error:
        return False
    own = "/papermill/__main__.py"
    return any(Path(word).name == "papermill" or word.endswith(own) for word in words)
