"""Threads where they pay: small work is done at once, by whoever asks for it.

Handing a piece of work to another thread and waiting for it costs more of the processor than what
the stages have to do in a database of a few hundred rows.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_SMALL = 8 << 20  # bytes of a database, or of its snapshot


class AtOnce(Executor):
    """An executor whose work is done when it is submitted; an interruption is not put off."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Does the work now; a failure is raised by whoever asks for the result."""
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


def workers(count: int, *, small: bool) -> Executor:
    """So many threads; none where the work is `small`."""
    return AtOnce() if small else ThreadPoolExecutor(count)


def is_small(*files: Path) -> bool:
    """Whether so few bytes are worked on that threads would cost more than they could do."""
    return sum(file.stat().st_size for file in files) < _SMALL
