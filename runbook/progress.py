"""Work that takes long: a bar in JupyterLab or a terminal, few lines in a log.

A kernel without a person has no place for a bar. It writes lines into the run's log, and the
present state into a small file, which `watched` shows as a bar in the terminal of `runbook run`.
"""

from __future__ import annotations

import contextlib
import html
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from runbook.report.text import duration

LOG_EVERY = 10.0
"""Seconds between two lines in a log."""

STATE_EVERY = 0.5
"""Seconds between two writings of the present state."""

NOW = ".progress.tmp"
"""The file in the run folder with the present state."""


class Bar:
    """A bar in a terminal, for whatever is being done; call it as a `Progress`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._what = ""
        self._bar: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` is done of `what`."""
        if what != self._what:
            from tqdm import tqdm

            self.close()
            self._what = what
            self._bar = tqdm(
                desc=f"    {what}",
                total=total,
                mininterval=STATE_EVERY,
                leave=False,
                unit=unit(what, total),
                unit_scale=total > 10_000,
                file=self._stream,
            )
        if not self._bar.update(done - self._bar.n):  # it drew nothing: too soon after the last
            self._bar.refresh()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
        self._what, self._bar = "", None


class Page:
    """A bar in a notebook's page; call it as a `Progress`.

    It is HTML that is replaced, and no widget, so that a saved notebook holds nothing which needs
    a kernel to be seen, and nothing at all once the work is done.
    """

    def __init__(self) -> None:
        self._what = ""
        self._since = self._drawn = 0.0
        self._handle: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` is done of `what`."""
        present = time.monotonic()
        if what != self._what:
            self._what, self._since = what, present
        elif present - self._drawn < STATE_EVERY:
            return
        self._drawn = present
        text = sentence(what, done, total, remaining(present - self._since, done, total))
        self._draw(
            f'<progress max="{max(total, 1)}" value="{done}" style="width:20em"></progress> '
            f"{html.escape(text)}"
        )

    def close(self) -> None:
        """Takes the bar away."""
        if self._handle is not None:
            self._draw("")

    def _draw(self, text: str) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(text), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(HTML(text))  # type: ignore[no-untyped-call]


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
        if what != self._what or present - self._kept >= STATE_EVERY:
            self._kept = present
            self._keep(what, done, total)
        if what != self._what:
            self._what, self._since = what, present
        if present - self._written >= LOG_EVERY:
            self._written = present
            line: dict[str, object] = {"what": what, "done": done, "total": total}
            left = remaining(present - self._since, done, total)
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


@contextlib.contextmanager
def watched(folder: Path, to: TextIO | None = None) -> Iterator[None]:
    """Shows, while the context is open, what a kernel writes about its progress in `folder`.

    In a terminal it is a bar; anywhere else a line in `LOG_EVERY` seconds.
    """
    stream = to or sys.stderr
    state, ended = folder / NOW, threading.Event()
    state.unlink(missing_ok=True)
    bar = Bar(stream) if stream.isatty() else None
    lines = Lines(lambda **line: print(f"    {sentence(**line)}", file=stream, flush=True))

    def watch() -> None:
        seen: object = None
        while not ended.wait(STATE_EVERY):
            with contextlib.suppress(OSError, ValueError):
                found = json.loads(state.read_text())
                if found != seen:
                    (bar or lines)(*found)
                    seen = found

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if bar is not None:
            bar.close()
        state.unlink(missing_ok=True)


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
