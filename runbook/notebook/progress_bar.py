"""Progress as a bar in a notebook's page."""

from __future__ import annotations

import html
import time
from typing import Any

from runbook.progress import STATE_EVERY, remaining, sentence


class Page:
    """A bar in a notebook's page; call it as a `Progress`.

    It is HTML that is replaced, and no widget, so that a saved notebook holds nothing which needs
    a kernel to be seen, and nothing at all once the work is done.
    """

    def __init__(self) -> None:
        self._what = ""
        self._began = self._drawn = 0.0
        self._handle: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Shows that `done` of `total` is done of `what`."""
        present = time.monotonic()
        if what != self._what:
            self._what, self._began = what, present
        elif present - self._drawn < STATE_EVERY:
            return
        self._drawn = present
        text = sentence(what, done, total, remaining(present - self._began, done, total))
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
