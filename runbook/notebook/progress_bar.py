"""Progress as a bar in a notebook's page, or as lines in the log where nobody sees a page."""

from __future__ import annotations

import contextlib
import html
import threading
import time
from collections.abc import Iterator
from typing import Any

from runbook.notebook.display import has_person
from runbook.progress import NOW, STATE_EVERY, Beat, Doing, Lines, Pace, Progress, sentence
from runbook.run.folder import Run


class Page:
    """A bar in a notebook's page; call it as a `Progress`.

    It is HTML that is replaced, and no widget, so that a saved notebook holds nothing which needs
    a kernel to be seen, and nothing at all once the work is done.
    """

    def __init__(self) -> None:
        self._pace = Pace()
        self._drawn = 0.0
        self._lock = threading.Lock()
        self._handle: Any = None

    def __call__(
        self, what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
    ) -> None:
        """Shows that `done` of `total` is done of `what`."""
        with self._lock:
            begins = self._pace.update(Doing(what, done, total, unit, expected))
            if begins or time.monotonic() - self._drawn >= STATE_EVERY:
                self._redraw()

    def tick(self) -> None:
        """Draws the seconds that went by while nothing was called."""
        with self._lock:
            if self._handle is not None and time.monotonic() - self._drawn >= STATE_EVERY:
                self._redraw()

    def close(self) -> None:
        """Takes the bar away."""
        if self._handle is not None:
            self._draw("")

    def _redraw(self) -> None:
        self._drawn = time.monotonic()
        doing, text = self._pace.doing, html.escape(sentence(**self._pace.line()))  # type: ignore[arg-type]
        # Without a value the browser shows that something is at work, and not how much.
        value = f' value="{doing.done}"' if doing.total else ""
        self._draw(
            f'<progress max="{max(doing.total, 1)}"{value} style="width:20em"></progress> {text}'
        )

    def _draw(self, text: str) -> None:
        from IPython.display import HTML, display

        if self._handle is None:
            self._handle = display(HTML(text), display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(HTML(text))  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def shown_progress(run: Run, stage: str) -> Iterator[Progress]:
    """Progress as a bar to a person, otherwise as lines in the run's log; gone in the end."""
    shown = (
        Page()
        if has_person()
        else Lines(lambda **line: run.log(stage, "progress", **line), run.folder / NOW)
    )
    beat = Beat(shown.tick)
    try:
        yield shown
    finally:
        beat.close()
        shown.close()
