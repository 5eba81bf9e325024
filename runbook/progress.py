"""Work that takes long: a bar in JupyterLab or a terminal, few lines in a log.

A kernel without a person has no place for a bar. It writes lines into the run's log, and the
present state into a small file, which `watched` shows as a bar in the terminal of `runbook run`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

PATIENCE = 1.0
"""Seconds of work after which a bar appears; what is quicker needs none."""

LOG_EVERY = 10.0
"""Seconds between two lines in a log."""

STATE_EVERY = 0.5
"""Seconds between two writings of the present state."""

NOW = ".progress.tmp"
"""The file in the run folder with the present state."""


class Bars:
    """One bar at a time, for whatever is being done; call it as a `Progress`."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._what = ""
        self._since = 0.0
        self._bar: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` is done of `what`."""
        if what != self._what:
            self.close()
            self._what, self._since = what, time.monotonic()
        waited = time.monotonic() - self._since
        if self._bar is None and waited > PATIENCE and done < total:
            from tqdm.auto import tqdm

            self._bar = tqdm(
                desc=what,
                total=total,
                initial=done,
                mininterval=STATE_EVERY,
                leave=False,
                unit=unit(what, total),
                unit_scale=total > 10_000,
                **self._options,
            )
            # The clock began with the work, not with the bar; the time remaining counts on that.
            self._bar.start_t -= waited
            self._bar.initial = 0
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            if done >= total:
                self.close()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None


class Lines:
    """Lines for a log, at most one in `LOG_EVERY` seconds; call it as a `Progress`.

    `write` takes a line as keywords: `what`, `done`, `total`, and `remaining`, the seconds that it
    will probably take. `state` is a file that holds the latest of them.
    """

    def __init__(self, write: Callable[..., None], state: Path | None = None) -> None:
        self._write = write
        self._state = state
        self._what = ""
        self._since = self._written = self._kept = time.monotonic()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Keeps in mind, and now and then writes, that `done` of `total` is done of `what`."""
        present = time.monotonic()
        if what != self._what:
            self._what, self._since = what, present
        if present - self._kept >= STATE_EVERY:
            self._kept = present
            self._keep(what, done, total)
        if present - self._written >= LOG_EVERY:
            self._written = present
            line: dict[str, object] = {"what": what, "done": done, "total": total}
            if done:
                line["remaining"] = round((present - self._since) / done * (total - done), 1)
            self._write(**line)

    def _keep(self, what: str, done: int, total: int) -> None:
        if self._state is None:
            return
        # A bar that cannot be shown must not stop the work.
        with contextlib.suppress(OSError):
            part = self._state.with_name(f".new{NOW}")
            part.write_text(json.dumps([what, done, total]))
            part.replace(self._state)


@contextlib.contextmanager
def watched(folder: Path, to: TextIO | None = None) -> Iterator[None]:
    """Shows, while the context is open, what a kernel writes about its progress in `folder`.

    In a terminal it is a bar; anywhere else a line in `LOG_EVERY` seconds.
    """
    stream = to or sys.stderr
    state, ended = folder / NOW, threading.Event()
    state.unlink(missing_ok=True)
    bars = Bars(file=stream) if stream.isatty() else None
    lines = Lines(lambda **line: print(_sentence(**line), file=stream, flush=True))

    def watch() -> None:
        seen: object = None
        while not ended.wait(STATE_EVERY):
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(state.read_text())
                if found != seen:
                    (bars or lines)(*found)
                    seen = found

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if bars is not None:
            bars.close()
        state.unlink(missing_ok=True)


def unit(what: str, total: int) -> str:
    """What is counted, as a word behind a number."""
    if what in ("Backup", "Restore"):
        return " pages"
    return " rows" if total > 100 else " parts"


def _sentence(what: str, done: int, total: int, remaining: float | None = None) -> str:
    left = "" if remaining is None else f", about {remaining:,.0f} s left"
    return f"    {what}: {done:,} of {total:,}{unit(what, total)}{left}"
