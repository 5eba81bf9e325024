"""What Jupyter expects of an account and not every account has: a home, and short paths."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from runbook.errors import BadInput

_FOLDERS = (
    "JUPYTER_CONFIG_DIR",
    "JUPYTER_DATA_DIR",
    "JUPYTER_RUNTIME_DIR",
    "IPYTHONDIR",
    "MPLCONFIGDIR",
)
"""What Jupyter, IPython and matplotlib keep in the home, unless these name another place."""

_LONGEST = 107 - len("/runbook-12345678/pymp-12345678/listener-12345678")
"""Bytes in the path of a folder under which sockets can be made: unix(7) ends them at 107."""


@contextlib.contextmanager
def provided() -> Iterator[None]:
    """Provides both for the libraries, for as long as the context is open.

    Raises:
        BadInput: no temporary folder has a path that is short enough for sockets.
    """
    before, tempfile.tempdir = tempfile.tempdir, _temporary_folder()
    try:
        if _has_home():
            yield
        else:
            with _home():
                yield
    finally:
        tempfile.tempdir = before


def _temporary_folder() -> str:
    usual = tempfile.gettempdir()
    for folder in (usual, "/tmp", "/var/tmp"):
        if len(os.fsencode(folder)) <= _LONGEST and os.access(folder, os.W_OK | os.X_OK):
            return folder
    raise BadInput(
        f"The path of the temporary folder {usual} is too long for sockets; set TMPDIR to a "
        f"folder with a path of at most {_LONGEST} characters."
    )


def _has_home() -> bool:
    try:
        return os.access(Path.home(), os.W_OK | os.X_OK)
    except RuntimeError:  # no HOME, and no entry for the account
        return False


@contextlib.contextmanager
def _home() -> Iterator[None]:
    """A folder in the place of the home, for these libraries alone: a command keeps its HOME."""
    missing = [name for name in _FOLDERS if name not in os.environ]
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        os.environ.update(dict.fromkeys(missing, folder))
        try:
            yield
        finally:
            for name in missing:
                del os.environ[name]
