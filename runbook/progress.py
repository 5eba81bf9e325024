"""A bar for work that takes long: in JupyterLab, in a terminal, and as few lines in a log."""

from __future__ import annotations

import time
from typing import Any

PATIENCE = 1.0
"""Seconds of work after which a bar appears; what is quicker needs none."""


class Bars:
    """One bar at a time, for whatever is being done; call it as a `Progress`."""

    def __init__(self) -> None:
        self._what = ""
        self._since = 0.0
        self._bar: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` is done of `what`."""
        if what != self._what:
            self._close()
            self._what, self._since = what, time.monotonic()
        if self._bar is None and time.monotonic() - self._since > PATIENCE and done < total:
            from tqdm.auto import tqdm

            self._bar = tqdm(desc=what, total=total, mininterval=0.5, leave=False, unit_scale=True)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            if done >= total:
                self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None
