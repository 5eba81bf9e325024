"""How work that takes long says how far it is.

A kernel without a person has no place for a bar. It writes lines into the run's log, and the
present state into a small file, which `headless/progress_bar.py` shows in the terminal. Work that
cannot count (one long statement) says its name alone; how long it has taken is added here.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from runbook.wording import duration, per_second

LOG_EVERY = 10.0
"""Seconds between two lines in a log."""

STATE_EVERY = 0.5
"""Seconds between two writings of the present state."""

NOW = ".progress.tmp"
"""The file in the run folder with the present state."""

_MEASURED = ("rows", "pages", "bytes")
"""What goes by at a pace; a part or a step may take an hour or nothing."""


class Progress(Protocol):
    """Called with what is being done, how much of it is done, and how much there is in all."""

    def __call__(
        self, what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
    ) -> None:
        """Shows it.

        Args:
            what: what is being done.
            done: how much of it is done.
            total: how much there is in all; 0 where that is not known.
            unit: what is counted: rows, pages, bytes, tables, steps, parts.
            expected: seconds that it took when it was tried before; 0 where that is not known.
        """
        ...


def no_progress(
    what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
) -> None:
    """Progress that nobody watches."""


def rehearsed(progress: Progress, seconds: Mapping[str, float]) -> Progress:
    """The same progress, with the seconds that what is done took when it was tried before."""

    def shown(
        what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
    ) -> None:
        progress(what, done, total, unit, expected or seconds.get(what, 0.0))

    return shown


@dataclass(frozen=True)
class Doing:
    """What is being done, and how far it is; the fields are the arguments of `Progress`."""

    what: str
    done: int = 0
    total: int = 0
    unit: str = "parts"
    expected: float = 0.0


class Pace:
    """How long the present work has taken, and how long it will."""

    def __init__(self) -> None:
        self.doing = Doing("")
        self._began = time.monotonic()
        self._first = 0

    def update(self, doing: Doing) -> bool:
        """Takes note of how far it is; True where other work has begun."""
        begins = doing.what != self.doing.what
        if begins:
            self._began, self._first = time.monotonic(), doing.done
        self.doing = doing
        return begins

    @property
    def elapsed(self) -> float:
        """Seconds since the present work began."""
        return time.monotonic() - self._began

    @property
    def rate(self) -> float | None:
        """How much is done in a second; None where nothing can be said."""
        went, elapsed = self.doing.done - self._first, self.elapsed
        if self.doing.unit not in _MEASURED or went <= 0 or elapsed < 1.0:
            return None
        return went / elapsed

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest will probably take; None where nothing can be said."""
        if self.doing.expected:
            left = self.doing.expected - self.elapsed
            return round(left, 1) if left > 0 else None
        rate = self.rate
        if not rate or not self.doing.total:
            return None
        return round(max(self.doing.total - self.doing.done, 0) / rate, 1)

    def line(self) -> dict[str, object]:
        """All of it, as the keywords of `sentence`."""
        line: dict[str, object] = asdict(self.doing) | {"elapsed": round(self.elapsed, 1)}
        del line["expected"]
        measured = {"rate": self.rate, "remaining": self.remaining}
        return line | {name: value for name, value in measured.items() if value is not None}


class Lines:
    """Lines for a log, at most one in `LOG_EVERY` seconds; call it as a `Progress`.

    `write` takes a line as the keywords of `sentence`. `state` is a file that holds the latest.
    `tick` writes a line that is due while nothing is called.
    """

    def __init__(self, write: Callable[..., None], state: Path | None = None) -> None:
        self._write = write
        self._state = state
        self._pace = Pace()
        self._lock = threading.Lock()
        self._written = self._kept = time.monotonic()

    def __call__(
        self, what: str, done: int = 0, total: int = 0, unit: str = "parts", expected: float = 0.0
    ) -> None:
        """Keeps in mind, and now and then writes, that `done` of `total` is done of `what`."""
        with self._lock:
            begins = self._pace.update(Doing(what, done, total, unit, expected))
            present = time.monotonic()
            if begins or present - self._kept >= STATE_EVERY:
                self._kept = present
                self._keep()
        self.tick()

    def tick(self) -> None:
        """Writes a line if one is due."""
        with self._lock:
            present = time.monotonic()
            if self._pace.doing.what and present - self._written >= LOG_EVERY:
                self._written = present
                self._write(**self._pace.line())

    def close(self) -> None:
        """Takes the latest state away."""
        if self._state is not None:
            self._state.unlink(missing_ok=True)

    def _keep(self) -> None:
        if self._state is None:
            return
        # A bar that cannot be shown must not stop the work.
        with contextlib.suppress(OSError):
            part = self._state.with_name(f".new{NOW}")
            part.write_text(json.dumps(list(asdict(self._pace.doing).values())))
            part.replace(self._state)


class Beat:
    """Calls `draw` every `seconds` from a thread of its own, until it is closed.

    One long statement calls nobody, and the seconds go by all the same.
    """

    def __init__(self, draw: Callable[[], None], seconds: float = 1.0) -> None:
        self._draw = draw
        self._seconds = seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            # A bar that cannot be shown must not stop the work, nor end in a traceback.
            with contextlib.suppress(Exception):
                self._draw()


# Many parameters because they are the keys of a line in the log, which people read as well.
def sentence(
    what: str,
    done: int = 0,
    total: int = 0,
    unit: str = "parts",
    *,
    elapsed: float = 0.0,
    rate: float | None = None,
    remaining: float | None = None,
) -> str:
    """How far it is: `projects: 90,000 of 200,000 rows, 22,500 rows/s, about 4.00 s left`.

    What is not counted by rows says how long it has taken: `Proof: 12.0 s so far`.
    """
    parts = [f"{done:,} of {total:,} {unit}"] if total else []
    if rate is not None:
        parts.append(f"{per_second(rate)} {unit}/s")
    elif elapsed >= 1.0:
        parts.append(f"{duration(elapsed)} so far")
    if remaining is not None:
        parts.append(
            f"about {duration(round(remaining))} left" if remaining >= 0.5 else "almost done"
        )
    return f"{what}: {', '.join(parts)}" if parts else what
