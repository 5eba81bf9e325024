"""Progress in the terminal of a headless run, read from what its kernel writes."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from runbook.files import parse_json
from runbook.progress import NOW, STATE_EVERY, Beat, Lines, Progress, sentence
from runbook.wording import visible

_UNCOUNTED = "{desc}: {elapsed}{postfix}"
_BY_PARTS = "{desc}: {n_fmt} of {total_fmt}{unit}, {elapsed}{postfix}"
"""Parts are of any length, so how many are done says nothing about the time that is left."""


class Bar:
    """A bar in a terminal, for whatever is being done; call it as a `Progress`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._what = ""
        self._bar: Any = None

    def __call__(
        self, what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
    ) -> None:
        """Shows that `done` of `total` is done of `what`."""
        if what != self._what:
            from tqdm import tqdm

            self.close()
            self._what = what
            measured = None if unit in ("rows", "pages", "bytes") else _BY_PARTS
            self._bar = tqdm(
                desc=f"    {visible(what)}",
                initial=done,
                total=total or None,
                mininterval=STATE_EVERY,
                leave=False,
                unit=f" {unit}",
                unit_scale=total > 10_000,
                bar_format=measured if total else _UNCOUNTED,
                file=self._stream,
            )
            if expected:
                self._bar.set_postfix_str(f"about {expected:.0f} s when rehearsed")
        if not self._bar.update(done - self._bar.n):  # it drew nothing: too soon after the last
            self._bar.refresh()

    def tick(self) -> None:
        """Draws the seconds that went by while nothing was called."""
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.close()
        self._what, self._bar = "", None


@contextlib.contextmanager
def working(what: str, to: TextIO | None = None) -> Iterator[Progress]:
    """Shows what is done in this process while the context is open, with the seconds it takes.

    In a terminal it is a bar; anywhere else a line in `LOG_EVERY` seconds.
    """
    shown = _shown_on(to or sys.stderr)
    with contextlib.suppress(OSError, ValueError):  # output that cannot be written stops nothing
        shown(what)
    beat = Beat(shown.tick)
    try:
        yield shown
    finally:
        beat.close()
        with contextlib.suppress(OSError, ValueError):
            shown.close()


def _shown_on(stream: TextIO | None) -> Bar | Lines:
    """A bar on a terminal, lines on anything else, and nothing on a stream that is closed."""
    if stream is None or stream.closed:
        return Lines(lambda **line: None)
    if stream.isatty():
        return Bar(stream)
    return Lines(lambda **line: print(f"    {visible(sentence(**line))}", file=stream, flush=True))


@contextlib.contextmanager
def watched(folder: Path, to: TextIO | None = None) -> Iterator[None]:
    """Shows, while the context is open, what a kernel writes about its progress in `folder`.

    In a terminal it is a bar; anywhere else a line in `LOG_EVERY` seconds.
    """
    state, ended = folder / NOW, threading.Event()
    state.unlink(missing_ok=True)
    shown_on = _shown_on(to or sys.stderr)

    def watch() -> None:
        shown: object = None
        while not ended.wait(STATE_EVERY):
            with contextlib.suppress(OSError, ValueError):
                state_now = parse_json(state.read_text())
                if state_now == shown:
                    shown_on.tick()
                else:
                    shown_on(*state_now)
                    shown = state_now

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError, ValueError):
            shown_on.close()
        state.unlink(missing_ok=True)
