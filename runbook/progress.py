"""How work that takes long says how far it is.

A kernel without a person has no place for a bar. It writes lines into the run's log, and the
present state into a small file, which `headless/progress_bar.py` shows in the terminal.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path

from runbook.wording import duration

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""

LOG_EVERY = 10.0
"""Seconds between two lines in a log."""

STATE_EVERY = 0.5
"""Seconds between two writings of the present state."""

NOW = ".progress.tmp"
"""The file in the run folder with the present state."""


def no_progress(what: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


class Lines:
    """Lines for a log, at most one in `LOG_EVERY` seconds; call it as a `Progress`.

    `write` takes a line as keywords: `what`, `done`, `total`, and `remaining`, the seconds that it
    will probably take. `state` is a file that holds the latest of them.
    """

    def __init__(self, write: Callable[..., None], state: Path | None = None) -> None:
        self._write = write
        self._state = state
        self._what = ""
        self._began = self._written = self._kept = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Keeps in mind, and now and then writes, that `done` of `total` is done of `what`."""
        present = time.monotonic()
        if what != self._what or present - self._kept >= STATE_EVERY:
            self._kept = present
            self._keep(what, done, total)
        if what != self._what:
            self._what, self._began = what, present
        if present - self._written >= LOG_EVERY:
            self._written = present
            line: dict[str, object] = {"what": what, "done": done, "total": total}
            left = remaining(present - self._began, done, total)
            self._write(**line, **({} if left is None else {"remaining": left}))

    def close(self) -> None:
        """Takes the latest state away."""
        if self._state is not None:
            self._state.unlink(missing_ok=True)

    def _keep(self, what: str, done: int, total: int) -> None:
        if self._state is None:
            return
        # A bar that cannot be shown must not stop the work.
        with contextlib.suppress(OSError):
            part = self._state.with_name(f".new{NOW}")
            part.write_text(json.dumps([what, done, total]))
            part.replace(self._state)


def unit(what: str, total: int) -> str:
    """What is counted, as a word behind a number."""
    if what in ("Backup", "Restore"):
        return " pages"
    return " rows" if total > 100 else " parts"


def remaining(elapsed: float, done: int, total: int) -> float | None:
    """Seconds that the rest will probably take; None where nothing can be said."""
    if not done or elapsed < 1.0:
        return None
    return round(elapsed / done * (total - done), 1)


def sentence(what: str, done: int, total: int, remaining: float | None = None) -> str:
    """How far it is: `projects: 90,000 of 200,000 rows, about 4 s left`."""
    left = "" if remaining is None else f", about {duration(round(remaining))} left"
    return f"{what}: {done:,} of {total:,}{unit(what, total)}{left}"
