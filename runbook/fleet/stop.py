"""Why no more databases are begun: more failed than may, or a person pressed Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from runbook.terminal import Echo


class Stop:
    """What is asked between two databases; those at work come to their end."""

    def __init__(self) -> None:
        self.reason = ""
        self.asked = False

    def because(self, reason: str) -> None:
        """Stops; the first reason counts."""
        self.reason = self.reason or reason


@contextlib.contextmanager
def stopped_by_ctrl_c(stop: Stop, echo: Echo) -> Iterator[None]:
    """The first Ctrl-C asks for a stop, a second one interrupts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield  # in a thread there are no signals
        return

    def answer(number: int, frame: FrameType | None) -> None:
        if stop.asked:
            raise KeyboardInterrupt
        stop.asked = True
        stop.because("Ctrl-C was pressed")
        echo("  No more databases are begun; those at work come to their end. (Again: interrupt.)")

    before = signal.signal(signal.SIGINT, answer)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
